#include "stream/kafka_source.h"

#include <condition_variable>
#include <mutex>

#include "core/hash.h"
#include "tests/stream/kafka_fixture.h"

namespace freshet {
namespace {

class KafkaSourceTest : public KafkaTest {};

// A member of a group of its own that is polled until it has its partitions, and then no more.
class UnpolledConsumer {
 public:
  explicit UnpolledConsumer(const KafkaSourceOptions& options) {
    KafkaConfig config("a consumer that is not polled");
    EXPECT_TRUE(config.apply(options.connection, {}).is_ok());
    EXPECT_TRUE(config.set("group.id", options.group + "-unpolled").is_ok());
    EXPECT_TRUE(config.set("enable.auto.commit", "false").is_ok());
    rd_kafka_conf_set_opaque(config.conf(), this);
    rd_kafka_conf_set_log_cb(config.conf(), [](const rd_kafka_t* client, int, const char* facility, const char*) {
      if (std::string_view(facility) != "MAXPOLL") return;
      auto& self = *static_cast<UnpolledConsumer*>(rd_kafka_opaque(client));
      const std::lock_guard lock(self.mutex_);
      self.expelled_ = true;
      self.changed_.notify_all();
    });
    auto made = config.create(RD_KAFKA_CONSUMER);
    EXPECT_TRUE(made.is_ok());
    client_ = std::move(made).value();
    rd_kafka_poll_set_consumer(client_.get());
    const KafkaPartitions topics(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(topics.get(), options.topic.c_str(), RD_KAFKA_PARTITION_UA);
    EXPECT_EQ(rd_kafka_subscribe(client_.get(), topics.get()), RD_KAFKA_RESP_ERR_NO_ERROR);
    for (bool assigned = false; !assigned;) {
      const KafkaOwned<rd_kafka_message_t> message(rd_kafka_consumer_poll(client_.get(), 100));
      rd_kafka_topic_partition_list_t* list = nullptr;
      rd_kafka_assignment(client_.get(), &list);
      assigned = KafkaPartitions(list)->cnt > 0;
    }
  }
  bool wait_until_expelled(std::chrono::seconds patience) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [&] { return expelled_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool expelled_ = false;
  KafkaClient client_;
};

TEST_F(KafkaSourceTest, PositionsComeFromOurStoreAndAreShownToTheBroker) {
  ASSERT_TRUE(broker->create_topic(topic, 4).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 4, 0, 1000);
  {
    const auto source = open();
    events_max = 333;
    ASSERT_TRUE(read_events(*source, 4000)) << failure.to_string();
    source->committed({{0, 1000}, {1, 900}, {2, 1000}, {3, 1000}});
    source->stop();
    EXPECT_EQ(*source->next(batch, 10, 1ms), SourceState::kEnd);
  }
  for (std::int32_t p = 0; p < 4; ++p) expect_exactly(p, 0, 1000);
  EXPECT_EQ(gaps(), 0);

  // The broker's committed offsets are 1000 and 900, our store's are others: ours count.
  offsets.clear();
  events = 0;
  const auto source = open({{0, 500}, {1, 999}, {2, 0}});
  ASSERT_TRUE(read_events(*source, 500 + 1 + 1000 + 1000)) << failure.to_string();
  expect_exactly(0, 500, 1000);
  expect_exactly(1, 999, 1000);
  expect_exactly(2, 0, 1000);
  expect_exactly(3, 0, 1000);  // unknown to the store: from the start, as the options say
  source->stop();

  KafkaConfig config("a test's observer");
  ASSERT_TRUE(config.set("bootstrap.servers", broker->brokers()).is_ok());
  ASSERT_TRUE(config.set("group.id", options.group).is_ok());
  auto observer = config.create(RD_KAFKA_CONSUMER);
  ASSERT_TRUE(observer.is_ok());
  const KafkaPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), 1);
  ASSERT_EQ(rd_kafka_committed((*observer).get(), list.get(), 10'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  EXPECT_EQ(list->elems[0].offset, 900);
}

TEST_F(KafkaSourceTest, AForeignConsumerThatCommitsNothingCostsAndDoublesNothing) {
  ASSERT_TRUE(broker->create_topic(topic, 4).is_ok());
  TestProducer producer(broker->brokers());
  producer.send_events(topic, 4, 0, 500);
  const auto source = open();
  ASSERT_TRUE(read_events(*source, 1000)) << failure.to_string();
  {
    KafkaConfig config("a foreign consumer");
    ASSERT_TRUE(config.set("bootstrap.servers", broker->brokers()).is_ok());
    ASSERT_TRUE(config.set("group.id", options.group).is_ok());
    ASSERT_TRUE(config.set("enable.auto.commit", "false").is_ok());
    ASSERT_TRUE(config.set("auto.offset.reset", "earliest").is_ok());
    ASSERT_TRUE(config.set("partition.assignment.strategy", "cooperative-sticky").is_ok());
    ASSERT_TRUE(config.set("session.timeout.ms", "6000").is_ok());
    ASSERT_TRUE(config.set("heartbeat.interval.ms", "500").is_ok());
    auto foreign = config.create(RD_KAFKA_CONSUMER);
    ASSERT_TRUE(foreign.is_ok());
    rd_kafka_poll_set_consumer(foreign->get());
    const KafkaPartitions topics(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(topics.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
    ASSERT_EQ(rd_kafka_subscribe(foreign->get(), topics.get()), RD_KAFKA_RESP_ERR_NO_ERROR);
    std::size_t stolen = 0;
    std::int64_t sent = 500;
    ASSERT_TRUE(read_until(*source, [&] {
      for (int polls = 0; polls < 200; ++polls) {
        const KafkaOwned<rd_kafka_message_t> message(rd_kafka_consumer_poll(foreign->get(), 5));
        if (!message) break;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) ++stolen;
      }
      if (sent < 1000) {
        producer.send_events(topic, 4, sent, 10);
        sent += 10;
      }
      return stolen >= 300 && sent >= 1000;
    })) << failure.to_string();
    EXPECT_LT(assigned(), 4);
    rd_kafka_consumer_close(foreign->get());
  }
  producer.send_events(topic, 4, 1000, 200);
  ASSERT_TRUE(read_events(*source, 4 * 1200)) << failure.to_string();
  EXPECT_EQ(assigned(), 4);
  for (std::int32_t p = 0; p < 4; ++p) expect_exactly(p, 0, 1200);
  EXPECT_EQ(gaps(), 0);
}

TEST_F(KafkaSourceTest, ReadsOnlyWhatTransactionsCommitted) {
  ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
  TestProducer producer(broker->brokers(), "tx-" + topic);
  producer.begin();
  for (int i = 0; i < 10; ++i) producer.send(topic, 0, event_json(i));  // offsets 0-9, marker 10
  producer.commit();
  producer.begin();
  for (int i = 0; i < 5; ++i) producer.send(topic, 0, event_json(100 + i));  // offsets 11-15, marker 16
  producer.abort();
  producer.begin();
  for (int i = 0; i < 10; ++i) producer.send(topic, 0, event_json(i));  // offsets 17-26, marker 27
  producer.commit();
  {
    const auto source = open();
    ASSERT_TRUE(read_events(*source, 20)) << failure.to_string();
    std::vector<std::int64_t> expected;
    for (std::int64_t offset = 0; offset < 27; ++offset) {
      if (offset < 10 || offset > 16) expected.push_back(offset);
    }
    EXPECT_EQ(offsets[0], expected);
    EXPECT_EQ(gaps(), 1);
    // The marker at the end is nothing to wait for.
    auto& lag =
        metrics.gauge("freshet_lag_events", "Records in the partition that are not yet read.", {{"partition", "0"}});
    lag.set(-1);
    EXPECT_TRUE(read_until(*source, [&] { return lag.value() == 0; }));
    EXPECT_EQ(events, 20U);
  }
  options.fail_on_gap = true;
  const auto source = open();
  EXPECT_FALSE(read_until(*source, [] { return false; }));
  EXPECT_EQ(failure.code(), Code::kDataLoss);
  EXPECT_EQ(events, 30U);  // what came before the gap was handed out
}

TEST_F(KafkaSourceTest, ASlowPipelinePausesThePartitionsAndKeepsTheMembership) {
  ASSERT_TRUE(broker->create_topic(topic, 2).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 2, 0, 2000);
  options.connection.properties["max.poll.interval.ms"] = "6000";
  options.batch_events = 50;
  options.pause_at_batches = 4;
  options.resume_at_batches = 1;
  const auto source = open();
  ASSERT_TRUE(read_events(*source, 1)) << failure.to_string();
  // The pipeline takes nothing until a consumer of the same max.poll.interval.ms that is not polled has been expelled.
  UnpolledConsumer unpolled(options);
  ASSERT_TRUE(unpolled.wait_until_expelled(60s));
  EXPECT_EQ(paused(), 1);
  EXPECT_EQ(assigned(), 2);
  EXPECT_LE(source->next_offset(0) + source->next_offset(1), static_cast<std::int64_t>(events) + 50 * 10);
  ASSERT_TRUE(read_events(*source, 4000)) << failure.to_string();
  expect_exactly(0, 0, 2000);
  expect_exactly(1, 0, 2000);
  EXPECT_EQ(gaps(), 0);
  EXPECT_FALSE(log.contains("poll interval")) << "max.poll.interval.ms was exceeded";
  EXPECT_EQ(counter("freshet_rebalances_total", "Times that partitions were assigned or revoked."), 1);
}

TEST_F(KafkaSourceTest, OffsetsThatTheBrokerDeletedAreNeverPassedOverInSilence) {
  ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 1, 0, 100);
  ASSERT_TRUE(broker->delete_records(topic, 0, 60).is_ok());
  {
    const auto source = open({{0, 50}});
    EXPECT_FALSE(read_until(
        *source, [] { return false; }, 30s));
    EXPECT_EQ(failure.code(), Code::kDataLoss);
    EXPECT_NE(failure.message().find("offset 50"), std::string::npos) << failure.message();
    EXPECT_NE(failure.message().find("60 to 100"), std::string::npos) << failure.message();
    EXPECT_EQ(events, 0U);
  }
  {
    options.on_lost_offsets = LostOffsets::kEarliest;
    const auto source = open({{0, 50}});
    ASSERT_TRUE(read_events(*source, 40)) << failure.to_string();
    expect_exactly(0, 60, 100);
    EXPECT_EQ(counter("freshet_offsets_lost_total", "Records that the broker deleted before they were read."), 10);
    EXPECT_TRUE(log.contains("offsets_lost"));
  }
  {
    offsets.clear();
    events = 0;
    options.on_lost_offsets = LostOffsets::kLatest;
    const auto source = open({{0, 50}});
    ASSERT_TRUE(read_until(*source, [&] { return source->next_offset(0) == 100; })) << failure.to_string();
    TestProducer(broker->brokers()).send_events(topic, 1, 0, 5);
    ASSERT_TRUE(read_events(*source, 5)) << failure.to_string();
    expect_exactly(0, 100, 105);
  }
  // Ahead of the end: the topic was made anew, or the store belongs to another one.
  options.on_lost_offsets = LostOffsets::kFail;
  const auto source = open({{0, 5000}});
  EXPECT_FALSE(read_until(
      *source, [] { return false; }, 30s));
  EXPECT_EQ(failure.code(), Code::kDataLoss);
}

// Nobody can say then what the topic holds; and the session of the group ends meanwhile, which takes the partition
// away.
TEST_F(KafkaSourceTest, LagGrowsWhileTheBrokerIsAway) {
  ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 1, 0, 100);
  const auto source = open();
  ASSERT_TRUE(read_events(*source, 100)) << failure.to_string();
  auto& lag = metrics.gauge("freshet_lag_seconds",
                            "Age of the last record read while there are newer ones, or time since the broker was last "
                            "heard if that is over 10 s; else 0.",
                            {{"partition", "0"}});
  ASSERT_TRUE(read_until(*source, [&] { return lag.value() == 0; }));
  broker->kill();
  EXPECT_TRUE(read_until(*source, [&] { return assigned() == 0; })) << failure.to_string();
  EXPECT_TRUE(read_until(*source, [&] { return lag.value() > 15; })) << lag.value();
  ASSERT_TRUE(broker->restart().is_ok());
  EXPECT_TRUE(read_until(*source, [&] { return assigned() == 1 && lag.value() == 0; })) << lag.value();
}

// The store hears of every jump, before the records behind it.
TEST_F(KafkaSourceTest, JumpsOverLostOffsetsAreHandedOn) {
  ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 1, 0, 100);
  ASSERT_TRUE(broker->delete_records(topic, 0, 60).is_ok());
  options.on_lost_offsets = LostOffsets::kEarliest;
  const auto source = open({{0, 50}});
  ASSERT_TRUE(read_events(*source, 40)) << failure.to_string();
  EXPECT_EQ(resets, (std::vector<OffsetReset>{{0, 60}}));
  EXPECT_EQ(events_before_reset, 0U);
}

TEST_F(KafkaSourceTest, TopicMadeAnewWithFewerRecordsIsNoticedWhileRunning) {
  options.connection.properties["topic.metadata.refresh.interval.ms"] = "300";
  ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 1, 0, 100);
  const auto make_anew = [&] {
    ASSERT_TRUE(broker->delete_topic(topic).is_ok());
    ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
    TestProducer(broker->brokers()).send_events(topic, 1, 0, 30);
  };
  {
    options.on_lost_offsets = LostOffsets::kEarliest;
    const auto source = open();
    ASSERT_TRUE(read_events(*source, 100)) << failure.to_string();
    ASSERT_NO_FATAL_FAILURE(make_anew());
    ASSERT_TRUE(read_events(*source, 130)) << failure.to_string();
    EXPECT_EQ(resets, (std::vector<OffsetReset>{{0, 0}}));
    EXPECT_EQ(events_before_reset, 100U);
    EXPECT_TRUE(log.contains("topic_anew"));
    EXPECT_EQ(source->next_offset(0), 30);
  }
  options.on_lost_offsets = LostOffsets::kFail;
  const auto source = open({{0, 100}});
  EXPECT_FALSE(read_until(*source, [] { return false; }));
  EXPECT_EQ(failure.code(), Code::kDataLoss);
  EXPECT_NE(failure.message().find("made anew"), std::string::npos) << failure.message();
}

TEST_F(KafkaSourceTest, PartitionsAddedWhileRunningAreReadFromTheirBeginning) {
  options.connection.properties["topic.metadata.refresh.interval.ms"] = "300";
  options.start = StartAt::kLatest;  // of the partitions that were there
  ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 1, 0, 20);
  {
    const auto source = open();
    ASSERT_TRUE(read_until(*source, [&] { return assigned() == 1 && !resets.empty(); })) << failure.to_string();
    EXPECT_EQ(resets, (std::vector<OffsetReset>{{0, 20}}));
    ASSERT_TRUE(broker->add_partitions(topic, 3).is_ok());
    // Before the group has heard of them.
    TestProducer(broker->brokers()).send_events(topic, 3, 0, 50);
    ASSERT_TRUE(read_events(*source, 150)) << failure.to_string();
    expect_exactly(0, 20, 70);
    expect_exactly(1, 0, 50);
    expect_exactly(2, 0, 50);
    EXPECT_EQ(assigned(), 3);
    EXPECT_EQ(gaps(), 0);
  }
  // One that came while nobody was there is no different.
  ASSERT_TRUE(broker->add_partitions(topic, 4).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 4, 0, 5);
  events = 0;
  const auto source = open({{0, 70}, {1, 50}, {2, 50}});
  ASSERT_TRUE(read_events(*source, 20)) << failure.to_string();
  expect_exactly(3, 0, 5);
}

TEST_F(KafkaSourceTest, LatestBeginsInEveryPartitionWhenTheTopicIsFirstMet) {
  ASSERT_TRUE(broker->create_topic(topic, 2).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 2, 0, 10);
  options.start = StartAt::kLatest;
  {
    const auto source = open();
    ASSERT_TRUE(read_until(*source, [&] { return resets.size() == 2; })) << failure.to_string();
    EXPECT_EQ(resets, (std::vector<OffsetReset>{{0, 10}, {1, 10}}));
  }
  // What came while it was away is not passed over, in a partition that never had an event either.
  TestProducer(broker->brokers()).send_events(topic, 2, 10, 5);
  const auto source = open({{0, 10}, {1, 10}});
  ASSERT_TRUE(read_events(*source, 10)) << failure.to_string();
  expect_exactly(0, 10, 15);
  expect_exactly(1, 10, 15);
}

TEST_F(KafkaSourceTest, StartsAtTheEndWhereToldTo) {
  ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
  TestProducer producer(broker->brokers());
  producer.send_events(topic, 1, 0, 30);
  options.start = StartAt::kLatest;
  const auto source = open();
  ASSERT_TRUE(read_until(*source, [&] { return assigned() == 1; })) << failure.to_string();
  producer.send_events(topic, 1, 0, 5);
  ASSERT_TRUE(read_events(*source, 5)) << failure.to_string();
  expect_exactly(0, 30, 35);
}

TEST_F(KafkaSourceTest, KeyTimestampAndTombstoneOfTheRecordAreUsed) {
  ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
  TestProducer producer(broker->brokers());
  constexpr std::int64_t kTime = 1'357'034'400'000;
  producer.send(topic, 0, event_json(1), "bob", kTime);
  producer.send(topic, 0, std::string_view(), "bob", kTime);  // null value
  producer.send(topic, 0, event_json(2), nullptr, kTime + 5);
  producer.send(topic, 0, "", nullptr, kTime);
  producer.flush();
  options.erase_on_tombstone = true;
  const auto source = open();
  std::vector<std::uint64_t> keys;
  std::vector<std::int64_t> times;
  while (keys.size() < 2 || skipped.size() < 2) {
    const auto state = source->next(batch, 10, 10s);
    ASSERT_TRUE(state.is_ok());
    ASSERT_EQ(*state, SourceState::kEvents);
    for (std::size_t row = 0; row < batch.size(); ++row) {
      keys.push_back(batch.key_hashes[row]);
      times.push_back(batch.time_ms[row]);
    }
    skipped.insert(skipped.end(), batch.skipped.begin(), batch.skipped.end());
  }
  EXPECT_EQ(keys[0], hash_text("bob"));
  EXPECT_NE(keys[1], hash_text("bob"));
  EXPECT_EQ(times, (std::vector<std::int64_t>{kTime, kTime + 5}));
  EXPECT_EQ(skipped[0].reason, SkipReason::kTombstone);
  EXPECT_EQ(skipped[0].position.offset, 1);
  EXPECT_EQ(skipped[0].key_hash, keys[0]) << "the key whose events are to be erased";
  EXPECT_EQ(skipped[1].key_hash, 0U);
  EXPECT_EQ(skipped[1].reason, SkipReason::kEmpty);
}

TEST_F(KafkaSourceTest, GoesOnAfterTheBrokerWasAway) {
  ASSERT_TRUE(broker->create_topic(topic, 2).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 2, 0, 500);
  const auto source = open();
  ASSERT_TRUE(read_events(*source, 1000)) << failure.to_string();
  broker->kill();
  const auto state = source->next(batch, 100, 200ms);
  ASSERT_TRUE(state.is_ok());
  EXPECT_EQ(*state, SourceState::kIdle);
  ASSERT_TRUE(broker->restart().is_ok());
  TestProducer(broker->brokers()).send_events(topic, 2, 500, 500);
  ASSERT_TRUE(read_events(*source, 2000)) << failure.to_string();
  expect_exactly(0, 0, 1000);
  expect_exactly(1, 0, 1000);
}

TEST_F(KafkaSourceTest, StopsInBoundedTimeWhileTheBrokerHangs) {
  ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
  TestProducer(broker->brokers()).send_events(topic, 1, 0, 10);
  options.stop_timeout = 2s;
  auto source = open();
  ASSERT_TRUE(read_events(*source, 10)) << failure.to_string();
  source->committed({{0, 10}});
  broker->pause();
  const auto begun = std::chrono::steady_clock::now();
  source->stop();
  source.reset();
  const auto took = std::chrono::steady_clock::now() - begun;
  broker->resume();
  EXPECT_LT(took, 15s);
}

TEST_F(KafkaSourceTest, WrongPropertiesSayWhichAndKeepSecrets) {
  const auto refused = [&](const std::map<std::string, std::string>& properties) {
    options.connection.properties = properties;
    return KafkaSource::create(options, schema, log_letters, metrics, log, clock).status();
  };
  EXPECT_NE(refused({{"no.such.property", "1"}}).message().find("no.such.property"), std::string::npos);
  EXPECT_NE(refused({{"enable.auto.commit", "true"}}).message().find("set by Freshet"), std::string::npos);
  EXPECT_EQ(refused({{"sasl.password_file", "/nonexistent"}}).code(), Code::kNotFound);
  const std::string path = ::testing::TempDir() + "freshet-secret-" + std::to_string(getpid());
  FILE* file = std::fopen(path.c_str(), "w");
  std::fputs("hunter2\n", file);
  std::fclose(file);
  EXPECT_TRUE(refused({{"sasl.password_file", path}}).is_ok());
  const Status status = refused({{"security.protocol_file", path}});
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  const Status secret = refused({{"ssl.key.pem", "hunter2"}, {"security.protocol", "ssl"}});
  EXPECT_EQ(secret.message().find("hunter2"), std::string::npos) << secret.message();
  std::remove(path.c_str());
}

}  // namespace
}  // namespace freshet
