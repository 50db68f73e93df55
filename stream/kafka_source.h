// KafkaSource: a Kafka topic as an EventSource. A thread of its own polls, decodes and fills batches, so that however
// long training takes, the group membership lives on. A full queue pauses the partitions; polling goes on.
//
// Positions are ours: a partition is always read from the position that our store has, or that was handed to the queue
// since, never from the broker's committed offsets, which only mirror ours for tools that show lag. A partition that
// another member of the group takes and gives back goes on exactly where it stopped.
//
// Threads: as EventSource; `next_offset` may be called from any.  Owns: the consumer, its thread, the queue.
// Failure: a broker that is away is waited for, and shows in metrics and log. next() fails on fatal errors of the
// client, on offsets that the broker has lost (unless on_lost_offsets allows them), and on gaps where they are
// forbidden.
#pragma once

#include <memory>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"
#include "stream/dead_letters.h"
#include "stream/event_source.h"
#include "stream/json_decoder.h"
#include "stream/kafka_options.h"

namespace freshet {

enum class StartAt : std::uint8_t { kEarliest, kLatest };
enum class LostOffsets : std::uint8_t { kFail, kEarliest, kLatest };

struct KafkaSourceOptions {
  KafkaConnection connection{};
  std::string topic{};
  std::string group = "freshet";
  StartAt start = StartAt::kEarliest;  // of partitions that our store does not know
  LostOffsets on_lost_offsets = LostOffsets::kFail;
  bool fail_on_gap = false;  // gaps are legal (transactions, compaction), but not where nobody makes them
  // A record with a key and no value erases the events of that key (SkippedRecord::key_hash). Where the key is a field
  // of the event, the record's key is taken for that field's value.
  bool erase_on_tombstone = false;
  DecoderOptions decoder{};

  std::size_t batch_events = 1024;
  std::size_t pause_at_batches = 16;    // queued batches at which the partitions are paused
  std::size_t resume_at_batches = 4;    // and at which they go on
  std::chrono::milliseconds linger{5};  // how long a batch that is not full waits for more
  std::chrono::milliseconds statistics_every{1000};
  std::chrono::milliseconds stop_timeout{10'000};
};

class KafkaPoller;

class KafkaSource final : public EventSource {
 public:
  // Checks the options and makes the consumer; connects in start().
  static Result<std::unique_ptr<KafkaSource>> create(const KafkaSourceOptions& options, const Schema& schema,
                                                     DeadLetterSink& dead_letters, MetricsRegistry& metrics, Log& log,
                                                     const Clock& clock);
  ~KafkaSource() override;

  Status start(const NextOffsets& next_offsets) override;
  Result<SourceState> next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds wait) override;
  void committed(const NextOffsets& next_offsets) override;
  Status acknowledge_dead_letters(std::uint64_t ticket, std::chrono::milliseconds timeout) override;
  void stop() override;
  SourceProgress progress() const override;

  // The offset after the last record that was polled and decoded; 0 before the first.
  std::int64_t next_offset(std::int32_t partition) const;

 private:
  explicit KafkaSource(std::unique_ptr<KafkaPoller> poller, DeadLetterSink& dead_letters);
  std::unique_ptr<KafkaPoller> poller_;
  DeadLetterSink& dead_letters_;
  struct Taken;
  std::unique_ptr<Taken> taken_;  // the batch that next() is taking from
};

}  // namespace freshet
