// `freshet drift` as a process: numbers in, positions out.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>

#include "daemon/cli/temporary_folder.h"
#include "tests/support/child_process.h"

namespace freshet::test {
namespace {

using namespace std::chrono_literals;

struct Finished {
  int exit_code = -1;
  std::string output, errors;
};

class DriftCommand : public ::testing::Test {
 protected:
  DriftCommand() : folder_(TemporaryFolder::create("freshet-test").value()) {}

  Finished run(const std::string& arguments, const std::string& input) const {
    const std::string file = folder_.path() + "/numbers";
    std::ofstream(file) << input;
    const std::string line = std::string(FRESHET_BINARY_DIR "/freshet drift ") + arguments + " < '" + file + "'";
    ChildProcess process({"/bin/sh", "-c", line});
    const auto code = process.wait(60s);
    return {code.value_or(-1), process.output(), process.errors()};
  }

  // 1,000 times a, then 1,000 times b.
  static std::string step(const char* a, const char* b) {
    std::string text;
    for (int i = 0; i < 2000; ++i) text += std::string(i < 1000 ? a : b) + "\n";
    return text;
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(DriftCommand, PrintsThePositionOfEachAlarmCountedFromZero) {
  // ADWIN looks every 32 numbers: at position 1,023 there are 24 ones behind 1,000 zeros.
  const Finished adwin = run("--detector adwin", step("0", "1"));
  EXPECT_EQ(adwin.exit_code, 0) << adwin.errors;
  EXPECT_EQ(adwin.output, "1023\n");
  EXPECT_EQ(adwin.errors, "");
  // Page-Hinkley: the distance reaches 5 with the sixth one (5 after five, less what is tolerated).
  EXPECT_EQ(run("--detector page_hinkley --set threshold=5 --set delta=0.005", step("0", "1")).output, "1005\n");
}

TEST_F(DriftCommand, SaysWarningsWhenAskedTo) {
  std::string errors;
  for (int i = 0; i < 3000; ++i) errors += i % (i < 2000 ? 10 : 4) == 0 ? "1\n" : "0\n";
  const Finished quiet = run("--detector ddm", errors);
  const Finished all = run("--detector ddm --warnings", errors);
  EXPECT_EQ(quiet.output.find("warning"), std::string::npos);
  EXPECT_NE(all.output.find(" warning\n"), std::string::npos);
  EXPECT_GT(all.output.size(), quiet.output.size());
}

TEST_F(DriftCommand, SaysWhichLineIsWrong) {
  const Finished word = run("--detector adwin", "1\n2.5\n-3e2\nhot\n");
  EXPECT_EQ(word.exit_code, 1);
  EXPECT_NE(word.errors.find("line 4: 'hot' is not a number"), std::string::npos) << word.errors;
  EXPECT_NE(run("--detector kswin", "1\nnan\n").errors.find("line 2"), std::string::npos);
  EXPECT_NE(run("--detector ddm", "0\n1\n7\n").errors.find("line 3"), std::string::npos);
  EXPECT_NE(run("--detector adwin", "1\n\n2\n").errors.find("line 2 is empty"), std::string::npos);
  EXPECT_EQ(run("--detector adwin", " 1 \r\n+2\n\n").exit_code, 0);
  EXPECT_EQ(run("--detector adwin", "").exit_code, 0);
}

TEST_F(DriftCommand, RefusesAWrongDetectorOrOption) {
  const Finished detector = run("--detector adwim", "");
  EXPECT_EQ(detector.exit_code, 2);
  EXPECT_NE(detector.errors.find("page_hinkley"), std::string::npos) << detector.errors;
  const Finished option = run("--detector adwin --set delta=2", "");
  EXPECT_EQ(option.exit_code, 2);
  EXPECT_NE(option.errors.find("delta"), std::string::npos) << option.errors;
  EXPECT_EQ(run("", "").exit_code, 2);
}

TEST_F(DriftCommand, HelpListsEveryDetectorsOptions) {
  const Finished help = run("--help", "");
  EXPECT_EQ(help.exit_code, 0);
  for (const char* text : {"adwin", "delta=0.002", "page_hinkley", "kswin", "ddm", "eddm", "hddm_a", "hddm_w"}) {
    EXPECT_NE(help.output.find(text), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace freshet::test
