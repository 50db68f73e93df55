#include "stream/kafka_notices.h"

#include <fmt/format.h>

#include "stream/consume.h"
#include "tests/stream/kafka_fixture.h"

namespace freshet {
namespace {

class KafkaNoticesTest : public KafkaTest {
 protected:
  KafkaNoticeOptions notices_to(const std::string& where) const {
    KafkaNoticeOptions made;
    made.connection.brokers = broker->brokers();
    made.topic = where;
    return made;
  }
};

TEST_F(KafkaNoticesTest, ArriveInOrderWithTheirKey) {
  ASSERT_TRUE(broker->create_topic(topic, 1, {}).is_ok());
  {
    const auto notices = KafkaNotices::create(notices_to(topic), metrics, log);
    ASSERT_TRUE(notices.is_ok()) << notices.status().to_string();
    for (int i = 0; i < 5; ++i) (*notices)->post("model", fmt::format("{{\"number\": {}}}", i));
  }  // the end waits for what is under way
  ConsumeOptions consume;
  consume.connection.brokers = broker->brokers();
  consume.topic = topic;
  std::vector<std::string> values;
  const auto count = consume_topic(consume, log, [&](const ConsumedRecord* record) {
    if (record == nullptr) return true;
    EXPECT_EQ(record->key, "model");
    values.emplace_back(record->value);
    return true;
  });
  ASSERT_TRUE(count.is_ok()) << count.status().to_string();
  ASSERT_EQ(values.size(), 5U);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(values[static_cast<std::size_t>(i)], fmt::format("{{\"number\": {}}}", i));
}

TEST_F(KafkaNoticesTest, BeyondTheBoundAreDroppedAndCounted) {
  KafkaNoticeOptions wanted = notices_to(topic);
  wanted.connection.brokers = "127.0.0.1:1";  // nobody listens
  wanted.waiting_max = 3;
  const auto notices = KafkaNotices::create(wanted, metrics, log);
  ASSERT_TRUE(notices.is_ok()) << notices.status().to_string();
  for (int i = 0; i < 10; ++i) (*notices)->post("model", "{}");
  EXPECT_EQ(metrics.counter("freshet_notices_total", "", {{"outcome", "dropped"}}).value(), 7.0);
}

TEST_F(KafkaNoticesTest, PropertiesOfItsOwnAreRefused) {
  KafkaNoticeOptions wanted = notices_to(topic);
  wanted.connection.properties["acks"] = "0";
  const auto refused = KafkaNotices::create(wanted, metrics, log);
  ASSERT_FALSE(refused.is_ok());
  EXPECT_NE(refused.status().message().find("acks"), std::string::npos) << refused.status().message();
  wanted.topic.clear();
  EXPECT_FALSE(KafkaNotices::create(wanted, metrics, log).is_ok());
}

}  // namespace
}  // namespace freshet
