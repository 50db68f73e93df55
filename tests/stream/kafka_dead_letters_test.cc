#include "stream/kafka_dead_letters.h"

#include "stream/consume.h"
#include "stream/produce.h"
#include "tests/stream/kafka_fixture.h"

#include <filesystem>
#include <fstream>

namespace freshet {
namespace {

class KafkaDeadLettersTest : public KafkaTest {
 protected:
  std::unique_ptr<KafkaDeadLetters> make_sink(const std::string& dead_topic) {
    KafkaDeadLetterOptions letters;
    letters.connection.brokers = broker->brokers();
    letters.topic = dead_topic;
    auto sink = KafkaDeadLetters::create(letters, metrics, log);
    EXPECT_TRUE(sink.is_ok()) << sink.status().to_string();
    return std::move(sink).value();
  }
  struct Kept {
    std::string key;
    std::string value;
    bool has_key = false;
    std::int64_t timestamp_ms = 0;
    std::map<std::string, std::string> headers;
    std::string json;
  };
  std::vector<Kept> read_all(const std::string& from) {
    ConsumeOptions consume;
    consume.connection.brokers = broker->brokers();
    consume.topic = from;
    std::vector<Kept> records;
    const auto count = consume_topic(consume, log, [&](const ConsumedRecord* record) {
      if (record == nullptr) return true;
      Kept kept;
      kept.key = record->key;
      kept.value = record->value;
      kept.has_key = record->has_key;
      kept.timestamp_ms = record->timestamp_ms;
      for (const auto& [name, value] : record->headers) kept.headers[std::string(name)] = value;
      kept.json = consumed_record_json(*record);
      records.push_back(kept);
      return true;
    });
    EXPECT_TRUE(count.is_ok()) << count.status().to_string();
    return records;
  }
};

TEST_F(KafkaDeadLettersTest, BadRecordsLandThereWithHeadersAndGoodNeighboursSurvive) {
  const std::string dead = topic + "-dead";
  ASSERT_TRUE(broker->create_topic(topic, 1, {{"max.message.bytes", "20000000"}}).is_ok());
  ASSERT_TRUE(broker->create_topic(dead, 1, {{"max.message.bytes", "100000"}}).is_ok());
  const std::string ten_megabytes = "{\"x\": \"" + std::string(10 << 20, 'a') + "\"}";
  std::string deep = "{\"y\":";
  deep += std::string(10000, '[') + std::string(10000, ']') + "}";
  const std::vector<std::pair<std::string, std::string>> bad = {{"{\"x\": 1, \"label\"", "malformed"},
                                                                {"[1, 2]", "not_an_object"},
                                                                {"{\"x\": 1}", "missing_label"},
                                                                {"{\"x\": 1, \"label\": 7}", "bad_label"},
                                                                {"{\"x\": \"1\", \"label\": 1}", "bad_feature"},
                                                                {"{\"x\": NaN, \"label\": 1}", "malformed"},
                                                                {"{\"x\": 1e99, \"label\": 1}", "not_finite"},
                                                                {ten_megabytes, "too_large"},
                                                                {"", "empty"},
                                                                {"{\"x\": \"\xFF\"}", "invalid_utf8"},
                                                                {deep, "too_deep"},
                                                                {"{\"label\": 1, \"label\": 1}", "duplicate_field"}};
  KafkaConfig config("a test's producer of large records");
  ASSERT_TRUE(config.set("bootstrap.servers", broker->brokers()).is_ok());
  ASSERT_TRUE(config.set("message.max.bytes", "20000000").is_ok());
  auto producer = config.create(RD_KAFKA_PRODUCER);
  ASSERT_TRUE(producer.is_ok());
  const auto send = [&](std::string_view value) {
    KafkaRecord record;
    const std::string_view key = "the key";
    record.topic = topic;
    record.partition = 0;
    record.key = &key;
    record.value = &value;
    record.timestamp_ms = 1'357'034'400'000;
    record.headers = rd_kafka_headers_new(1);
    rd_kafka_header_add(record.headers, "origin", -1, "upstream", -1);
    ASSERT_EQ(produce_record(producer->get(), record), RD_KAFKA_RESP_ERR_NO_ERROR);
  };
  for (const auto& [value, reason] : bad) {
    send(value);
    send(event_json(1));
  }
  ASSERT_EQ(rd_kafka_flush(producer->get(), 30'000), RD_KAFKA_RESP_ERR_NO_ERROR);

  const auto sink = make_sink(dead);
  const auto source = open({}, sink.get());
  ASSERT_TRUE(read_until(*source, [&] { return events == bad.size() && skipped.size() == bad.size(); }))
      << failure.to_string() << " " << events << " " << skipped.size();
  ASSERT_GT(ticket, 0U);
  const Status acknowledged = source->acknowledge_dead_letters(ticket, 30s);
  ASSERT_TRUE(acknowledged.is_ok()) << acknowledged.to_string();

  auto letters = read_all(dead);
  ASSERT_EQ(letters.size(), bad.size());
  std::map<std::string, Kept> by_offset;
  for (auto& letter : letters) by_offset[letter.headers["__connect.errors.offset"]] = letter;
  for (std::size_t i = 0; i < bad.size(); ++i) {
    const auto& [value, reason] = bad[i];
    EXPECT_EQ(skip_reason_name(skipped[i].reason), reason);
    EXPECT_EQ(skipped[i].position.offset, static_cast<std::int64_t>(2 * i));
    Kept& letter = by_offset[std::to_string(2 * i)];
    EXPECT_EQ(letter.headers["__connect.errors.topic"], topic);
    EXPECT_EQ(letter.headers["__connect.errors.partition"], "0");
    EXPECT_EQ(letter.headers["__connect.errors.exception.class.name"], "freshet." + reason);
    EXPECT_EQ(letter.headers["__connect.errors.stage"], "VALUE_CONVERTER");
    EXPECT_EQ(letter.headers["__connect.errors.connector.name"], "freshet");
    EXPECT_FALSE(letter.headers["__connect.errors.exception.message"].empty());
    EXPECT_EQ(letter.headers["origin"], "upstream");
    EXPECT_EQ(letter.key, "the key");
    EXPECT_EQ(letter.timestamp_ms, 1'357'034'400'000);
    if (reason == "too_large") {
      EXPECT_EQ(letter.value, ten_megabytes.substr(0, 64 << 10));
      EXPECT_EQ(letter.headers["freshet.value.bytes"], std::to_string(ten_megabytes.size()));
    } else {
      EXPECT_EQ(letter.value, value);
    }
    EXPECT_EQ(metrics
                  .counter("freshet_dead_letters_total",
                           "Records that could not be learnt from and were set aside, by reason.", {{"reason", reason}})
                  .value(),
              reason == "malformed" ? 2 : 1);
  }
}

TEST_F(KafkaDeadLettersTest, WithoutTheTopicNothingIsAcknowledgedUntilItIsThere) {
  const auto sink = make_sink(topic);
  const std::string_view value = "{bad";
  DeadLetter letter;
  letter.topic = "elsewhere";
  letter.value = &value;
  const std::uint64_t given = sink->submit(letter);
  EXPECT_FALSE(sink->acknowledge(given, 500ms).is_ok());
  ASSERT_TRUE(broker->create_topic(topic, 1).is_ok());
  Status status = unavailable("not tried");
  for (int tries = 0; tries < 60 && !status.is_ok(); ++tries) status = sink->acknowledge(given, 1s);
  ASSERT_TRUE(status.is_ok()) << status.to_string();
  const auto letters = read_all(topic);
  ASSERT_EQ(letters.size(), 1U);
  EXPECT_EQ(letters[0].value, "{bad");
  EXPECT_FALSE(letters[0].has_key);
}

TEST_F(KafkaDeadLettersTest, ProduceAndConsumeGiveBackWhatWasInTheFile) {
  const std::filesystem::path path = ::testing::TempDir() + "freshet-produce-" + std::to_string(getpid());
  {
    std::ofstream out(path);
    for (int i = 0; i < 1000; ++i) {
      out << "{\"id\": \"k" << i % 7 << "\", \"ts\": " << 1'357'034'400'000 + i << ", \"x\": " << i << "}\n";
    }
    out << "\nnot json\n";
  }
  ProduceOptions produce;
  produce.connection.brokers = broker->brokers();
  produce.topic = topic;
  produce.input = path;
  produce.key_field = "id";
  produce.time_field = "ts";
  produce.create_partitions = 3;
  const ProduceReport report = produce_lines(produce, log, {});
  ASSERT_TRUE(report.status.is_ok()) << report.status.to_string();
  EXPECT_EQ(report.sent, 1001U);
  EXPECT_EQ(report.acknowledged, 1001U);
  EXPECT_EQ(report.without_key, 1U);
  const auto records = read_all(topic);
  ASSERT_EQ(records.size(), 1001U);
  std::size_t keyed = 0;
  for (const auto& record : records) {
    if (!record.has_key) {
      EXPECT_EQ(record.value, "not json");
      EXPECT_NE(record.json.find("\"value\":\"not json\""), std::string::npos) << record.json;
      continue;
    }
    ++keyed;
    EXPECT_NE(record.value.find("\"id\": \"" + record.key + "\""), std::string::npos);
    EXPECT_NE(record.json.find("\"value\":{\"id\":\"" + record.key + "\""), std::string::npos) << record.json;
    EXPECT_GE(record.timestamp_ms, 1'357'034'400'000);
    EXPECT_LT(record.timestamp_ms, 1'357'034'401'000);
  }
  EXPECT_EQ(keyed, 1000U);

  produce.records_max = 20;
  produce.records_per_second = 100;
  const ProduceReport slow = produce_lines(produce, log, {});
  EXPECT_EQ(slow.sent, 20U);
  EXPECT_GE(slow.seconds, 0.19);
  std::filesystem::remove(path);

  ConsumeOptions missing;
  missing.connection.brokers = broker->brokers();
  missing.topic = "no-such-topic";
  EXPECT_EQ(consume_topic(missing, log, [](const ConsumedRecord*) { return true; }).code(), Code::kNotFound);
}

}  // namespace
}  // namespace freshet
