// EventSource: where the pipeline gets its events from: a Kafka topic, or a file read as if it were one.
//
// Life: start once, next again and again, committed after each durable commit, stop once.
//
// Threads: start, next, committed and acknowledge_dead_letters belong to one thread (ingest); stop may come from any,
// and so may lag and progress.
// Failure: next fails when the source cannot go on without losing or repeating events; nothing was handed out then.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>

#include "core/event_batch.h"
#include "core/status.h"

namespace freshet {

enum class SourceState : std::uint8_t {
  kEvents,  // the batch has events or skipped records
  kIdle,    // nothing at hand now
  kEnd,     // there will be nothing more: a file is at its end, or the source was stopped
};

// Partition -> the offset that is read next.
using NextOffsets = std::map<std::int32_t, std::int64_t>;

struct SourceProgress {
  std::uint64_t bytes_read = 0;
  std::uint64_t bytes_total = 0;  // 0 where there is no end
};

class EventSource {
 public:
  virtual ~EventSource() = default;

  // Begins to read, in each partition at `next_offsets` (from our store), where absent as the source's options say.
  virtual Status start(const NextOffsets& next_offsets) = 0;

  // Replaces the contents of `batch` with at most `events_max` events, in order, fewer when no more are at hand, and
  // the records skipped between and after them. Waits up to `wait` for the first. Never hands out more than
  // `events_max` or batch.capacity() events, so a round can be cut at an exact count.
  virtual Result<SourceState> next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds wait) = 0;

  // Tells the source which positions are durable in our store; a broker is shown them as its committed offsets.
  virtual void committed(const NextOffsets& next_offsets) = 0;

  // Waits until the dead letters up to `ticket` are durable. Until it answers ok, positions that skip them must not be
  // committed; to call it again tries again.
  virtual Status acknowledge_dead_letters(std::uint64_t ticket, std::chrono::milliseconds timeout) = 0;

  // Ends reading and gives partitions back; what was read ahead and not handed out is dropped. Idempotent.
  virtual void stop() = 0;

  virtual SourceProgress progress() const = 0;
};

}  // namespace freshet
