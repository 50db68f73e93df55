// EmbeddedBroker: a Kafka broker within this process (librdkafka's mock cluster) for demos and tests. It speaks Kafka
// on 127.0.0.1 to this process and others, keeps 5 MiB a partition and nothing on disk.
//
// PacedProducer: a producer that lets the reader of such a broker keep up: it waits while 4 MiB of a partition are
// unread, because the broker would soon drop them.
//
// Threads: EmbeddedBroker is immutable; PacedProducer has one owner, cancel and sent may be called from any thread.
// Owns: the cluster; the producer.  Failure: a record that is not delivered fails the next send or flush.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace freshet {

class EmbeddedBroker {
 public:
  static Result<std::unique_ptr<EmbeddedBroker>> start();
  ~EmbeddedBroker();

  const std::string& brokers() const { return brokers_; }  // for KafkaConnection::brokers
  Status create_topic(const std::string& topic, std::int32_t partitions);

 private:
  EmbeddedBroker();
  struct Cluster;
  std::unique_ptr<Cluster> cluster_;
  std::string brokers_;
};

struct PacedProducerOptions {
  std::string brokers{};
  std::string topic{};
  std::int32_t partitions = 1;
  std::size_t unread_bytes_max = std::size_t{4} << 20;  // a partition
};

class PacedProducer {
 public:
  // `next_offset` tells, for a partition, which offset its reader reads next. The topic must be new and have no other
  // producer.
  static Result<std::unique_ptr<PacedProducer>> create(const PacedProducerOptions& options,
                                                       std::function<std::int64_t(std::int32_t)> next_offset);
  ~PacedProducer();

  // Waits for room, then sends. cancelled once cancel() was called.
  Status send(std::int32_t partition, std::string_view value, std::int64_t timestamp_ms);

  // Waits until everything sent is acknowledged by the broker.
  Status flush(std::int64_t timeout_ms);

  void cancel() { cancelled_ = true; }
  std::uint64_t sent() const { return sent_; }

 private:
  struct Client;
  struct Unread {
    std::int64_t next_offset = 0;  // of the next record sent
    std::size_t bytes = 0;
    std::deque<std::uint32_t> sizes;  // of the records from offset next_offset - sizes.size() on
  };
  PacedProducer(PacedProducerOptions options, std::function<std::int64_t(std::int32_t)> next_offset);
  bool has_room(std::int32_t partition);

  PacedProducerOptions options_;
  std::function<std::int64_t(std::int32_t)> next_offset_;
  std::vector<Unread> unread_;
  std::atomic<bool> cancelled_{false};
  std::atomic<std::uint64_t> sent_{0};
  std::unique_ptr<Client> client_;
};

}  // namespace freshet
