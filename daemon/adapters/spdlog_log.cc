#include "daemon/adapters/spdlog_log.h"

#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/ostream_sink.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <ctime>

#include "core/json_writer.h"

namespace freshet {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

// ISO 8601 in UTC, with milliseconds.
std::string timestamp(std::int64_t wall_ms) {
  const std::int64_t ms = ((wall_ms % 1000) + 1000) % 1000;
  const std::time_t seconds = (wall_ms - ms) / 1000;
  std::tm utc{};
  if (gmtime_r(&seconds, &utc) == nullptr) return "-";
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday,
                     utc.tm_hour, utc.tm_min, utc.tm_sec, ms);
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string without_controls(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (const char c : text) {
    if (c == '\n') {
      clean += "\\n";
    } else if (is_control(c)) {
      clean += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      clean += c;
    }
  }
  return clean;
}

std::string field_text(const LogField& field) {
  return std::visit(
      [](const auto& value) -> std::string {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, std::string>) {
          if (!value.empty() && value.find_first_of(" \"=\\") == std::string::npos) return without_controls(value);
          std::string quoted;
          append_json_text(quoted, value);
          return quoted;
        } else {
          return fmt::format("{}", value);
        }
      },
      field.value);
}

std::string text_line(std::string_view event, std::string_view message, std::initializer_list<LogField> fields) {
  std::string line = fmt::format("{}  {}", without_controls(event), without_controls(message));
  const char* gap = "  ";
  for (const auto& field : fields) {
    line += gap;
    line += without_controls(field.key);
    line += '=';
    line += field_text(field);
    gap = " ";
  }
  return line;
}

std::string json_line(std::int64_t wall_ms, LogLevel level, std::string_view event, std::string_view message,
                      std::initializer_list<LogField> fields) {
  static constexpr std::array<std::string_view, 4> kFixed = {"ts", "level", "event", "message"};
  JsonWriter json(0);
  json.begin_object();
  json.field("ts", timestamp(wall_ms));
  json.field("level", log_level_name(level));
  json.field("event", event);
  json.field("message", message);
  for (const auto& field : fields) {
    const bool taken = std::find(kFixed.begin(), kFixed.end(), field.key) != kFixed.end();
    json.key(taken ? std::string(field.key) + "_" : std::string(field.key));
    std::visit([&](const auto& value) { json.value(value); }, field.value);
  }
  json.end_object();
  return json.take();
}

}  // namespace

struct SpdlogLog::Impl {
  Impl(const LogConfig& config, const Clock& time, const spdlog::sink_ptr& sink)
      : clock(time), format(config.format), logger("freshet", sink) {
    const char* pattern = format == setting::LogFormat::kText ? "%Y-%m-%dT%H:%M:%S.%eZ  %^%-7l%$  %v" : "%v";
    sink->set_formatter(std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc, "\n"));
    logger.set_level(spdlog::level::trace);
    logger.flush_on(spdlog::level::trace);
    logger.set_error_handler([](const std::string&) {});
    level = config.level;
  }

  const Clock& clock;
  setting::LogFormat format;
  std::atomic<LogLevel> level{LogLevel::kInfo};
  spdlog::logger logger;
};

SpdlogLog::SpdlogLog(const LogConfig& config, const Clock& clock)
    : impl_(std::make_unique<Impl>(config, clock, std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>())) {}

SpdlogLog::SpdlogLog(const LogConfig& config, const Clock& clock, std::ostream& out)
    : impl_(std::make_unique<Impl>(config, clock, std::make_shared<spdlog::sinks::ostream_sink_mt>(out))) {}

SpdlogLog::~SpdlogLog() = default;

void SpdlogLog::write(LogLevel level, std::string_view event, std::string_view message,
                      std::initializer_list<LogField> fields) {
  if (level < impl_->level.load(std::memory_order_relaxed)) return;
  try {
    const std::int64_t now = impl_->clock.wall_ms();
    const spdlog::log_clock::time_point time{std::chrono::milliseconds(now)};
    const std::string line = impl_->format == setting::LogFormat::kJson ? json_line(now, level, event, message, fields)
                                                                        : text_line(event, message, fields);
    impl_->logger.log(time, spdlog::source_loc{}, to_spdlog(level), line);
  } catch (const std::exception&) {
    // Logging never fails its caller.
  }
}

void SpdlogLog::set_level(LogLevel level) { impl_->level.store(level, std::memory_order_relaxed); }
LogLevel SpdlogLog::level() const { return impl_->level.load(std::memory_order_relaxed); }

std::string_view log_level_name(LogLevel level) {
  static constexpr std::array<std::string_view, 4> kNames = {"debug", "info", "warning", "error"};
  return kNames.at(static_cast<std::size_t>(level));
}

}  // namespace freshet
