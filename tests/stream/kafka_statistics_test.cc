#include "stream/kafka_statistics.h"

#include <gtest/gtest.h>

#include <string>

namespace freshet {
namespace {

constexpr std::int64_t kNow = 1'000'000'000;

class KafkaStatisticsTest : public ::testing::Test {
 protected:
  // What librdkafka tells of one broker and one partition of it.
  static std::string text(const std::string& state, std::int64_t idle_us, std::int64_t end, std::int64_t broker = 7) {
    return R"({"brokers":{"a:9092/7":{"nodeid":7,"state":")" + state + R"(","rxidle":)" + std::to_string(idle_us) +
           R"(,"rtt":{"avg":1500}}},"topics":{"flights":{"partitions":{"0":{"partition":0,"broker":)" +
           std::to_string(broker) + R"(,"ls_offset":)" + std::to_string(end) +
           R"(,"fetchq_cnt":0,"next_offset":0}}}}})";
  }
  void update(const std::string& json, std::int64_t next, std::int64_t wall_ms, bool ours = true) {
    statistics_.update(json, {{0, next}}, ours ? std::set<std::int32_t>{0} : std::set<std::int32_t>{}, wall_ms);
  }
  double metric(const std::string& name) {
    const std::string help = name == "freshet_lag_events" ? "Records in the partition that are not yet read."
                                                          : "Age of the last record read while there are newer ones, "
                                                            "or time since the broker was last heard if that is over "
                                                            "10 s; else 0.";
    return metrics_.gauge(name, help, {{"partition", "0"}}).value();
  }
  double lag() { return metric("freshet_lag_seconds"); }

  LocalMetrics metrics_;
  KafkaStatistics statistics_{metrics_, "flights"};
};

TEST_F(KafkaStatisticsTest, LagIsTheAgeOfTheLastRecordWhileThereAreNewerOnes) {
  statistics_.read(0, kNow - 40'000);
  update(text("UP", 100'000, 50), 20, kNow);
  EXPECT_EQ(metric("freshet_lag_events"), 30);
  EXPECT_EQ(lag(), 40);
  update(text("UP", 100'000, 50), 50, kNow + 1000);
  EXPECT_EQ(metric("freshet_lag_events"), 0);
  EXPECT_EQ(lag(), 0);
}

TEST_F(KafkaStatisticsTest, ASilentBrokerIsLag) {
  statistics_.read(0, kNow - 1'000);
  update(text("UP", 0, 50), 50, kNow);
  update(text("UP", 10'000'000, 50), 50, kNow + 10'000);  // still connected, but it says nothing
  EXPECT_EQ(lag(), 0) << "ten seconds are borne";
  update(text("UP", 30'000'000, 50), 50, kNow + 30'000);
  EXPECT_EQ(lag(), 30);
  update(text("DOWN", -1, 50), 50, kNow + 60'000);
  EXPECT_EQ(lag(), 60);
  update(text("CONNECT", -1, 50, -1), 50, kNow + 90'000);  // the partition has lost its leader
  EXPECT_EQ(lag(), 90);
  EXPECT_EQ(metric("freshet_lag_events"), 0) << "of records that nobody has told of nothing is made up";
  update(text("UP", 200'000, 50), 50, kNow + 100'000);
  EXPECT_EQ(lag(), 0);
}

TEST_F(KafkaStatisticsTest, TheOlderOfAgeAndSilenceCounts) {
  statistics_.read(0, kNow - 100'000);
  update(text("UP", 0, 50), 20, kNow);
  update(text("DOWN", -1, 50), 20, kNow + 60'000);
  EXPECT_EQ(lag(), 160);
}

TEST_F(KafkaStatisticsTest, AnotherMembersPartitionIsNoLagOfOurs) {
  update(text("UP", 0, 50), 20, kNow);
  update(text("DOWN", -1, 50), 20, kNow + 60'000, /*ours=*/false);
  EXPECT_EQ(metric("freshet_lag_events"), 0);
  EXPECT_EQ(lag(), 0);
  update(text("DOWN", -1, 50), 50, kNow + 90'000);
  EXPECT_EQ(lag(), 0) << "silence counts from when it became ours again";
}

TEST_F(KafkaStatisticsTest, TextThatCannotBeReadChangesNothing) {
  statistics_.read(0, kNow - 40'000);
  update(text("UP", 0, 50), 20, kNow);
  update("{", 50, kNow + 1000);
  update("[]", 50, kNow + 1000);
  EXPECT_EQ(lag(), 40);
}

}  // namespace
}  // namespace freshet
