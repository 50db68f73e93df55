#include "stream/polled_batch.h"

#include <algorithm>
#include <utility>

namespace freshet {

void append_rows(const EventBatch& from, std::size_t begin, std::size_t end, EventBatch& to) {
  const std::size_t count = end - begin;
  const std::size_t at = to.size();
  if (at + count > to.capacity()) abort_with("rows appended past an EventBatch's capacity");
  if (count == 0) return;
  for (std::uint32_t c = 0; c < from.number_columns(); ++c) {
    std::copy_n(from.numbers(c) + begin, count, to.numbers(c) + at);
  }
  for (std::uint32_t c = 0; c < from.category_columns(); ++c) {
    std::copy_n(from.categories(c) + begin, count, to.categories(c) + at);
  }
  const std::size_t floats = from.vectors(begin).size();
  std::copy_n(from.vectors(begin).data(), count * floats, to.vectors(at).data());
  const auto copy = [&](const auto& source, auto& target) {
    std::copy_n(source.data() + begin, count, target.data() + at);
  };
  copy(from.positions, to.positions);
  copy(from.labels, to.labels);
  copy(from.weights, to.weights);
  copy(from.time_ms, to.time_ms);
  copy(from.key_hashes, to.key_hashes);
  copy(from.value_hashes, to.value_hashes);
  copy(from.arrival_ns, to.arrival_ns);
  for (std::size_t i = 0; i < count; ++i) to.commit_row();
}

void PolledBatch::clear() {
  events.clear();
  rows_taken_ = 0;
  skipped_taken_ = 0;
}

void PolledBatch::skip(SkippedRecord record, std::uint64_t dead_letter_ticket) {
  record.rows_before = static_cast<std::uint32_t>(events.size());
  events.skipped.push_back(record);
  if (dead_letter_ticket != 0) events.dead_letter_ticket = dead_letter_ticket;
}

bool PolledBatch::take(EventBatch& out, std::size_t events_max) {
  const std::size_t room = std::min(events_max, out.capacity());
  if (rows_taken_ == 0 && skipped_taken_ == 0 && events.size() <= room && out.capacity() == events.capacity()) {
    std::swap(out, events);
    clear();
    return true;
  }
  out.clear();
  std::swap(out.resets, events.resets);
  const std::size_t end = std::min(events.size(), rows_taken_ + room);
  append_rows(events, rows_taken_, end, out);
  while (skipped_taken_ < events.skipped.size() && events.skipped[skipped_taken_].rows_before <= end) {
    SkippedRecord& record = out.skipped.emplace_back(events.skipped[skipped_taken_++]);
    record.rows_before -= static_cast<std::uint32_t>(rows_taken_);
  }
  rows_taken_ = end;
  out.dead_letter_ticket = out.skipped.empty() ? 0 : events.dead_letter_ticket;
  return end == events.size() && skipped_taken_ == events.skipped.size();
}

}  // namespace freshet
