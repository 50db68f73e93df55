#include "stream/embedded_broker.h"

#include <gtest/gtest.h>

#include <thread>

#include "stream/kafka_source.h"

namespace freshet {
namespace {

using namespace std::chrono_literals;

EventSpec spec() {
  EventSpec spec;
  spec.features = {{.name = "x", .kind = FeatureKind::kNumber}};
  spec.label = {.field = "label", .classes = 2};
  return spec;
}

TEST(EmbeddedBroker, ASlowReaderOfAPacedProducerMissesNothing) {
  auto broker = EmbeddedBroker::start();
  ASSERT_TRUE(broker.is_ok()) << broker.status().to_string();
  ASSERT_TRUE((*broker)->create_topic("t", 2).is_ok());

  const Schema schema(spec());
  LocalMetrics metrics;
  MemoryLog log;
  SystemClock clock;
  LogDeadLetters letters(metrics, log, clock);
  KafkaSourceOptions options;
  options.connection.brokers = (*broker)->brokers();
  options.topic = "t";
  options.fail_on_gap = true;
  options.pause_at_batches = 4;
  options.resume_at_batches = 1;
  auto source = KafkaSource::create(options, schema, letters, metrics, log, clock);
  ASSERT_TRUE(source.is_ok()) << source.status().to_string();
  ASSERT_TRUE((*source)->start({}).is_ok());

  // 12 MB a partition, more than twice what the broker keeps.
  constexpr int kEvents = 80'000;
  auto producer = PacedProducer::create({(*broker)->brokers(), "t", 2},
                                        [&](std::int32_t partition) { return (*source)->next_offset(partition); });
  ASSERT_TRUE(producer.is_ok());
  Status sent;
  std::thread thread([&] {
    const std::string pad(270, 'p');
    for (int i = 0; i < kEvents && sent.is_ok(); ++i) {
      sent = (*producer)->send(i % 2, "{\"x\": " + std::to_string(i) + ", \"label\": 1, \"pad\": \"" + pad + "\"}", 0);
    }
    if (sent.is_ok()) sent = (*producer)->flush(30'000);
  });
  EventBatch batch(schema, 1024);
  std::size_t events = 0;
  std::vector<std::int64_t> next(2, 0);
  const auto deadline = std::chrono::steady_clock::now() + 120s;
  while (events < kEvents && std::chrono::steady_clock::now() < deadline) {
    const auto state = (*source)->next(batch, 700, 100ms);
    if (!state.is_ok()) {
      ADD_FAILURE() << state.status().to_string();
      break;
    }
    for (std::size_t row = 0; row < batch.size(); ++row) {
      const auto& position = batch.positions[row];
      EXPECT_EQ(position.offset, next[static_cast<std::size_t>(position.partition)]++);
      EXPECT_EQ(batch.numbers(0)[row], static_cast<float>(2 * position.offset + position.partition));
    }
    events += batch.size();
  }
  (*producer)->cancel();
  thread.join();
  EXPECT_TRUE(sent.is_ok()) << sent.to_string();
  EXPECT_EQ(events, static_cast<std::size_t>(kEvents));
  (*source)->stop();
}

TEST(EmbeddedBroker, AProducerThatIsCancelledStopsWaiting) {
  auto broker = EmbeddedBroker::start();
  ASSERT_TRUE(broker.is_ok());
  ASSERT_TRUE((*broker)->create_topic("t", 1).is_ok());
  auto producer = PacedProducer::create({(*broker)->brokers(), "t", 1, 10'000}, [](std::int32_t) { return 0; });
  ASSERT_TRUE(producer.is_ok());
  Status status;
  std::thread thread([&] {
    const std::string value(1000, 'v');
    while (status.is_ok()) status = (*producer)->send(0, value, 0);
  });
  while ((*producer)->sent() < 10) std::this_thread::yield();
  (*producer)->cancel();
  thread.join();
  EXPECT_EQ(status.code(), Code::kCancelled);
  EXPECT_EQ((*producer)->sent(), 10U);
}

}  // namespace
}  // namespace freshet
