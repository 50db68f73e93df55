// DeadLetterSink: where records go that cannot become events. A source submits them as it meets them and gets tickets;
// before positions that skip them are committed, acknowledge() must have answered ok for the last ticket.
//
// LogDeadLetters keeps none: it counts them and logs one in a while. FileDeadLetters appends JSON lines to a file.
// KafkaDeadLetters (stream/kafka_dead_letters.h) produces them to a topic.
//
// Threads: thread-safe.  Owns: what is submitted and not yet durable.
// Failure: submit never fails; acknowledge says why letters are not durable, and each call tries again.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "core/event_batch.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/status.h"

namespace freshet {

struct RecordHeader {
  std::string_view name;
  std::string_view value;
};

// One record and what is wrong with it; borrowed for the call.
struct DeadLetter {
  std::string_view topic;
  Position position;
  SkipReason reason = SkipReason::kMalformed;
  std::string_view detail;
  const std::string_view* key = nullptr;    // null: the record has no key
  const std::string_view* value = nullptr;  // null: the record has no value
  std::int64_t timestamp_ms = 0;
  std::span<const RecordHeader> headers;
};

// Tombstones and redelivered records are counted but are nobody's mistake.
inline bool is_dead_letter(SkipReason reason) {
  return reason != SkipReason::kTombstone && reason != SkipReason::kDuplicate;
}

// One counter for each reason, label `reason`.
class ReasonCounters {
 public:
  ReasonCounters(MetricsRegistry& metrics, std::string_view name, std::string_view help);
  void count(SkipReason reason) { counters_[static_cast<std::size_t>(reason)]->increment(); }

 private:
  std::array<Counter*, kSkipReasons> counters_{};
};
ReasonCounters skipped_counters(MetricsRegistry& metrics);      // freshet_records_skipped_total
ReasonCounters dead_letter_counters(MetricsRegistry& metrics);  // freshet_dead_letters_total

class DeadLetterSink {
 public:
  virtual ~DeadLetterSink() = default;

  // Takes the letter; the ticket is greater than all before. Copies what it keeps.
  virtual std::uint64_t submit(const DeadLetter& letter) = 0;

  // Ok once every letter up to `ticket` is durable.
  virtual Status acknowledge(std::uint64_t ticket, std::chrono::milliseconds timeout) = 0;

  // True while so much is under way that the source should read no further.
  virtual bool backlogged() const { return false; }
};

class LogDeadLetters final : public DeadLetterSink {
 public:
  LogDeadLetters(MetricsRegistry& metrics, Log& log, const Clock& clock);
  std::uint64_t submit(const DeadLetter& letter) override;
  Status acknowledge(std::uint64_t, std::chrono::milliseconds) override { return Status::ok(); }

 private:
  ReasonCounters counters_;
  Log& log_;
  const Clock& clock_;
  std::mutex mutex_;
  std::uint64_t tickets_ = 0;
  std::uint64_t unlogged_ = 0;
  std::int64_t logged_ns_ = 0;
  bool logged_any_ = false;
};

class FileDeadLetters final : public DeadLetterSink {
 public:
  static Result<std::unique_ptr<FileDeadLetters>> open(const std::string& path, MetricsRegistry& metrics);
  ~FileDeadLetters() override;
  std::uint64_t submit(const DeadLetter& letter) override;
  Status acknowledge(std::uint64_t ticket, std::chrono::milliseconds timeout) override;

 private:
  FileDeadLetters(std::FILE* file, std::string path, MetricsRegistry& metrics);
  ReasonCounters counters_;
  std::string path_;
  std::mutex mutex_;
  std::FILE* file_;
  std::string line_;
  std::uint64_t tickets_ = 0;
  std::uint64_t durable_ = 0;
  bool failed_ = false;
};

}  // namespace freshet
