// freshet model: what an operator asks of a running daemon, as commands; and what a restart makes of it.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

class ModelCommand : public KafkaIntegrationTest {
 protected:
  Finished model(std::vector<std::string> words) const {
    words.insert(words.begin(), "model");
    words.insert(words.end(), {"--path", path("state")});
    return run_freshet(std::move(words));
  }
};

TEST_F(ModelCommand, PausesPinsAndResumesAndARestartKeepsIt) {
  create_topic(1);
  std::vector<std::string> options = daemon_sets();
  options.push_back("evaluation.held_out.gating_share=0.02");
  const auto lines = flights(30'000);
  const std::string first = write("first.jsonl", lines.first(15'000));
  const std::string rest = write("rest.jsonl", lines.subspan(15'000));
  std::string pinned;
  {
    Daemon daemon(example_config(), options);
    ASSERT_TRUE(daemon.up()) << daemon.log();
    produce(first);
    ASSERT_TRUE(daemon.wait_for_events(15'000)) << daemon.log();
    const Finished paused = model({"pause"});
    EXPECT_EQ(paused.exit_code, 0) << paused.errors;
    EXPECT_NE(paused.output.find("publishing is paused"), std::string::npos) << paused.output;
    const Finished back = model({"roll_back"});
    EXPECT_EQ(back.exit_code, 0) << back.errors;
    const Finished pin = model({"pin", "--json"});
    ASSERT_EQ(pin.exit_code, 0) << pin.errors;
    pinned = between(pin.output, "\"pinned_version\": ", "}");
    const Finished wrong = model({"pin", "99999999"});
    EXPECT_EQ(wrong.exit_code, 1);
    EXPECT_NE(wrong.errors.find("not kept any more"), std::string::npos) << wrong.errors;
    produce(rest);
    ASSERT_TRUE(daemon.wait_for_events(30'000)) << daemon.log();
    EXPECT_EQ(daemon.metric("freshet_model_version"), std::stod(pinned));
    const Finished versions = model({"versions", "--json"});
    EXPECT_NE(versions.output.find("\"verdict\": \"pinned\""), std::string::npos) << versions.output;
    const Finished shown = model({"versions"});
    EXPECT_NE(shown.output.find("learnt up to"), std::string::npos) << shown.output;
    EXPECT_NE(shown.output.find(" pinned "), std::string::npos) << shown.output;
    EXPECT_NE(shown.output.find("  served\n"), std::string::npos) << shown.output;
    EXPECT_EQ(daemon.end(SIGKILL), 128 + SIGKILL);
  }
  Daemon daemon(example_config(), options);
  ASSERT_TRUE(daemon.up()) << daemon.log();
  ASSERT_TRUE(daemon.wait_for_log("redo_done")) << daemon.log();
  EXPECT_EQ(daemon.metric("freshet_model_version"), std::stod(pinned));
  // The last rounds' candidates were turned away: the newest is still at hand.
  const Finished resumed = model({"resume"});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.errors;
  const Finished promoted = model({"promote", "--json"});
  ASSERT_EQ(promoted.exit_code, 0) << promoted.errors;
  EXPECT_GT(std::stod(between(promoted.output, "\"served_version\": ", ",")), std::stod(pinned));
  EXPECT_EQ(daemon.end(SIGTERM), 0);
}

TEST_F(ModelCommand, WithoutADaemonItSaysSo) {
  const Finished asked = model({"pause"});
  EXPECT_EQ(asked.exit_code, 1);
  EXPECT_NE(asked.errors.find("no daemon runs on"), std::string::npos) << asked.errors;
}

}  // namespace
}  // namespace freshet::test
