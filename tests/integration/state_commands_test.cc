// `freshet state` on real stores: proving, copying and redoing what is stored, with and without a running daemon.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

// Small rounds and a small memory, so that much happens in few events.
const std::vector<std::string> kSmall = {"learning.round.every_events=256", "memory.capacity_events=1500",
                                         "checkpoint.every_events=1500", "checkpoint.keep=3"};

class StateCommands : public IntegrationTest {
 protected:
  // A backtest over `count` flights whose state stays in path(`folder`); its state hash.
  std::string learn(const std::string& folder, std::size_t count, const std::vector<std::string>& more = {}) {
    const std::string file = write(folder + ".jsonl", flights(count));
    std::vector<std::string> sets = kSmall;
    sets.insert(sets.end(), more.begin(), more.end());
    const Finished done = run_freshet(with_sets(
        {"backtest", "--quiet", "--config", example_config(), "--input", file, "--state", path(folder)}, sets));
    EXPECT_EQ(done.exit_code, 0) << done.errors;
    return between(done.output, "\"state_hash\": \"", "\"");
  }
  static Finished state(std::vector<std::string> words) {
    words.insert(words.begin(), "state");
    return run_freshet(std::move(words));
  }
  static std::string end_hash(const Finished& replayed) {
    return between(replayed.output, "\"end\": {", "}").substr(0, 200);
  }
  void damage(const std::string& folder, const std::string& extension, std::size_t bytes_min) {
    for (const auto& file : std::filesystem::directory_iterator(path(folder))) {
      if (file.path().extension() != extension || file.file_size() < bytes_min) continue;
      std::fstream stream(file.path(), std::ios::in | std::ios::out | std::ios::binary);
      stream.seekg(static_cast<std::streamoff>(bytes_min / 2));
      const char byte = static_cast<char>(stream.get() ^ 1);
      stream.seekp(static_cast<std::streamoff>(bytes_min / 2));
      stream.put(byte);
    }
  }
};

TEST_F(StateCommands, ReplayComesToTheStateOfTheRun) {
  const std::string hash = learn("state", 8000, {"memory.keep_events=all"});
  ASSERT_EQ(hash.size(), 16U);
  const Finished oldest = state({"replay", "--path", path("state"), "--json"});
  EXPECT_EQ(oldest.exit_code, 0) << oldest.output << oldest.errors;
  EXPECT_NE(oldest.output.find("\"equal\": true"), std::string::npos) << oldest.output;
  EXPECT_NE(end_hash(oldest).find(hash), std::string::npos) << oldest.output;
  const Finished start = state({"replay", "--path", path("state"), "--from", "start", "--quiet"});
  EXPECT_EQ(start.exit_code, 0) << start.output << start.errors;
  EXPECT_NE(start.output.find("end of the log: " + hash), std::string::npos) << start.output;
  EXPECT_EQ(start.errors, "");
  const Finished inspected = state({"inspect", "--path", path("state"), "--json"});
  EXPECT_NE(inspected.output.find("\"state_hash\":\"" + hash + "\""), std::string::npos) << inspected.output;
}

TEST_F(StateCommands, ReplayNamesWhatDiffers) {
  learn("state", 4000);
  // What was learnt is redone with the options that the checkpoint keeps, not with those of a file.
  const Finished same = state({"replay", "--path", path("state"), "--config", example_config(), "--set",
                               "learning.learning_rate=0.5", "--json"});
  EXPECT_EQ(same.exit_code, 0) << same.output << same.errors;
  EXPECT_NE(same.output.find("\"options_from\": \"checkpoint\""), std::string::npos);
  const Finished start = state({"replay", "--path", path("state"), "--from", "start"});
  EXPECT_EQ(start.exit_code, 1);
  EXPECT_NE(start.errors.find("memory.keep_events: all"), std::string::npos) << start.errors;
  const Finished unknown = state({"replay", "--path", path("state"), "--from", "99"});
  EXPECT_NE(unknown.errors.find("--from takes oldest, start, or the id of a kept checkpoint"), std::string::npos);
}

TEST_F(StateCommands, VerifyFindsAFlippedByte) {
  learn("state", 8000);
  ASSERT_EQ(state({"compact", "--path", path("state"), "--quiet"}).exit_code, 0);  // into tables
  const Finished sound = state({"verify", "--path", path("state")});
  EXPECT_EQ(sound.exit_code, 0) << sound.output << sound.errors;
  EXPECT_NE(sound.output.find("everything is whole"), std::string::npos) << sound.output;
  damage("state", ".sst", 100'000);
  const Finished damaged = state({"verify", "--path", path("state"), "--json"});
  EXPECT_EQ(damaged.exit_code, 1) << damaged.output << damaged.errors;
  EXPECT_NE(damaged.output.find("\"sound\": false"), std::string::npos) << damaged.output;
}

TEST_F(StateCommands, BackupIsRestoredWholeAndOnlyIntoAnEmptyFolder) {
  const std::string hash = learn("state", 6000);
  const Finished backup = state({"backup", "--path", path("state"), "--to", path("backups"), "--json"});
  ASSERT_EQ(backup.exit_code, 0) << backup.errors;
  EXPECT_EQ(backup.output.rfind("{\"id\": 1, \"time_ms\": ", 0), 0U) << backup.output;
  EXPECT_NE(backup.output.find("\"last_seq\": 6000"), std::string::npos) << backup.output;
  ASSERT_EQ(state({"backup", "--path", path("state"), "--to", path("backups"), "--keep", "1"}).exit_code, 0);
  const Finished listed = state({"restore", "--from", path("backups"), "--list"});
  EXPECT_EQ(listed.output.rfind("backup 2: ", 0), 0U) << listed.output;
  const Finished full = state({"restore", "--from", path("backups"), "--path", path("state")});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_NE(full.errors.find("is not empty"), std::string::npos) << full.errors;
  const Finished restored = state({"restore", "--from", path("backups"), "--path", path("copy")});
  ASSERT_EQ(restored.exit_code, 0) << restored.errors;
  const Finished replayed = state({"replay", "--path", path("copy"), "--json"});
  EXPECT_EQ(replayed.exit_code, 0) << replayed.errors;
  EXPECT_NE(end_hash(replayed).find(hash), std::string::npos) << replayed.output;
  EXPECT_EQ(state({"restore", "--from", path("nowhere"), "--path", path("more")}).exit_code, 1);
}

// Killed at growing delays, until one comes to its end by itself.
TEST_F(StateCommands, RetrainingAndRollbackKilledAnywhereCanBeRunAgain) {
  const std::vector<std::string> keep = {"memory.keep_events=all"};
  learn("state", 5000, keep);
  std::vector<std::string> sets = kSmall;
  sets.insert(sets.end(), keep.begin(), keep.end());
  const auto retrain = [&](const std::string& folder) {
    return with_sets(
        {"state", "erase", "--config", example_config(), "--path", path(folder), "--key", "17", "--retrain", "--json"},
        sets);
  };
  const auto rollback = [&](const std::string& folder) {
    return std::vector<std::string>{"state", "rollback", "--path", path(folder), "--to", "2", "--json"};
  };
  const auto hash_of = [&](const std::string& folder) {
    return between(state({"inspect", "--path", path(folder), "--json"}).output, "\"state_hash\":\"", "\"");
  };
  for (const auto& command : {std::function(retrain), std::function(rollback)}) {
    for (const char* copy : {"whole", "killed"}) {
      std::filesystem::remove_all(path(copy));
      std::filesystem::copy(path("state"), path(copy), std::filesystem::copy_options::recursive);
    }
    const Finished whole = run_freshet(command("whole"));
    ASSERT_EQ(whole.exit_code, 0) << whole.errors;
    EXPECT_TRUE(whole.output.find("\"retrained_events\": 4999") != std::string::npos ||
                whole.output.find("events_dropped") != std::string::npos)
        << whole.output;
    EXPECT_EQ(state({"verify", "--path", path("whole"), "--quiet"}).exit_code, 0);
    int kills = 0;
    for (std::chrono::milliseconds delay{10}; delay < kPatience; delay += delay / 3 + 5ms) {
      std::vector<std::string> words = command("killed");
      words.insert(words.begin(), freshet_binary());
      ChildProcess process(words);
      if (const auto code = process.wait(delay)) {
        EXPECT_EQ(*code, 0) << process.errors();
        break;
      }
      process.signal(SIGKILL);
      ASSERT_TRUE(process.wait(kPatience).has_value());
      ++kills;
      const Finished verified = state({"verify", "--path", path("killed"), "--quiet"});
      ASSERT_EQ(verified.exit_code, 0) << "killed after " << delay.count() << " ms: " << verified.output
                                       << verified.errors;
    }
    EXPECT_GT(kills, 2);
    const Finished again = run_freshet(command("killed"));
    EXPECT_EQ(again.exit_code, 0) << again.errors;
    EXPECT_FALSE(std::filesystem::exists(path("killed.retrain")));
    EXPECT_EQ(hash_of("killed").size(), 16U);
    EXPECT_EQ(hash_of("killed"), hash_of("whole"));
  }
}

TEST_F(StateCommands, AStartTellsOfARetrainingThatWasCutShort) {
  std::filesystem::create_directories(path("state.retrain"));
  Daemon daemon(example_config(),
                {"stream.brokers=embedded", "serving.listen=127.0.0.1:0", "memory.path=" + path("state")});
  ASSERT_TRUE(daemon.up()) << daemon.log();
  EXPECT_NE(daemon.log().find("retraining_cut_short"), std::string::npos) << daemon.log();
  EXPECT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
}

TEST_F(StateCommands, StoreOfFormat1IsReadAndCarriedForward) {
  const std::string folder = path("old");
  std::filesystem::create_directories(folder);
  const std::string packed = std::string(FRESHET_SOURCE_DIR) + "/tests/storage/data/store_format_1.tar.gz";
  ChildProcess tar({"tar", "-xzf", packed, "-C", folder});
  ASSERT_EQ(tar.wait(kPatience).value_or(-1), 0) << tar.errors();
  const Finished inspected = state({"inspect", "--path", folder});
  EXPECT_NE(inspected.output.find("format 1, 320 events"), std::string::npos) << inspected.output << inspected.errors;
  EXPECT_EQ(state({"verify", "--path", folder}).exit_code, 0);
  // Learnt by format 1's program: the same model comes out of its log, from its last checkpoint but one.
  constexpr const char* kLearner = "\"learner\": \"3aef99482748ce66\"";
  const std::vector<std::string> options = {"learning.round.every_events=64", "memory.capacity_events=150",
                                            "checkpoint.every_events=120",    "model.embedding_rows=64",
                                            "model.embedding_dim=2",          "model.hidden=[4]",
                                            "learning.average.last=2",        "evaluation.window_events=100"};
  const auto replay = [&] {
    return state(with_sets({"replay", "--path", folder, "--config", example_config(), "--json"}, options));
  };
  const Finished before = replay();
  EXPECT_EQ(before.exit_code, 0) << before.errors;
  EXPECT_NE(before.output.find(kLearner), std::string::npos) << before.output;
  EXPECT_NE(state({"replay", "--path", folder}).errors.find("--config FILE"), std::string::npos);

  ASSERT_EQ(state({"backup", "--path", folder, "--to", path("backups")}).exit_code, 0);
  EXPECT_NE(state({"inspect", "--path", folder}).output.find("format 1,"), std::string::npos) << "before an upgrade";
  {
    std::vector<std::string> sets = options;
    for (const char* set : {"stream.brokers=embedded", "serving.listen=127.0.0.1:0"}) sets.emplace_back(set);
    sets.push_back("memory.path=" + folder);
    Daemon daemon(example_config(), sets);
    ASSERT_TRUE(daemon.up()) << daemon.log();
    EXPECT_TRUE(daemon.wait_for_log("redo_done")) << daemon.log();  // its topic is not the one of the store
    EXPECT_NE(daemon.log().find("store_migrated"), std::string::npos) << daemon.log();
    daemon.end(SIGTERM);
  }
  EXPECT_NE(state({"inspect", "--path", folder}).output.find("format 2, 320 events"), std::string::npos);
  EXPECT_NE(replay().output.find(kLearner), std::string::npos);
  ASSERT_EQ(state({"restore", "--from", path("backups"), "--path", path("back")}).exit_code, 0);
  EXPECT_NE(state({"inspect", "--path", path("back")}).output.find("format 1,"), std::string::npos);
}

// The daemon learns from its embedded broker while its state is worked on.
class StateOfARunningDaemon : public StateCommands {
 protected:
  void SetUp() override {
    file_ = write("flights.jsonl", flights(30'000));
    std::vector<std::string> sets = kSmall;
    for (const char* set : {"stream.brokers=embedded", "serving.listen=127.0.0.1:0", "checkpoint.every=200ms"}) {
      sets.emplace_back(set);
    }
    sets.push_back("memory.path=" + path("state"));
    daemon_.emplace(example_config(), sets);
    ASSERT_TRUE(daemon_->up()) << daemon_->log();
    const std::string brokers = between(daemon_->log(), "an embedded broker is at ", ";");
    ASSERT_NE(brokers, "");
    producer_.emplace(std::vector<std::string>{freshet_binary(), "produce", "--brokers", brokers, "--topic", "flights",
                                               "--input", file_, "--rate", "2500"});
    ASSERT_TRUE(daemon_->wait_for_events(3000)) << daemon_->log();
  }
  int predict() const {
    HttpClient client(daemon_->port());
    const auto reply = client.post("/v2/models/flights/infer", infer_request(flights(1).front()));
    return reply ? reply->status : 0;
  }
  Daemon& daemon() { return *daemon_; }

  std::string file_;
  std::optional<Daemon> daemon_;
  std::optional<ChildProcess> producer_;
};

TEST_F(StateOfARunningDaemon, IsBackedUpCompactedAndProvedWhilePredictionsGoOn) {
  struct stat control {};
  ASSERT_EQ(::stat((path("state") + "/control.json").c_str(), &control), 0);
  EXPECT_EQ(control.st_mode & 0777, 0600U) << "whoever reads it may administer";
  int predictions = 0;
  for (int i = 0; i < 3; ++i) {
    ChildProcess backup(
        {freshet_binary(), "state", "backup", "--path", path("state"), "--to", path("backups"), "--json"});
    while (!backup.ended()) {
      ASSERT_EQ(predict(), 200);
      ++predictions;
    }
    ASSERT_EQ(backup.wait(kPatience).value_or(-1), 0) << backup.errors();
    // Spaced and ordered as without a daemon.
    EXPECT_EQ(backup.output().rfind("{\"id\": " + std::to_string(i + 1) + ", \"time_ms\": ", 0), 0U) << backup.output();
  }
  EXPECT_GT(predictions, 3);
  const double before = daemon().status("events");
  const Finished compacted = state({"compact", "--path", path("state"), "--quiet"});
  EXPECT_EQ(compacted.exit_code, 0) << compacted.errors;
  const Finished verified = state({"verify", "--path", path("state"), "--quiet"});
  EXPECT_EQ(verified.exit_code, 0) << verified.output << verified.errors;
  const Finished replayed = state({"replay", "--path", path("state"), "--quiet"});
  EXPECT_EQ(replayed.exit_code, 0) << replayed.output << replayed.errors;
  EXPECT_TRUE(daemon().wait_for_events(std::min(before + 1000, 30'000.0))) << "learning stopped: " << daemon().log();

  EXPECT_EQ(daemon().end(SIGTERM), 0);
  EXPECT_FALSE(std::filesystem::exists(path("state") + "/control.json"));
  // What the daemon says at its end is what a replay comes to.
  const std::string at_end = between(daemon().log(), "state_hash  ", "\n").substr(0, 16);
  const Finished end = state({"replay", "--path", path("state"), "--quiet"});
  EXPECT_EQ(end.exit_code, 0) << end.output << end.errors;
  EXPECT_NE(end.output.find("end of the log: " + at_end), std::string::npos) << end.output << daemon().log();
  // Each backup holds a moment that the log came by: what it redoes is the same to the bit.
  for (const char* id : {"1", "3"}) {
    const std::string copy = path(std::string("copy") + id);
    ASSERT_EQ(state({"restore", "--from", path("backups"), "--backup", id, "--path", copy}).exit_code, 0);
    EXPECT_EQ(state({"verify", "--path", copy, "--quiet"}).exit_code, 0);
    EXPECT_EQ(state({"replay", "--path", copy, "--quiet"}).exit_code, 0);
  }
}

TEST_F(StateOfARunningDaemon, TakesNoCommandWithoutItsToken) {
  for (const char* header : {"", "Authorization: Bearer wrong\r\n"}) {
    HttpClient client(daemon().port());
    ASSERT_TRUE(client.send(http_request("POST", "/admin/v1/operations/compact", "{}", header)));
    const auto reply = client.read_reply();
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->status, 401);
  }
  const Finished relative = state({"backup", "--path", path("state"), "--to", path("state") + "/inside"});
  EXPECT_EQ(relative.exit_code, 1);
  EXPECT_NE(relative.errors.find("inside the store"), std::string::npos) << relative.errors;
}

TEST_F(StateOfARunningDaemon, CommandsFindTheWayAroundAFileLeftByAKill) {
  EXPECT_EQ(daemon().end(SIGKILL), 128 + SIGKILL);
  EXPECT_TRUE(std::filesystem::exists(path("state") + "/control.json"));
  EXPECT_EQ(state({"backup", "--path", path("state"), "--to", path("backups")}).exit_code, 0);
  EXPECT_EQ(state({"verify", "--path", path("state")}).exit_code, 0);
  EXPECT_EQ(state({"replay", "--path", path("state")}).exit_code, 0);
}

}  // namespace
}  // namespace freshet::test
