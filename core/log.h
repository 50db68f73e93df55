// Log: structured events for people and machines. Each has a stable name ("round_trained"), a sentence, and fields.
// The adapters (text, JSON; on spdlog) live in daemon/; rooms get a Log& and never print on their own.
//
// Threads: thread-safe.  Failure: logging never fails its caller.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace freshet {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarning, kError };

struct LogField {
  std::string_view key;
  std::variant<std::int64_t, std::uint64_t, double, bool, std::string> value;

  LogField(std::string_view k, std::int64_t v) : key(k), value(v) {}
  LogField(std::string_view k, int v) : key(k), value(static_cast<std::int64_t>(v)) {}
  LogField(std::string_view k, std::uint64_t v) : key(k), value(v) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string(v)) {}
};

class Log {
 public:
  virtual ~Log() = default;
  virtual void write(LogLevel level, std::string_view event, std::string_view message,
                     std::initializer_list<LogField> fields) = 0;

  void debug(std::string_view event, std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::kDebug, event, message, fields);
  }
  void info(std::string_view event, std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::kInfo, event, message, fields);
  }
  void warning(std::string_view event, std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::kWarning, event, message, fields);
  }
  void error(std::string_view event, std::string_view message, std::initializer_list<LogField> fields = {}) {
    write(LogLevel::kError, event, message, fields);
  }
};

// Drops everything.
class NullLog final : public Log {
 public:
  void write(LogLevel, std::string_view, std::string_view, std::initializer_list<LogField>) override {}
};

// Keeps "event: message" lines in memory, for tests.
class MemoryLog final : public Log {
 public:
  void write(LogLevel level, std::string_view event, std::string_view message,
             std::initializer_list<LogField> fields) override;
  std::vector<std::string> lines() const;
  bool contains(std::string_view text) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

}  // namespace freshet
