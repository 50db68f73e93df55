// How the daemon ends and what signals do to it.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

// The orchestrator's usual grace time before it kills.
constexpr std::chrono::seconds kGrace{30};

class ExitCodes : public KafkaIntegrationTest, public ::testing::WithParamInterface<int> {
 protected:
  // The example's configuration with this line at its end.
  std::string config_with(const std::string& line) const {
    std::ifstream in(example_config());
    std::ofstream out(path("flights.yaml"));
    out << std::string(std::istreambuf_iterator<char>(in), {}) << line << '\n';
    return path("flights.yaml");
  }
};
using Signals = ExitCodes;
using Reload = ExitCodes;

TEST_P(Signals, EndItWith0WhileItLearns) {
  topic = GetParam() == SIGTERM ? "end-by-term" : "end-by-int";
  ASSERT_NO_FATAL_FAILURE(create_topic(1));
  Daemon daemon(example_config(), daemon_sets());
  ASSERT_TRUE(daemon.up());
  ChildProcess producer(produce_command(write("flights.jsonl", flights(40'000)), 10'000));
  ASSERT_TRUE(daemon.wait_for_metric("freshet_events_total", 5000)) << daemon.log();
  EXPECT_EQ(daemon.end(GetParam(), kGrace), 0) << daemon.log();
  EXPECT_NE(daemon.log().find("everything up to event"), std::string::npos) << daemon.log();
}

TEST_P(Signals, EndItWith0WhileThereIsNoBroker) {
  auto sets = daemon_sets();
  sets[0] = "stream.brokers=127.0.0.1:1";
  sets[1] = "stream.topic=nowhere";
  Daemon daemon(example_config(), sets);
  ASSERT_TRUE(daemon.up());
  EXPECT_NE(daemon.get("/v2/health/live"), "");
  EXPECT_EQ(daemon.end(GetParam(), kGrace), 0) << daemon.log();
}

INSTANTIATE_TEST_SUITE_P(ExitCodes, Signals, ::testing::Values(SIGTERM, SIGINT), [](const auto& signal) {
  return std::string(signal.param == SIGTERM ? "SIGTERM" : "SIGINT");
});

TEST_F(Reload, AppliesWhatCanChangeAndKeepsTheRest) {
  ASSERT_NO_FATAL_FAILURE(create_topic(1));
  const std::string config = config_with("log: {level: info}");
  Daemon daemon(config, daemon_sets());
  ASSERT_TRUE(daemon.up());
  const std::string file = write("flights.jsonl", flights(5000));
  produce(file);
  ASSERT_TRUE(daemon.wait_for_events(5000)) << daemon.log();
  EXPECT_EQ(daemon.log().find("round_trained"), std::string::npos) << "debug lines at level info";

  config_with("log: {level: debug}\ncheckpoint: {keep: 3}");
  daemon.process().signal(SIGHUP);
  ASSERT_TRUE(daemon.wait_for_log("log.level info -> debug")) << daemon.log();
  ASSERT_TRUE(daemon.wait_for_log("checkpoint.keep 2 -> 3 waits for a restart")) << daemon.log();
  produce(file);
  ASSERT_TRUE(daemon.wait_for_log("round_trained")) << daemon.log();

  config_with("log: {level: loud}\nno_such_part: 1");
  daemon.process().signal(SIGHUP);
  ASSERT_TRUE(daemon.wait_for_log("reload_refused")) << daemon.log();
  EXPECT_NE(daemon.log().find("no_such_part"), std::string::npos) << daemon.log();
  produce(file);
  ASSERT_TRUE(daemon.wait_for_events(15'000)) << daemon.log();
  EXPECT_EQ(daemon.end(SIGTERM, kGrace), 0) << daemon.log();
}

TEST_F(ExitCodes, WrongConfigurationEndsItAtOnceWithAMessage) {
  const Finished finished = run_freshet({"run", "--config", config_with("serving: {listen: nowhere}")});
  EXPECT_NE(finished.exit_code, 0);
  EXPECT_NE(finished.errors.find("serving"), std::string::npos) << finished.errors;
}

}  // namespace
}  // namespace freshet::test
