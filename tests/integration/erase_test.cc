// A person asks to be forgotten, and an operator goes back to yesterday: against a real broker.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "core/hash.h"
#include "stream/kafka_client.h"
#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

// The aircraft of the flights is the record's key.
constexpr const char* kFirstPlane = "N14228";
constexpr const char* kSecondPlane = "N24211";
constexpr const char* kThirdPlane = "N619AA";

class Forgetting : public KafkaIntegrationTest {
 protected:
  std::vector<std::string> sets() const {
    auto all = daemon_sets();
    all.emplace_back("stream.key=none");
    all.emplace_back("learning.round.every=200ms");
    all.emplace_back("checkpoint.keep=4");
    return all;
  }

  void produce_keyed(std::span<const std::string> lines) {
    auto words = produce_command(write("keyed.jsonl", lines));
    words.emplace_back("--key");
    words.emplace_back("tailnum");
    ChildProcess producer(words);
    ASSERT_EQ(producer.wait(kPatience), 0) << producer.errors();
  }

  void send_tombstone(std::string_view key) {
    KafkaConfig config("a test's producer");
    ASSERT_TRUE(config.set("bootstrap.servers", broker->brokers()).is_ok());
    auto client = config.create(RD_KAFKA_PRODUCER);
    ASSERT_TRUE(client.is_ok());
    KafkaRecord record;
    record.topic = topic;
    record.partition = 0;
    record.key = &key;
    ASSERT_EQ(produce_record(client->get(), record), RD_KAFKA_RESP_ERR_NO_ERROR);
    ASSERT_EQ(rd_kafka_flush(client->get(), 30'000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }

  // Whether the hash under which a key's events are stored stands in any file of the store.
  bool on_disk(const std::string& key) const {
    const std::uint64_t hash = hash_category(0, key);
    for (const auto& file : std::filesystem::recursive_directory_iterator(path("state"))) {
      if (!file.is_regular_file()) continue;
      std::ostringstream content;
      content << std::ifstream(file.path(), std::ios::binary).rdbuf();
      const std::string_view bytes(reinterpret_cast<const char*>(&hash), sizeof hash);
      if (content.str().find(bytes) != std::string::npos) return true;
    }
    return false;
  }

  YAML::Node erase(const std::string& key, bool retrain) {
    std::vector<std::string> words = {"state", "erase", "--config", example_config(), "--key", key, "--json"};
    if (retrain) words.emplace_back("--retrain");
    const Finished done = run_freshet(with_sets(words, sets()));
    EXPECT_EQ(done.exit_code, 0) << done.errors;
    return YAML::Load(done.output);
  }
};

TEST_F(Forgetting, ATombstoneACommandAndARetrainedModel) {
  ASSERT_NO_FATAL_FAILURE(create_topic(1));
  ASSERT_NO_FATAL_FAILURE(produce_keyed(flights(12'000)));
  {
    Daemon daemon(example_config(), sets());
    ASSERT_TRUE(daemon.wait_for_events(12'000)) << daemon.log();
    ASSERT_NO_FATAL_FAILURE(send_tombstone(kFirstPlane));
    // No event follows: the erasure does not wait for one.
    ASSERT_TRUE(daemon.wait_for_metric("freshet_events_erased_total", 1)) << daemon.log();
    EXPECT_EQ(daemon.metric("freshet_erasures_total"), 1);
    EXPECT_EQ(daemon.metric("freshet_records_skipped_total", "tombstone"), 1);
    ASSERT_EQ(daemon.end(SIGKILL), 128 + SIGKILL);
  }
  EXPECT_TRUE(on_disk(kSecondPlane));
  const YAML::Node second = erase(kSecondPlane, false);
  EXPECT_GE(second["events"].as<int>(), 2);
  EXPECT_GE(second["memory_events"].as<int>(), 2);
  EXPECT_GE(second["checkpoints_that_had_learnt"].size(), 1U);
  EXPECT_FALSE(on_disk(kSecondPlane));
  EXPECT_TRUE(on_disk(kThirdPlane));
  EXPECT_EQ(erase(kFirstPlane, false)["events"].as<int>(), 0) << "the tombstone has left some, or they came back";

  const auto before = inspect(path("state"));
  const YAML::Node third = erase(kThirdPlane, true);
  EXPECT_TRUE(third["retrained"].as<bool>());
  EXPECT_GE(third["events"].as<int>(), 1);
  EXPECT_GT(third["retrained_events"].as<int>(), 11'000);
  EXPECT_LT(third["retrained_events"].as<int>(), 12'000);
  EXPECT_FALSE(on_disk(kThirdPlane));
  EXPECT_FALSE(std::filesystem::exists(path("state.retrain")));
  const auto after = inspect(path("state"));
  ASSERT_EQ(after.size(), 1U);
  EXPECT_EQ(after[0].last_offset, before[0].last_offset) << "Kafka goes on where it was";
  EXPECT_EQ(after[0].learnt, third["retrained_events"].as<int>());
  EXPECT_EQ(after[0].learnt + after[0].left_out, before[0].learnt);

  ASSERT_NO_FATAL_FAILURE(produce_keyed(flights(1'000)));
  Daemon daemon(example_config(), sets());
  ASSERT_TRUE(daemon.wait_for_metric("freshet_events_total", 1'000)) << daemon.log();
  ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
  const auto last = inspect(path("state"));
  EXPECT_EQ(last[0].last_offset, 13'000);
  EXPECT_EQ(last[0].learnt, after[0].learnt + 1'000);
  EXPECT_EQ(last[0].learnt + last[0].left_out, 13'000);
  EXPECT_EQ(last[0].skipped, 1);
  EXPECT_EQ(last[0].missing, 0);
}

// Beside a running daemon, by its control channel: nobody waits for a restart to be forgotten.
TEST_F(Forgetting, BesideARunningDaemonWhilePredictionsGoOn) {
  ASSERT_NO_FATAL_FAILURE(create_topic(1));
  const auto lines = flights(12'000);
  ASSERT_NO_FATAL_FAILURE(produce_keyed(lines.first(8'000)));
  auto all_sets = sets();
  all_sets.emplace_back("evaluation.held_out.gating_share=0.2");
  std::set<std::string> keys;  // so many that some are of the replay memory and some are held out
  for (std::size_t i = 0; i < 200; ++i) keys.insert(YAML::Load(lines[i])["tailnum"].as<std::string>());
  std::string stays;
  for (std::size_t i = 200; i < lines.size() && stays.empty(); ++i) {
    const auto key = YAML::Load(lines[i])["tailnum"].as<std::string>();
    if (!keys.contains(key)) stays = key;
  }
  const std::string file = write("keys.txt", std::vector<std::string>(keys.begin(), keys.end()));
  const auto words =
      with_sets({"state", "erase", "--config", example_config(), "--keys-file", file, "--json"}, all_sets);
  {
    Daemon daemon(example_config(), all_sets);
    ASSERT_TRUE(daemon.wait_for_events(8'000)) << daemon.log();
    const Finished refused = run_freshet(
        with_sets({"state", "erase", "--config", example_config(), "--key", kFirstPlane, "--retrain"}, all_sets));
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_NE(refused.errors.find("stop the daemon first"), std::string::npos) << refused.errors;
    for (const std::string& key : keys) ASSERT_TRUE(on_disk(key)) << key;

    std::vector<std::string> command = words;
    command.insert(command.begin(), freshet_binary());
    ChildProcess erase(command);
    int predictions = 0;
    while (!erase.ended()) {
      HttpClient client(daemon.port());
      const auto reply = client.post("/v2/models/flights/infer", infer_request(lines.front()));
      ASSERT_TRUE(reply.has_value());
      ASSERT_EQ(reply->status, 200);
      ++predictions;
    }
    ASSERT_EQ(erase.wait(kPatience).value_or(-1), 0) << erase.errors() << daemon.log();
    EXPECT_GT(predictions, 0);
    const YAML::Node told = YAML::Load(erase.output());
    EXPECT_EQ(told["keys"].as<std::size_t>(), keys.size());
    EXPECT_FALSE(told["recorded_only"].as<bool>());
    EXPECT_FALSE(told["retrained"].as<bool>());
    EXPECT_GE(told["events"].as<std::size_t>(), 200U);
    EXPECT_GE(told["memory_events"].as<int>(), 1);
    EXPECT_GE(told["held_out_events"].as<int>(), 1);
    EXPECT_EQ(daemon.metric("freshet_events_erased_total"), told["events"].as<double>());
    for (const std::string& key : keys) EXPECT_FALSE(on_disk(key)) << key;
    EXPECT_TRUE(on_disk(stays));

    ASSERT_NO_FATAL_FAILURE(produce_keyed(lines.subspan(8'000)));
    ASSERT_TRUE(daemon.wait_for_events(12'000)) << daemon.log();
    ASSERT_EQ(daemon.end(SIGKILL), 128 + SIGKILL);
  }
  const Finished killed = run_freshet({"state", "replay", "--path", path("state"), "--quiet"});
  EXPECT_EQ(killed.exit_code, 0) << killed.output << killed.errors;
  {
    Daemon daemon(example_config(), all_sets);
    ASSERT_TRUE(daemon.wait_for_log("redo_done")) << daemon.log();
    ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
    const std::string at_end = between(daemon.log(), "state_hash  ", "\n").substr(0, 16);
    ASSERT_EQ(at_end.size(), 16U) << daemon.log();
    const Finished replayed = run_freshet({"state", "replay", "--path", path("state"), "--quiet"});
    EXPECT_EQ(replayed.exit_code, 0) << replayed.output << replayed.errors;
    EXPECT_NE(replayed.output.find("end of the log: " + at_end), std::string::npos) << replayed.output << daemon.log();
  }
  const auto last = inspect(path("state"));
  ASSERT_EQ(last.size(), 1U);
  EXPECT_EQ(last[0].learnt, 12'000);
  EXPECT_EQ(last[0].missing, 0);
}

TEST_F(Forgetting, AfterARollbackKafkaDeliversAgainWhatCameLater) {
  const auto lines = flights(30'000);
  ASSERT_NO_FATAL_FAILURE(create_topic(2));
  const std::string file = write("flights.jsonl", lines);
  {
    Daemon daemon(example_config(), sets());
    ASSERT_TRUE(daemon.up());
    ChildProcess producer(produce_command(file, 10'000));
    ASSERT_EQ(producer.wait(kPatience), 0) << producer.errors();
    ASSERT_TRUE(daemon.wait_for_events(30'000)) << daemon.log();
    ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
  }
  ASSERT_NO_FATAL_FAILURE(expect_exactly(path("state"), lines, 2));
  const Finished refused = run_freshet({"state", "rollback", "--path", path("state"), "--to", "123456"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.errors.find("123456"), std::string::npos) << refused.errors;
  const Finished back = run_freshet({"state", "rollback", "--path", path("state"), "--to", "previous", "--json"});
  ASSERT_EQ(back.exit_code, 0) << back.errors;
  const YAML::Node told = YAML::Load(back.output);
  EXPECT_GT(told["events_dropped"].as<int>(), 0);
  std::int64_t learnt = 0;
  for (const InspectedPartition& partition : inspect(path("state"))) {
    learnt += partition.learnt;
    EXPECT_EQ(told["next_offsets"][std::to_string(partition.partition)].as<std::int64_t>(), partition.last_offset + 1);
  }
  EXPECT_EQ(learnt, 30'000 - told["events_dropped"].as<int>());
  Daemon daemon(example_config(), sets());
  ASSERT_TRUE(daemon.wait_for_events(30'000)) << daemon.log();
  ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
  expect_exactly(path("state"), lines, 2);
}

}  // namespace
}  // namespace freshet::test
