// A TorchScript model from its file to the exported one, as a user runs it: examples/torchscript.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

class OwnModel : public IntegrationTest {
 protected:
  static std::string config() { return FRESHET_SOURCE_DIR "/examples/torchscript/flights.yaml"; }
  Finished backtest(const std::string& input, const std::string& state) const {
    return run_freshet({"backtest", "--config", config(), "--input", input, "--state", state, "--quiet"});
  }
};

TEST_F(OwnModel, LearnsTheSameTwiceAndIsExported) {
  const std::string input = write("flights.jsonl", flights(12'000));
  const Finished first = backtest(input, path("first"));
  ASSERT_EQ(first.exit_code, 0) << first.errors;
  const YAML::Node result = YAML::Load(first.output);
  EXPECT_EQ(result["events"].as<int>(), 12'000);
  EXPECT_GT(result["auc"].as<double>(), 0.6) << "a coin gives 0.5";
  // metrics() of the example, on the held-out events: what it calls right agrees with the backtest's own count.
  const YAML::Node own = result["own_measures"];
  ASSERT_TRUE(own.IsMap()) << first.output;
  EXPECT_NEAR(own["right"].as<double>(), result["held_out"]["final_model"]["accuracy"].as<double>(), 1e-4);
  EXPECT_GE(own["said_yes"].as<double>(), 0.0);
  const Finished second = backtest(input, path("second"));
  ASSERT_EQ(second.exit_code, 0) << second.errors;
  EXPECT_EQ(YAML::Load(second.output)["model_hash"].as<std::string>(), result["model_hash"].as<std::string>());

  const std::string out = path("learnt.pt");
  const Finished exported =
      run_freshet({"export", "--config", config(), "--path", path("first"), "--out", out, "--json"});
  ASSERT_EQ(exported.exit_code, 0) << exported.errors;
  EXPECT_EQ(YAML::Load(exported.output)["file"].as<std::string>(), out);
  EXPECT_FALSE(std::filesystem::exists(out + ".partial"));
  // What was learnt is a model that one can begin with.
  const Finished again = run_freshet({"backtest", "--config", config(), "--input", input, "--quiet", "--set",
                                      "model.path=" + out, "--state", path("third")});
  ASSERT_EQ(again.exit_code, 0) << again.errors;
  EXPECT_LT(YAML::Load(again.output)["log_loss"].as<double>(), result["log_loss"].as<double>());
}

TEST_F(OwnModel, ARestartRedoesTheLogToTheBit) {
  const std::string input = write("flights.jsonl", flights(6'000));
  const Finished run = backtest(input, path("state"));
  ASSERT_EQ(run.exit_code, 0) << run.errors;
  const Finished replay = run_freshet({"state", "replay", "--path", path("state")});
  EXPECT_EQ(replay.exit_code, 0) << replay.output << replay.errors;
}

TEST_F(OwnModel, AFileThatIsNoModuleIsRefusedAtTheStart) {
  const std::string input = write("flights.jsonl", flights(100));
  const Finished missing =
      run_freshet({"backtest", "--config", config(), "--input", input, "--set", "model.path=none.pt"});
  EXPECT_NE(missing.exit_code, 0);
  EXPECT_NE(missing.errors.find("model.path: there is no file none.pt"), std::string::npos) << missing.errors;
  const std::string unfit = std::string("model.path=") + FRESHET_SOURCE_DIR + "/examples/torchscript/tiny.pt";
  const Finished other = run_freshet({"backtest", "--config", config(), "--input", input, "--set", unfit});
  EXPECT_NE(other.exit_code, 0);
  EXPECT_NE(other.errors.find("tried with numbers [16, 27] and categories [16, 5]"), std::string::npos) << other.errors;
}

}  // namespace
}  // namespace freshet::test
