#include "stream/file_source.h"

#include <fmt/format.h>

#include <algorithm>

#include "stream/record_identity.h"
#include "stream/stream_metrics.h"

namespace freshet {
namespace {

bool blank(std::string_view text) { return text.find_first_not_of(" \t\r") == std::string_view::npos; }

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return text.substr(0, kMark.size()) == kMark ? text.substr(kMark.size()) : text;
}

}  // namespace

FileSource::FileSource(const FileSourceOptions& options, std::unique_ptr<LineReader> lines, const Schema& schema,
                       DeadLetterSink& dead_letters, MetricsRegistry& metrics, const Clock& clock)
    : path_(options.path),
      record_bytes_max_(options.decoder.record_bytes_max),
      lines_(std::move(lines)),
      decoder_(schema, options.decoder),
      dead_letters_(dead_letters),
      clock_(clock),
      consumed_(consumed_counter(metrics)),
      decoded_(decoded_counter(metrics)),
      skipped_(skipped_counters(metrics)) {}

Result<std::unique_ptr<FileSource>> FileSource::open(const FileSourceOptions& options, const Schema& schema,
                                                     DeadLetterSink& dead_letters, MetricsRegistry& metrics,
                                                     const Clock& clock) {
  auto lines = TRY(LineReader::open(options.path, options.decoder.record_bytes_max));
  return std::unique_ptr<FileSource>(new FileSource(options, std::move(lines), schema, dead_letters, metrics, clock));
}

Status FileSource::start(const NextOffsets& next_offsets) {
  for (const auto& [partition, offset] : next_offsets) {
    if (partition != 0) {
      return failed_precondition(fmt::format(
          "the store knows partition {}, but '{}' is a file, which has partition 0 only", partition, path_));
    }
    if (!TRY(lines_->skip(offset))) {
      return failed_precondition(fmt::format(
          "'{}' has fewer than the {} lines that the store has learnt from; is it the same file?", path_, offset));
    }
  }
  return Status::ok();
}

Result<SourceState> FileSource::next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds) {
  batch.clear();
  if (stopped_ || at_end_) return SourceState::kEnd;
  const std::size_t limit = std::min(events_max, batch.capacity());
  const std::int64_t now = clock_.monotonic_ns();
  std::size_t records = 0;
  Line line;
  while (batch.size() < limit && batch.skipped.size() < batch.capacity()) {
    if (!TRY(lines_->next(line))) {
      at_end_ = true;
      break;
    }
    std::string_view text = line.number == 0 ? without_byte_order_mark(line.text) : line.text;
    if (blank(text)) {
      line.text = {};                       // asking for the end may move the block
      if (TRY(lines_->at_end())) continue;  // a file may end with an empty line
      ++records;
      skip(batch, line, SkipReason::kEmpty, "the line is blank");
      continue;
    }
    ++records;
    if (line.size > record_bytes_max_) {
      skip(batch, line, SkipReason::kTooLarge,
           fmt::format("the line has {} bytes, record_bytes_max is {}", line.size, record_bytes_max_));
      continue;
    }
    const DecodeOutcome outcome = decoder_.decode(text, batch);
    if (!outcome) {
      skip(batch, line, outcome.reason, outcome.detail);
      continue;
    }
    const std::size_t row = batch.size();
    batch.positions[row] = {0, line.number};
    batch.value_hashes[row] = hash_text(text);
    batch.arrival_ns[row] = now;
    if (batch.key_hashes[row] == 0) batch.key_hashes[row] = hash_position(batch.positions[row]);
    batch.commit_row();
  }
  consumed_.add(static_cast<double>(records));
  decoded_.add(static_cast<double>(batch.size()));
  if (!batch.empty()) return SourceState::kEvents;
  return at_end_ ? SourceState::kEnd : SourceState::kIdle;
}

void FileSource::skip(EventBatch& batch, const Line& line, SkipReason reason, std::string_view detail) {
  skipped_.count(reason);
  DeadLetter letter;
  letter.topic = path_;
  letter.position = {0, line.number};
  letter.reason = reason;
  letter.detail = detail;
  letter.value = &line.text;
  batch.skipped.push_back({letter.position, reason});
  batch.dead_letter_ticket = dead_letters_.submit(letter);
}

Status FileSource::acknowledge_dead_letters(std::uint64_t ticket, std::chrono::milliseconds timeout) {
  return ticket == 0 ? Status::ok() : dead_letters_.acknowledge(ticket, timeout);
}

SourceProgress FileSource::progress() const { return {lines_->file().bytes_read(), lines_->file().bytes_total()}; }

}  // namespace freshet
