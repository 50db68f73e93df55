// The demonstration, without a terminal and on one, and the commands that it prints.
#include <gtest/gtest.h>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

class DemoProcess : public IntegrationTest {
 protected:
  std::vector<std::string> words(std::size_t events, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = {freshet_binary(), "demo", "--port", "0",
                                    "--rate",         "0",    "--data", write("flights.jsonl", flights(events))};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_F(DemoProcess, EndsByItselfWithoutATerminal) {
  ChildProcess demo(words(30'000, {"--once"}), {FRESHET_SOURCE_DIR, false});
  ASSERT_EQ(demo.wait(kPatience), 0) << demo.errors() << demo.output();
  const std::string output = demo.output();
  for (const char* part : {"Summary", "30000 flights learnt", "0 records dead-lettered", "continuously trained",
                           "frozen", "Try it:", "/v2/models/flights/infer", "/metrics", "freshet backtest --config"}) {
    EXPECT_NE(output.find(part), std::string::npos) << part << " is not in: " << output;
  }
  EXPECT_EQ(output.find('\x1b'), std::string::npos) << "it draws without a terminal";
}

TEST_F(DemoProcess, StaysUpOnATerminalUntilInterruptedAndItsCommandsWork) {
  ChildProcess demo(words(20'000), {FRESHET_SOURCE_DIR, true});
  const bool stays =
      demo.wait_until([&] { return demo.output().find("Ctrl-C ends it.") != std::string::npos; }, kPatience);
  ASSERT_TRUE(stays) << demo.output();
  ASSERT_FALSE(demo.ended());

  std::size_t commands = 0;
  std::string list = between(demo.output(), "Try it:", "The daemon stays up");
  std::string ran;
  for (std::size_t begin = 0; (begin = list.find("\n  ", begin)) != std::string::npos; ++commands) {
    begin += 3;
    std::string command = list.substr(begin, list.find_first_of("\r\n", begin) - begin);
    // The printed path is that of `./dev build`; here the binary of this build is meant.
    const std::string printed = "build/release/freshet";
    if (command.rfind(printed, 0) == 0) command.replace(0, printed.size(), freshet_binary());
    SCOPED_TRACE(command);
    ChildProcess process({"/bin/bash", "-o", "pipefail", "-c", command}, {FRESHET_SOURCE_DIR, false});
    EXPECT_EQ(process.wait(kPatience), 0) << process.errors();
    const std::string answer = process.output();
    EXPECT_FALSE(answer.empty()) << process.errors();
    EXPECT_EQ(answer.find("\"error\""), std::string::npos) << answer;
    ran += answer;
  }
  EXPECT_GE(commands, 5U) << list;
  for (const char* part :
       {"\"probability\"", "freshet_live_auc", "\"served_version\"", "\"tailnum\"", "\"events_per_second\""}) {
    EXPECT_NE(ran.find(part), std::string::npos) << part << " is not in: " << ran;
  }
  demo.type("\x03");
  EXPECT_EQ(demo.wait(30s), 0) << demo.output();
}

}  // namespace
}  // namespace freshet::test
