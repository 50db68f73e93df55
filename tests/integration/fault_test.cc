// Faults around a running daemon: what it says of them, and that it serves on.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "tests/integration/freshet_process.h"
#include "tests/integration/stored_state.h"

namespace freshet::test {
namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Fault : public KafkaIntegrationTest {
 protected:
  void learn(std::span<const std::string> lines, const std::vector<std::string>& sets) {
    ASSERT_NO_FATAL_FAILURE(create_topic(1));
    produce(write("first.jsonl", lines));
    Daemon daemon(example_config(), sets);
    ASSERT_TRUE(daemon.wait_for_events(static_cast<double>(lines.size()))) << daemon.log();
    ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
  }
  // Learning has ended with these words, and the daemon still answers.
  static void expect_serving_without_learning(Daemon& daemon, std::initializer_list<const char*> words) {
    ASSERT_TRUE(daemon.wait_for_log("serving_without_learning")) << daemon.log();
    for (const char* text : words)
      EXPECT_NE(daemon.log().find(text), std::string::npos) << text << '\n' << daemon.log();
    EXPECT_NE(daemon.get("/status").find("learning has stopped: "), std::string::npos) << daemon.get("/status");
    EXPECT_EQ(daemon.metric("freshet_learning_stopped"), 1);
    HttpClient client(daemon.port());
    const auto answer = client.post("/v2/models/flights/infer", infer_request(flights(1)[0]));
    EXPECT_TRUE(answer && answer->status == 200) << (answer ? answer->body : "no answer");
    EXPECT_EQ(daemon.end(SIGTERM), 1) << "whoever started it is to hear that it failed";
  }
};

TEST_F(Fault, SecondDaemonOnAFolderIsRefusedAndTheFirstGoesOn) {
  auto sets = daemon_sets();
  sets[0] = "stream.brokers=127.0.0.1:1";
  Daemon first(example_config(), sets);
  ASSERT_TRUE(first.up());
  std::vector<std::string> words = {"run", "--config", example_config()};
  sets.emplace_back("serving.listen=127.0.0.1:0");
  const Finished second = run_freshet(with_sets(std::move(words), sets));
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_NE(second.errors.find("another process"), std::string::npos) << second.errors;
  EXPECT_NE(first.get("/v2/health/live"), "");
  EXPECT_EQ(first.end(SIGTERM), 0) << first.log();
}

TEST_F(Fault, DamagedEventLogEndsLearningAndTheLastGoodModelIsServed) {
  auto sets = daemon_sets();
  sets.emplace_back("checkpoint.every=1h");  // so that all of the log is redone
  ASSERT_NO_FATAL_FAILURE(learn(flights(6000), sets));
  std::string record;
  {
    MemoryLog log;
    LocalMetrics metrics;
    StoreOptions options;
    options.path = path("state");
    auto store = Store::open(options, std::nullopt, log, metrics);
    ASSERT_TRUE(store.is_ok()) << store.status().to_string();
    ASSERT_TRUE((*store)->flush().is_ok());
    ASSERT_TRUE((*store)
                    ->scan(3000, 3000,
                           [&](std::uint64_t, std::string_view bytes) {
                             record = std::string(bytes);
                             return Status::ok();
                           })
                    .is_ok());
  }
  int places = 0;
  for (const auto& file : std::filesystem::directory_iterator(path("state"))) {
    if (file.path().extension() != ".sst") continue;
    std::string bytes = read_file(file.path());
    const auto at = bytes.find(record);
    if (at == std::string::npos) continue;
    bytes[at + 5] = static_cast<char>(bytes[at + 5] ^ 4);
    std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << bytes;
    ++places;
  }
  ASSERT_EQ(places, 1);
  Daemon daemon(example_config(), sets);
  ASSERT_TRUE(daemon.up());
  expect_serving_without_learning(daemon, {"family events", ".sst", "backup"});
}

TEST_F(Fault, LostOffsetsEndLearningUnlessToldToGoOnAndAreAccountedFor) {
  const auto lines = flights(4000);
  auto sets = daemon_sets();
  ASSERT_NO_FATAL_FAILURE(learn(lines.first(2000), sets));
  produce(write("rest.jsonl", lines.subspan(2000)));
  ASSERT_TRUE(broker->delete_records(topic, 0, 2500).is_ok());
  {
    Daemon daemon(example_config(), sets);
    ASSERT_TRUE(daemon.up());
    expect_serving_without_learning(daemon, {"offset 2000", "2500 to 4000", "on_lost_offsets"});
  }
  sets.emplace_back("stream.on_lost_offsets=earliest");
  Daemon daemon(example_config(), sets);
  ASSERT_TRUE(daemon.wait_for_events(3500)) << daemon.log();
  EXPECT_NE(daemon.log().find("offsets_lost"), std::string::npos) << daemon.log();
  EXPECT_EQ(daemon.metric("freshet_offsets_lost_total"), 500);
  ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
  const auto found = inspect(path("state"));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].learnt, 3500);
  EXPECT_EQ(found[0].missing, 500);
  EXPECT_EQ(found[0].gaps, 1);
  EXPECT_EQ(found[0].restarts, 0);
}

TEST_F(Fault, TopicMadeAnewWithFewerEventsIsLearntFromItsBeginningWhenToldTo) {
  const auto lines = flights(3000);
  auto sets = daemon_sets();
  ASSERT_NO_FATAL_FAILURE(learn(lines.first(2000), sets));
  ASSERT_TRUE(broker->delete_topic(topic).is_ok());
  ASSERT_NO_FATAL_FAILURE(create_topic(1));
  produce(write("anew.jsonl", lines.subspan(2000)));
  sets.emplace_back("stream.on_lost_offsets=earliest");
  for (const double events : {3000.0, 3000.0}) {  // and a restart goes on from the new positions
    Daemon daemon(example_config(), sets);
    ASSERT_TRUE(daemon.wait_for_events(events)) << daemon.log();
    ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
  }
  const auto found = inspect(path("state"));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].learnt, 3000);
  EXPECT_EQ(found[0].restarts, 1);
  EXPECT_EQ(found[0].last_offset, 999);
  EXPECT_EQ(found[0].duplicates, 0);

  // A model made anew of what is stored: offsets that go back are no duplicates there either.
  const Finished retrained = run_freshet(
      with_sets({"state", "erase", "--config", example_config(), "--key", "N14228", "--retrain", "--json"}, sets));
  ASSERT_EQ(retrained.exit_code, 0) << retrained.errors;
  EXPECT_GT(std::stoi("0" + between(retrained.output, "\"retrained_events\": ", "\n")), 2900) << retrained.output;
  const auto after = inspect(path("state"));
  ASSERT_EQ(after.size(), 1U);
  EXPECT_EQ(after[0].learnt, 3000);
  EXPECT_EQ(after[0].restarts, 1);
  EXPECT_EQ(after[0].last_offset, 999);
}

TEST_F(Fault, ReadOnlyVolumeIsRefusedInPlainWordsAndCanBeInspected) {
  const std::string mount =
      "mount --bind '" + path("") + "' '" + path("") + "' && mount -o remount,bind,ro '" + path("") + "'";
  ChildProcess trial({"unshare", "--mount", "/bin/sh", "-c", mount});
  if (trial.wait(kPatience) != 0) {
    GTEST_SKIP() << "a read-only mount of its own needs the right to mount (root): " << trial.errors();
  }
  ASSERT_NO_FATAL_FAILURE(learn(flights(2000), daemon_sets()));
  const auto on_read_only = [&](std::vector<std::string> words) {
    const std::vector<std::string> wrapper = {"unshare", "--mount",       "/bin/sh", "-c", mount + " && exec \"$@\"",
                                              "sh",      freshet_binary()};
    words.insert(words.begin(), wrapper.begin(), wrapper.end());
    ChildProcess process(words);
    const auto exit_code = process.wait(kPatience);
    return Finished{exit_code.value_or(-1), process.output(), process.errors()};
  };
  auto sets = daemon_sets();
  sets.emplace_back("serving.listen=127.0.0.1:0");
  const Finished refused = on_read_only(with_sets({"run", "--config", example_config()}, sets));
  EXPECT_EQ(refused.exit_code, 1) << refused.errors;
  EXPECT_NE(refused.errors.find("Read-only file system"), std::string::npos) << refused.errors;
  EXPECT_NE(refused.errors.find("writable"), std::string::npos) << refused.errors;
  EXPECT_EQ(refused.errors.find("another process"), std::string::npos) << refused.errors;
  const Finished inspected = on_read_only({"state", "inspect", "--json", "--path", path("state")});
  EXPECT_EQ(inspected.exit_code, 0) << inspected.errors;
  EXPECT_NE(inspected.output.find("\"learnt\":2000"), std::string::npos) << inspected.output;
}

}  // namespace
}  // namespace freshet::test
