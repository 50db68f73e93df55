#include "daemon/pipeline/round_log.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace freshet {
namespace {

class RoundLogTest : public ::testing::Test {
 protected:
  void note(std::uint64_t round, bool goes_live, bool redone = false) {
    RoundResult result;
    result.round = round;
    result.report.samples_fresh = 1024;
    result.report.samples_replayed = 512;
    result.duration_ns = 64'000'000;
    rounds.note(result, goes_live, goes_live ? round + 1 : 1, redone);
  }
  std::int64_t told() const {
    const auto lines = log.lines();
    return std::ranges::count_if(lines, [](const std::string& line) { return line.starts_with("rounds_learnt"); });
  }

  MemoryLog log;
  ManualClock clock{1'700'000'000'000};
  RoundLog rounds{log, clock};
};

TEST_F(RoundLogTest, SaysWhatARoundDidInWords) {
  clock.advance_ms(1);
  note(7, true);
  EXPECT_TRUE(
      log.contains("round 7 learnt from 1024 new and 512 replayed events in 0.064 s; its model is served as "
                   "version 8"));
  clock.advance_ms(1000);
  note(8, false);
  EXPECT_TRUE(log.contains("its model is turned away, version 1 is still served"));
}

TEST_F(RoundLogTest, OneLineASecondHoweverManyRounds) {
  clock.advance_ms(1);
  for (int i = 0; i < 100; ++i) {
    note(1 + i, true);
    clock.advance_ms(30);  // 3 s in all
  }
  EXPECT_EQ(told(), 3);  // at 0, 1.02 and 2.04 s
  const auto lines = log.lines();
  EXPECT_EQ(lines.size(), 103U);  // and each of them at debug
}

TEST_F(RoundLogTest, ARedoIsNotNews) {
  clock.advance_ms(1);
  note(1, true, true);
  EXPECT_EQ(told(), 0);
}

}  // namespace
}  // namespace freshet
