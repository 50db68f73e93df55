// Every offset of a topic is learnt exactly once, whatever happens to the daemon and its group on the way.
#include <gtest/gtest.h>

#include <csignal>
#include <vector>

#include "stream/kafka_client.h"
#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

constexpr std::int32_t kPartitions = 4;

// A consumer of somebody else's making that is in the daemon's group by mistake.
class ForeignConsumer {
 public:
  ForeignConsumer(const std::string& brokers, const std::string& group, const std::string& topic) {
    KafkaConfig config("a foreign consumer");
    for (const auto& [name, value] :
         std::vector<std::pair<std::string, std::string>>{{"bootstrap.servers", brokers},
                                                          {"group.id", group},
                                                          {"enable.auto.commit", "false"},
                                                          {"partition.assignment.strategy", "cooperative-sticky"},
                                                          {"auto.offset.reset", "earliest"},
                                                          {"session.timeout.ms", "2000"},
                                                          {"heartbeat.interval.ms", "300"}}) {
      EXPECT_TRUE(config.set(name, value).is_ok()) << name;
    }
    auto made = config.create(RD_KAFKA_CONSUMER);
    EXPECT_TRUE(made.is_ok());
    client_ = std::move(made).value();
    rd_kafka_poll_set_consumer(client_.get());
    const KafkaPartitions topics(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(topics.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
    EXPECT_EQ(rd_kafka_subscribe(client_.get(), topics.get()), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  ~ForeignConsumer() { rd_kafka_consumer_close(client_.get()); }
  ForeignConsumer(const ForeignConsumer&) = delete;
  ForeignConsumer& operator=(const ForeignConsumer&) = delete;

  // Takes what there is; the records read so far.
  std::size_t read() {
    for (rd_kafka_message_t* message = nullptr; (message = rd_kafka_consumer_poll(client_.get(), 1)) != nullptr;
         rd_kafka_message_destroy(message)) {
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) ++read_;
    }
    return read_;
  }

 private:
  KafkaClient client_;
  std::size_t read_ = 0;
};

class KafkaExactlyOnce : public KafkaIntegrationTest {};

TEST_F(KafkaExactlyOnce, StoppedAndStartedFiveTimes) {
  const auto lines = stream_or_flights(60'000);
  ASSERT_NO_FATAL_FAILURE(create_topic(kPartitions));
  ASSERT_NO_FATAL_FAILURE(learn_with_stops(lines, kPartitions, 5, SIGTERM, daemon_sets()));
  expect_exactly(path("state"), lines, kPartitions);
}

TEST_F(KafkaExactlyOnce, KilledAndStartedFiveTimes) {
  const auto lines = stream_or_flights(60'000);
  ASSERT_NO_FATAL_FAILURE(create_topic(kPartitions));
  ASSERT_NO_FATAL_FAILURE(learn_with_stops(lines, kPartitions, 5, SIGKILL, daemon_sets()));
  expect_exactly(path("state"), lines, kPartitions);
}

TEST_F(KafkaExactlyOnce, ForeignConsumerTakesPartitionsCommitsNothingAndLeaves) {
  const auto lines = stream_or_flights(60'000);
  ASSERT_NO_FATAL_FAILURE(create_topic(kPartitions));
  const std::string file = write("flights.jsonl", lines);
  Daemon daemon(example_config(), daemon_sets());
  ASSERT_TRUE(daemon.up());
  ChildProcess producer(produce_command(file, 6000));
  ASSERT_TRUE(daemon.wait_for_metric("freshet_events_total", 5000)) << daemon.log();
  {
    ForeignConsumer foreign(broker->brokers(), "group-" + topic, topic);
    ASSERT_TRUE(daemon.process().wait_until([&] { return foreign.read() >= 2000; }, kPatience)) << daemon.log();
    const double assigned = daemon.metric("freshet_assigned_partitions");
    EXPECT_GT(assigned, 0);
    EXPECT_LT(assigned, kPartitions);
    // It holds its partitions for a while yet: the daemon goes on with its own meanwhile.
    const double learnt = daemon.metric("freshet_events_total");
    ASSERT_TRUE(daemon.process().wait_until(
        [&] { return foreign.read() > 0 && daemon.metric("freshet_events_total") >= learnt + 2000; }, kPatience))
        << daemon.log();
    EXPECT_LT(daemon.metric("freshet_events_total"), static_cast<double>(lines.size()));
  }
  ASSERT_EQ(producer.wait(kPatience), 0) << producer.errors();
  ASSERT_TRUE(daemon.wait_for_events(static_cast<double>(lines.size()))) << daemon.log();
  ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
  expect_exactly(path("state"), lines, kPartitions);
}

}  // namespace
}  // namespace freshet::test
