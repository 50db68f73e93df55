// freshet log-level: a running daemon logs more, or less, without a restart or another configuration.
#include <gtest/gtest.h>

#include <csignal>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

class LogLevelCommand : public IntegrationTest {
 protected:
  Finished log_level(const std::string& level) const {
    return run_freshet({"log-level", level, "--path", path("state")});
  }
  static void produce(const Daemon& daemon, const std::string& file) {
    const std::string brokers = between(daemon.log(), "--brokers ", " --topic");
    const Finished sent = run_freshet({"produce", "--brokers", brokers, "--topic", "flights", "--input", file});
    EXPECT_EQ(sent.exit_code, 0) << sent.errors;
  }
};

TEST_F(LogLevelCommand, ChangesWhatIsWrittenFromThenOn) {
  Daemon daemon(example_config(), {"stream.brokers=embedded", "memory.path=" + path("state"), "log.format=json"});
  ASSERT_TRUE(daemon.up()) << daemon.log();
  const std::string file = write("flights.jsonl", flights(4'000));
  produce(daemon, file);
  ASSERT_TRUE(daemon.wait_for_events(4'000)) << daemon.log();
  ASSERT_TRUE(daemon.wait_for_log("\"event\": \"rounds_learnt\"")) << daemon.log();
  EXPECT_EQ(daemon.log().find("round_trained"), std::string::npos) << "debug lines at level info";

  const Finished more = log_level("debug");
  EXPECT_EQ(more.exit_code, 0) << more.errors;
  EXPECT_NE(more.output.find("from level debug on"), std::string::npos) << more.output;
  produce(daemon, file);
  ASSERT_TRUE(daemon.wait_for_log("\"event\": \"round_trained\"")) << daemon.log();

  EXPECT_EQ(log_level("error").exit_code, 0);
  const std::size_t before = daemon.log().size();
  EXPECT_EQ(log_level("error").exit_code, 0);  // which is said at level info
  EXPECT_EQ(daemon.log().substr(before).find("operation_started"), std::string::npos);

  const Finished wrong = log_level("loud");
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_EQ(daemon.end(SIGTERM), 0);
}

}  // namespace
}  // namespace freshet::test
