#include "stream/dead_letters.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/json_writer.h"
#include "stream/json_text.h"

namespace freshet {
namespace {
constexpr std::int64_t kLogEveryNs = 10'000'000'000;
}

ReasonCounters::ReasonCounters(MetricsRegistry& metrics, std::string_view name, std::string_view help) {
  for (std::size_t i = 0; i < kSkipReasons; ++i) {
    const auto reason = skip_reason_name(static_cast<SkipReason>(i));
    counters_[i] = &metrics.counter(name, help, {{"reason", std::string(reason)}});
  }
}

ReasonCounters skipped_counters(MetricsRegistry& metrics) {
  return {metrics, "freshet_records_skipped_total", "Records that did not become events, by reason."};
}

ReasonCounters dead_letter_counters(MetricsRegistry& metrics) {
  return {metrics, "freshet_dead_letters_total",
          "Records that could not be learnt from and were set aside, by reason."};
}

LogDeadLetters::LogDeadLetters(MetricsRegistry& metrics, Log& log, const Clock& clock)
    : counters_(dead_letter_counters(metrics)), log_(log), clock_(clock) {}

std::uint64_t LogDeadLetters::submit(const DeadLetter& letter) {
  counters_.count(letter.reason);
  const std::lock_guard lock(mutex_);
  ++unlogged_;
  const std::int64_t now = clock_.monotonic_ns();
  if (!logged_any_ || now - logged_ns_ >= kLogEveryNs) {
    log_.warning("dead_letter", "records cannot be learnt from and are not kept: no dead-letter topic is configured",
                 {{"records", unlogged_},
                  {"reason", skip_reason_name(letter.reason)},
                  {"detail", letter.detail},
                  {"topic", letter.topic},
                  {"partition", static_cast<std::int64_t>(letter.position.partition)},
                  {"offset", letter.position.offset}});
    logged_any_ = true;
    logged_ns_ = now;
    unlogged_ = 0;
  }
  return ++tickets_;
}

FileDeadLetters::FileDeadLetters(std::FILE* file, std::string path, MetricsRegistry& metrics)
    : counters_(dead_letter_counters(metrics)), path_(std::move(path)), file_(file) {}

FileDeadLetters::~FileDeadLetters() { std::fclose(file_); }

Result<std::unique_ptr<FileDeadLetters>> FileDeadLetters::open(const std::string& path, MetricsRegistry& metrics) {
  std::FILE* const file = std::fopen(path.c_str(), "ae");
  if (file == nullptr) {
    return unavailable(fmt::format("cannot open the dead-letter file '{}': {}", path, std::strerror(errno)));
  }
  return std::unique_ptr<FileDeadLetters>(new FileDeadLetters(file, path, metrics));
}

std::uint64_t FileDeadLetters::submit(const DeadLetter& letter) {
  counters_.count(letter.reason);
  const std::lock_guard lock(mutex_);
  line_ = "{\"topic\":";
  append_json_text(line_, letter.topic);
  fmt::format_to(std::back_inserter(line_),
                 ",\"partition\":{},\"offset\":{},\"reason\":\"{}\",\"message\":", letter.position.partition,
                 letter.position.offset, skip_reason_name(letter.reason));
  append_json_text(line_, letter.detail);
  if (letter.key != nullptr) {
    line_.push_back(',');
    append_json_bytes(line_, "key", *letter.key);
  }
  if (letter.value != nullptr) {
    line_.push_back(',');
    append_json_bytes(line_, "value", *letter.value);
  }
  line_ += "}\n";
  failed_ = std::fwrite(line_.data(), 1, line_.size(), file_) != line_.size() || failed_;
  return ++tickets_;
}

Status FileDeadLetters::acknowledge(std::uint64_t ticket, std::chrono::milliseconds) {
  const std::lock_guard lock(mutex_);
  if (ticket <= durable_) return Status::ok();
  if (failed_ || std::fflush(file_) != 0 || (fsync(fileno(file_)) != 0 && errno != EINVAL)) {
    failed_ = true;  // what part of the buffer was written is unknown, so a later flush proves nothing
    return unavailable(fmt::format("cannot write the dead-letter file '{}': {}", path_, std::strerror(errno)));
  }
  durable_ = tickets_;
  return Status::ok();
}

}  // namespace freshet
