// What the tests against a real broker share: a topic of their own, a producer, and a reader that notes every offset.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "stream/kafka_client.h"
#include "stream/kafka_dead_letters.h"
#include "stream/kafka_source.h"
#include "tests/support/kafka/kafka_broker.h"

namespace freshet {

using namespace std::chrono_literals;

inline EventSpec number_spec() {
  EventSpec spec;
  spec.features = {{.name = "x", .kind = FeatureKind::kNumber}};
  spec.label = {.field = "label", .classes = 2};
  return spec;
}

inline std::string event_json(std::int64_t x) { return "{\"x\": " + std::to_string(x) + ", \"label\": 1}"; }

class TestProducer {
 public:
  explicit TestProducer(const std::string& brokers, const std::string& transactional_id = "") {
    KafkaConfig config("a test's producer");
    EXPECT_TRUE(config.set("bootstrap.servers", brokers).is_ok());
    EXPECT_TRUE(config.set("enable.idempotence", "true").is_ok());
    EXPECT_TRUE(config.set("linger.ms", "1").is_ok());
    if (!transactional_id.empty()) {
      EXPECT_TRUE(config.set("transactional.id", transactional_id).is_ok());
    }
    rd_kafka_conf_set_log_cb(config.conf(), [](const rd_kafka_t*, int, const char*, const char*) {});
    auto made = config.create(RD_KAFKA_PRODUCER);
    EXPECT_TRUE(made.is_ok());
    client_ = std::move(made).value();
    if (!transactional_id.empty()) expect_ok(rd_kafka_init_transactions(client_.get(), 30'000));
  }
  void send(const std::string& topic, std::int32_t partition, std::string_view value, const char* key = nullptr,
            std::int64_t timestamp_ms = 0) {
    const std::string_view key_text = key == nullptr ? "" : key;
    KafkaRecord record;
    record.topic = topic;
    record.partition = partition;
    record.value = value.data() == nullptr ? nullptr : &value;
    record.key = key == nullptr ? nullptr : &key_text;
    record.timestamp_ms = timestamp_ms;
    EXPECT_EQ(produce_record(client_.get(), record), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  void send_events(const std::string& topic, std::int32_t partitions, std::int64_t first, std::int64_t count) {
    for (std::int64_t i = first; i < first + count; ++i) {
      for (std::int32_t p = 0; p < partitions; ++p) send(topic, p, event_json(i));
    }
    flush();
  }
  void flush() { EXPECT_EQ(rd_kafka_flush(client_.get(), 30'000), RD_KAFKA_RESP_ERR_NO_ERROR); }
  void begin() { expect_ok(rd_kafka_begin_transaction(client_.get())); }
  void commit() { expect_ok(rd_kafka_commit_transaction(client_.get(), 30'000)); }
  void abort() {
    flush();
    expect_ok(rd_kafka_abort_transaction(client_.get(), 30'000));
  }

 private:
  static void expect_ok(rd_kafka_error_t* error) {
    EXPECT_EQ(error, nullptr) << (error == nullptr ? "" : rd_kafka_error_string(error));
    if (error != nullptr) rd_kafka_error_destroy(error);
  }
  KafkaClient client_;
};

class KafkaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = KafkaBroker::shared();
    ASSERT_TRUE(started.is_ok()) << started.status().message();
    broker = *started;
    topic = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    options.connection.brokers = broker->brokers();
    options.connection.properties = {
        {"session.timeout.ms", "6000"}, {"heartbeat.interval.ms", "500"}, {"reconnect.backoff.max.ms", "500"}};
    options.topic = topic;
    options.group = "group-" + topic;
    options.statistics_every = 100ms;
    options.stop_timeout = 5s;
  }

  std::unique_ptr<KafkaSource> open(const NextOffsets& next_offsets = {}, DeadLetterSink* letters = nullptr) {
    auto source =
        KafkaSource::create(options, schema, letters == nullptr ? log_letters : *letters, metrics, log, clock);
    EXPECT_TRUE(source.is_ok()) << source.status().to_string();
    EXPECT_TRUE((*source)->start(next_offsets).is_ok());
    return std::move(source).value();
  }

  // Reads until `done`; false after `patience`.
  bool read_until(KafkaSource& source, const std::function<bool()>& done, std::chrono::seconds patience = 60s) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      const auto state = source.next(batch, events_max, 50ms);
      if (!state.is_ok()) {
        failure = state.status();
        return false;
      }
      EXPECT_LE(batch.size(), events_max);
      if (!batch.resets.empty() && resets.empty()) events_before_reset = events;
      resets.insert(resets.end(), batch.resets.begin(), batch.resets.end());
      for (std::size_t row = 0; row < batch.size(); ++row) {
        offsets[batch.positions[row].partition].push_back(batch.positions[row].offset);
        ++events;
      }
      for (const auto& record : batch.skipped) skipped.push_back(record);
      ticket = std::max(ticket, batch.dead_letter_ticket);
    }
    return true;
  }
  bool read_events(KafkaSource& source, std::size_t count) {
    return read_until(source, [&] { return events >= count; });
  }
  // Every offset from `first` up to `end`, in order, none twice.
  void expect_exactly(std::int32_t partition, std::int64_t first, std::int64_t end) {
    std::vector<std::int64_t> expected;
    for (std::int64_t offset = first; offset < end; ++offset) expected.push_back(offset);
    EXPECT_EQ(offsets[partition], expected) << "partition " << partition;
  }
  double counter(const std::string& name, const std::string& help) { return metrics.counter(name, help).value(); }
  double gaps() {
    return counter("freshet_offset_gaps_total", "Places where offsets are missing between two records read.");
  }
  double assigned() {
    return metrics.gauge("freshet_assigned_partitions", "Partitions that this process reads.").value();
  }
  double paused() {
    return metrics.gauge("freshet_consumer_paused", "1 while the pipeline cannot keep up and fetching rests.").value();
  }

  KafkaBroker* broker = nullptr;
  std::string topic;
  KafkaSourceOptions options;
  Schema schema{number_spec()};
  EventBatch batch{schema, 1024};
  LocalMetrics metrics;
  MemoryLog log;
  SystemClock clock;
  LogDeadLetters log_letters{metrics, log, clock};
  std::size_t events_max = 1000;
  std::size_t events = 0;
  std::map<std::int32_t, std::vector<std::int64_t>> offsets;
  std::vector<SkippedRecord> skipped;
  std::vector<OffsetReset> resets;
  std::size_t events_before_reset = 0;  // the first of them
  std::uint64_t ticket = 0;
  Status failure;
};

}  // namespace freshet
