// `freshet state average` as a process, on what a backtest left.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <chrono>

#include "daemon/cli/temporary_folder.h"
#include "storage/store.h"
#include "tests/support/child_process.h"

namespace freshet::test {
namespace {

using namespace std::chrono_literals;

struct Finished {
  int exit_code = -1;
  std::string output, errors;
};
Finished run_freshet(std::vector<std::string> words) {
  words.insert(words.begin(), FRESHET_BINARY_DIR "/freshet");
  ChildProcess process(words, {FRESHET_SOURCE_DIR, false});
  const auto code = process.wait(300s);
  return {code.value_or(-1), process.output(), process.errors()};
}

class AverageCommand : public ::testing::Test {
 protected:
  AverageCommand() : folder_(TemporaryFolder::create("freshet-test").value()), store_(folder_.path() + "/state") {}
  void SetUp() override {
    const Finished done =
        run_freshet({"backtest", "--quiet", "--config", "examples/flights.yaml", "--input",
                     "examples/flights/flights-slice.jsonl.gz", "--state", store_, "--set", "checkpoint.keep=4",
                     "--set", "checkpoint.every_events=5000", "--set", "evaluation.held_out.gating_share=0.05"});
    ASSERT_EQ(done.exit_code, 0) << done.errors;
    backtest_ = YAML::Load(done.output);
  }
  TemporaryFolder folder_;
  std::string store_;
  YAML::Node backtest_;
};

TEST_F(AverageCommand, SaysWhatWentInServesItAndLeavesASoundStore) {
  const Finished served = run_freshet({"state", "average", "--path", store_, "--force", "--json"});
  ASSERT_EQ(served.exit_code, 0) << served.errors;
  const YAML::Node said = YAML::Load(served.output);
  EXPECT_TRUE(said["served"].as<bool>());
  ASSERT_EQ(said["states"].size(), 4U) << served.output;
  EXPECT_EQ(said["states"][3]["seq"].as<std::uint64_t>(), backtest_["events"].as<std::uint64_t>());
  EXPECT_EQ(said["states"][3]["round"].as<std::uint64_t>(), backtest_["rounds"].as<std::uint64_t>());
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_GT(said["states"][i]["steps"].as<std::uint64_t>(), said["states"][i - 1]["steps"].as<std::uint64_t>());
  }
  const YAML::Node held_out = said["held_out"];
  EXPECT_EQ(held_out["set"].as<std::string>(), "gating");
  EXPECT_GT(held_out["events"].as<int>(), 500);
  EXPECT_NEAR(held_out["loss_difference"].as<double>(),
              held_out["average"]["log_loss"].as<double>() - held_out["served_before"]["log_loss"].as<double>(), 1e-6);

  EXPECT_EQ(run_freshet({"state", "verify", "--path", store_, "--quiet"}).exit_code, 0);
  const Finished replayed = run_freshet({"state", "replay", "--path", store_, "--quiet"});
  EXPECT_EQ(replayed.exit_code, 0) << replayed.output << replayed.errors;
  const Finished inspected = run_freshet({"state", "inspect", "--path", store_, "--json"});
  EXPECT_NE(inspected.output.find("\"id\":" + said["checkpoint"].as<std::string>()), std::string::npos)
      << inspected.output;

  // The average is what is served now: against itself nothing is better or worse.
  const Finished again = run_freshet(
      {"state", "average", "--path", store_, "--checkpoints",
       said["states"][2]["checkpoint"].as<std::string>() + "," + said["states"][3]["checkpoint"].as<std::string>(),
       "--force", "--json"});
  ASSERT_EQ(again.exit_code, 0) << again.errors;
  EXPECT_EQ(YAML::Load(again.output)["held_out"]["served_before"]["log_loss"].as<double>(),
            held_out["average"]["log_loss"].as<double>());
}

TEST_F(AverageCommand, AWorseAverageIsNotServed) {
  const Finished done = run_freshet({"state", "average", "--path", store_, "--json"});
  const YAML::Node said = YAML::Load(done.output);
  const bool worse = said["held_out"]["loss_difference"].as<double>() > 0;
  EXPECT_EQ(said["served"].as<bool>(), !worse);
  EXPECT_EQ(done.exit_code, worse ? 1 : 0) << done.errors;
  EXPECT_EQ(said["checkpoint"].IsDefined(), !worse);
}

TEST_F(AverageCommand, SaysWhyNot) {
  const Finished unknown = run_freshet({"state", "average", "--path", store_, "--checkpoints", "1,2"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_NE(unknown.errors.find("checkpoint 1 is not kept"), std::string::npos) << unknown.errors;
  const Finished other = run_freshet({"state", "average", "--path", store_, "--config", "examples/flights.yaml",
                                      "--set", "evaluation.held_out.gating_share=0.05", "--set", "model.hidden=[8]"});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_NE(other.errors.find("the checkpoint's model"), std::string::npos) << other.errors;
  EXPECT_EQ(run_freshet({"state", "average", "--path", store_, "--last", "1"}).exit_code, 2);

  NullLog log;
  LocalMetrics metrics;
  StoreOptions options;
  options.path = store_;
  const auto held = Store::open(options, std::nullopt, log, metrics);
  ASSERT_TRUE(held.is_ok()) << held.status().to_string();
  const Finished refused = run_freshet({"state", "average", "--path", store_});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.errors.find(store_), std::string::npos) << refused.errors;
}

}  // namespace
}  // namespace freshet::test
