// freshet tune as a user runs it: over what a backtest has stored.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <fstream>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

class Tune : public IntegrationTest {
 protected:
  static std::string config() { return FRESHET_SOURCE_DIR "/examples/flights.yaml"; }
  Finished tune(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {"tune",        "--config", config(), "--path",
                                          path("state"), "--quiet",  "--set",  "tuning.max_trials=6"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_freshet(arguments);
  }
  void learn() {
    const Finished backtest =
        run_freshet({"backtest", "--config", config(), "--input", write("flights.jsonl", flights(8'000)), "--state",
                     path("state"), "--quiet"});
    ASSERT_EQ(backtest.exit_code, 0) << backtest.errors;
  }
};

TEST_F(Tune, FindsTheSameTwiceAndAStoredStudyIsNotTrainedAgain) {
  learn();
  const Finished first = tune({"--json", "--study", path("study")});
  ASSERT_EQ(first.exit_code, 0) << first.errors;
  const YAML::Node found = YAML::Load(first.output);
  EXPECT_EQ(found["metric"].as<std::string>(), "log_loss");
  ASSERT_TRUE(found["best"].IsMap()) << first.output;
  EXPECT_LT(found["best"]["objective"].as<double>(), 0.0) << "a log loss, turned round";
  EXPECT_TRUE(found["best"]["settings"].IsMap());

  const Finished second = tune({"--json"});
  ASSERT_EQ(second.exit_code, 0) << second.errors;
  EXPECT_EQ(YAML::Load(second.output)["best"]["objective"].as<double>(), found["best"]["objective"].as<double>());

  const Finished again = tune({"--json", "--study", path("study")});
  ASSERT_EQ(again.exit_code, 0) << again.errors;
  EXPECT_EQ(YAML::Load(again.output)["best"]["trial"].as<int>(), found["best"]["trial"].as<int>());
  EXPECT_EQ(YAML::Load(again.output)["worker_seconds"].as<double>(), 0.0);

  const Finished words = tune({});
  ASSERT_EQ(words.exit_code, 0) << words.errors;
  EXPECT_NE(words.output.find("--set learning.optimizer="), std::string::npos) << words.output;
}

TEST_F(Tune, SaysWhatIsWrong) {
  const Finished empty = tune({});
  EXPECT_EQ(empty.exit_code, 1);
  EXPECT_NE(empty.errors.find("freshet tune: "), std::string::npos) << empty.errors;
  learn();
  const Finished metric = tune({"--set", "tuning.metric=rmse"});
  EXPECT_EQ(metric.exit_code, 1);
  EXPECT_NE(metric.errors.find("tuning.metric"), std::string::npos) << metric.errors;
  std::ofstream(path("study")) << "no study";
  const Finished study = tune({"--study", path("study")});
  EXPECT_EQ(study.exit_code, 1);
  EXPECT_NE(study.errors.find("is no study"), std::string::npos) << study.errors;
}

}  // namespace
}  // namespace freshet::test
