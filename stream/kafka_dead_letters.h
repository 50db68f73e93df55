// KafkaDeadLetters: produces dead letters to a topic, with the headers of Kafka Connect, the record's own headers, and
// its key, value and timestamp as they were.
//
// A letter too large for the topic is sent again with its value cut to 64 KiB and the header "freshet.value.bytes",
// its true size: one record must not stop the stream for good.
//
// Threads: thread-safe.  Owns: a producer of its own (acks=all, idempotent) and the letters not yet delivered.
// Failure: a broker that is away is retried without end; acknowledge answers unavailable meanwhile. Letters that the
// broker refuses are produced again by the next acknowledge.
#pragma once

#include <memory>

#include "stream/dead_letters.h"
#include "stream/kafka_options.h"

namespace freshet {

struct KafkaDeadLetterOptions {
  KafkaConnection connection{};
  std::string topic{};
  std::string connector_name = "freshet";  // header __connect.errors.connector.name
  std::size_t backlog_bytes_max = std::size_t{64} << 20;
};

class KafkaDeadLetters final : public DeadLetterSink {
 public:
  static Result<std::unique_ptr<KafkaDeadLetters>> create(const KafkaDeadLetterOptions& options,
                                                          MetricsRegistry& metrics, Log& log);
  ~KafkaDeadLetters() override;
  std::uint64_t submit(const DeadLetter& letter) override;
  Status acknowledge(std::uint64_t ticket, std::chrono::milliseconds timeout) override;
  bool backlogged() const override;

 private:
  class Producer;
  explicit KafkaDeadLetters(std::unique_ptr<Producer> producer);
  std::unique_ptr<Producer> producer_;
};

}  // namespace freshet
