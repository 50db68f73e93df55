// 200 kills over the whole year of flights, half of them in each mode. FRESHET_TEST_STREAM names the stream when
// examples/flights/prepare.py has made it already; otherwise it is made here.
#include <cstdlib>
#include <fstream>

#include "tests/integration/kill_nine.h"

namespace freshet::test {
namespace {

class KillNineFull : public KillNineTest {
 protected:
  void SetUp() override {
    KillNineTest::SetUp();
    const char* const given = std::getenv("FRESHET_TEST_STREAM");
    const std::string file = given != nullptr ? given : path("year.jsonl");
    if (given == nullptr) {
      ChildProcess prepare({"python3", FRESHET_SOURCE_DIR "/examples/flights/prepare.py", "--out", file});
      ASSERT_EQ(prepare.wait(std::chrono::minutes(10)), 0) << prepare.errors();
    }
    std::ifstream in(file);
    for (std::string line; std::getline(in, line);) lines_.push_back(line);
    ASSERT_GT(lines_.size(), 300'000U) << file;
  }
  std::vector<std::string> lines_;
};

TEST_F(KillNineFull, OnePartitionAndCountedRounds) {
  run({.lines = lines_, .partitions = 1, .kills = 100, .counted_rounds = true, .events_per_second = 2000});
}

TEST_F(KillNineFull, FourPartitionsAndTimedRounds) {
  run({.lines = lines_, .partitions = 4, .kills = 100, .counted_rounds = false, .events_per_second = 2000});
}

}  // namespace
}  // namespace freshet::test
