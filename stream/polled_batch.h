// PolledBatch: a batch on its way from the poll thread to the pipeline, which may take it in parts: rounds are cut at
// exact counts, and a skipped record must not be handed out before the events that stand before it.
//
// Threads: one owner at a time.  Owns: its events.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/event_batch.h"

namespace freshet {

class PolledBatch {
 public:
  PolledBatch(const Schema& schema, std::size_t capacity) : events(schema, capacity) {}

  void clear();
  bool full() const { return events.full() || events.skipped.size() >= events.capacity(); }
  // Only while nothing else is in the batch.
  void reset(const OffsetReset& reset) { events.resets.push_back(reset); }
  void skip(SkippedRecord record, std::uint64_t dead_letter_ticket);  // sets rows_before; ticket 0: none

  // Moves at most `events_max` of the rows not yet taken, and what was skipped among and after them, to `out`, which
  // is cleared first. True once everything is taken.
  bool take(EventBatch& out, std::size_t events_max);

  EventBatch events;

 private:
  std::size_t rows_taken_ = 0;
  std::size_t skipped_taken_ = 0;
};

// Appends rows [begin, end) of `from` to `to`, which has the same schema and must have room.
void append_rows(const EventBatch& from, std::size_t begin, std::size_t end, EventBatch& to);

}  // namespace freshet
