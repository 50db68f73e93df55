// KafkaPoller: the poll thread of a KafkaSource: consumer, rebalances, decoding, positions, pausing.
//
// Threads: `run` is the poll thread; the callbacks of librdkafka run on it too, from within its polls. The public
// methods belong to others and share the queue, and under mutex_ the positions, the assignment and the failure.
// Owns: consumer, decoder, batches.  Failure: the first failure stops the polling of records and is kept for next().
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "core/bounded_queue.h"
#include "stream/kafka_client.h"
#include "stream/kafka_source.h"
#include "stream/kafka_statistics.h"
#include "stream/polled_batch.h"

namespace freshet {

class KafkaPoller {
 public:
  KafkaPoller(const KafkaSourceOptions& options, const Schema& schema, DeadLetterSink& dead_letters,
              MetricsRegistry& metrics, Log& log, const Clock& clock);
  ~KafkaPoller();

  Status create();
  Status start(const NextOffsets& next_offsets);
  std::unique_ptr<PolledBatch> pop(std::chrono::milliseconds wait);  // null: nothing came
  void recycle(std::unique_ptr<PolledBatch> batch);
  Status failure() const;
  bool stopped() const { return stopping_; }
  void commit(const NextOffsets& next_offsets);
  void stop();
  std::int64_t next_offset(std::int32_t partition) const;
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  static void on_rebalance(rd_kafka_t* client, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* partitions,
                           void* self);
  static void on_error(rd_kafka_t* client, int code, const char* reason, void* self);
  static void on_log(const rd_kafka_t* client, int level, const char* facility, const char* text);
  static int on_statistics(rd_kafka_t* client, char* json, std::size_t size, void* self);
  static void on_commit(rd_kafka_t* client, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* offsets,
                        void* self);

  void run();
  void assign(rd_kafka_topic_partition_list_t& partitions);
  void revoke(rd_kafka_topic_partition_list_t& partitions);
  void meet_topic(const rd_kafka_topic_partition_list_t& assigned);
  std::int64_t first_offset(std::int32_t partition);
  void note_reset(std::int32_t partition, std::int64_t next_offset);
  void handle(const rd_kafka_message_t& message);
  void handle_record(const rd_kafka_message_t& message);
  void handle_error(const rd_kafka_message_t& message);
  void handle_lost_offset(std::int32_t partition);
  void read_from(std::int32_t partition, std::int64_t offset);
  std::uint64_t erasure_of(const rd_kafka_message_t& message) const;
  void skip(const rd_kafka_message_t& message, SkipReason reason, std::string_view detail,
            std::uint64_t erased_key = 0);
  void hand_over(bool wait);
  void steer_flow();
  void pause(bool paused);
  void fail(Status status);
  void close();
  KafkaPartitions assigned_partitions() const;
  KafkaPartitions committable(const NextOffsets& next_offsets) const;

  const KafkaSourceOptions options_;
  const Schema& schema_;
  DeadLetterSink& dead_letters_;
  Log& log_;
  const Clock& clock_;
  KafkaEvents events_;
  KafkaStatistics statistics_;
  JsonDecoder decoder_;
  ReasonCounters skipped_;
  Counter& consumed_;
  Counter& decoded_;
  Counter& gaps_;
  Counter& lost_;
  Counter& rebalances_;
  Gauge& paused_gauge_;
  Gauge& assigned_gauge_;

  KafkaClient client_;
  BoundedQueue<std::unique_ptr<PolledBatch>> queue_;
  BoundedQueue<std::unique_ptr<PolledBatch>> free_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> bytes_{0};

  mutable std::mutex mutex_;
  std::map<std::int32_t, std::int64_t> next_offsets_;  // what the next record of each partition may be at the earliest
  std::set<std::int32_t> assigned_;
  NextOffsets durable_;
  Status failure_;

  // The poll thread's own.
  std::unique_ptr<PolledBatch> batch_;
  std::int64_t batch_begun_ns_ = 0;
  std::set<std::int32_t> orphans_;  // partitions that were lost with the group, until it meets again: their lag grows
  bool paused_ = false;
  bool topic_is_new_ = false;  // to our store: `start` counts for the partitions that it has now
};

}  // namespace freshet
