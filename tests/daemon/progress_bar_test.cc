#include "daemon/cli/progress_bar.h"

#include <gtest/gtest.h>

namespace freshet {
namespace {

class ProgressBarTest : public testing::Test {
 protected:
  ProgressBar make(bool terminal, std::uint64_t total, std::size_t columns = 200) {
    ProgressOptions options;
    options.title = "learning";
    options.total = total;
    options.terminal = terminal;
    options.columns = columns;
    return {options, clock_, [this](std::string_view text) { text_ += text; }};
  }
  std::string take() { return std::exchange(text_, ""); }

  ManualClock clock_;
  std::string text_;
};

TEST_F(ProgressBarTest, DrawsOverOneLineOfATerminal) {
  auto bar = make(true, 1000);
  bar.update(0);
  EXPECT_EQ(take(), "");  // not before it is due
  clock_.advance_ms(1000);
  bar.update(250, "auc 0.79");
  EXPECT_EQ(take(), "\r\x1b[Klearning  [######------------------]   25%  250/1,000 events  250/s  0:03 left  auc 0.79");
  bar.update(260);
  EXPECT_EQ(take(), "");
  clock_.advance_ms(3000);
  bar.finish(1000);
  EXPECT_EQ(take(), "\r\x1b[Klearning  [########################]  100%  1,000/1,000 events  250/s  in 0:04\n");
  bar.finish(1000);
  bar.update(1000);
  EXPECT_EQ(take(), "");
}

TEST_F(ProgressBarTest, WritesPlainLinesElsewhere) {
  auto bar = make(false, 300'000);
  clock_.advance_ms(9999);
  bar.update(100);
  EXPECT_EQ(take(), "");
  clock_.advance_ms(1);
  bar.update(100'000);
  EXPECT_EQ(take(), "learning   33%  100,000/300,000 events  10k/s  0:20 left\n");
  bar.finish(300'000, "done");
  EXPECT_EQ(take(), "learning  100%  300,000/300,000 events  30k/s  in 0:10  done\n");
}

TEST_F(ProgressBarTest, WithoutATotalThereIsNoBar) {
  auto bar = make(true, 0);
  clock_.advance_ms(100);
  bar.update(5);
  EXPECT_EQ(take(), "\r\x1b[Klearning  5 events  50/s");
}

TEST_F(ProgressBarTest, NeverWrapsAndNeverSays100TooEarly) {
  auto bar = make(true, 1000, 30);
  clock_.advance_ms(1000);
  bar.update(999);
  const std::string line = take();
  EXPECT_EQ(line.size(), 29 + 4U) << line;
  auto wide = make(true, 1000);
  clock_.advance_ms(1000);
  wide.update(999);
  EXPECT_NE(take().find(" 99%"), std::string::npos);
}

TEST_F(ProgressBarTest, BearsATotalThatWasTooSmallAndAStandstill) {
  auto bar = make(true, 10);
  clock_.advance_ms(1000);
  bar.update(20);
  EXPECT_NE(take().find("100%  20/10"), std::string::npos);
  clock_.advance_ms(1000);
  bar.update(20);
  clock_.advance_ms(0);
  bar.finish(0);
  EXPECT_EQ(take().back(), '\n');
}

TEST(ProgressFormat, SpeaksToPeople) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1000), "1,000");
  EXPECT_EQ(format_count(1'234'567), "1,234,567");
  EXPECT_EQ(format_rate(0.5), "0.5/s");
  EXPECT_EQ(format_rate(950), "950/s");
  EXPECT_EQ(format_rate(151'234), "151k/s");
  EXPECT_EQ(format_rate(999'999), "1.0M/s");
  EXPECT_EQ(format_seconds_left(0), "0:00");
  EXPECT_EQ(format_seconds_left(6.2), "0:07");
  EXPECT_EQ(format_seconds_left(750), "12:30");
  EXPECT_EQ(format_seconds_left(11'100), "3:05:00");
  EXPECT_NE(format_seconds_left(1e300), "");
}

}  // namespace
}  // namespace freshet
