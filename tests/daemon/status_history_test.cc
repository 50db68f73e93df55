#include "daemon/status_page/status_history.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cmath>

namespace freshet {
namespace {

constexpr std::int64_t kBegin = 1'700'000'040'000;  // a whole minute

StatusPoint point(std::int64_t time_ms, float rate) {
  StatusPoint made;
  made.time_ms = time_ms;
  made[StatusColumn::kRate] = rate;
  return made;
}

TEST(StatusHistory, KeepsTenMinutesBySecond) {
  StatusHistory history;
  for (int second = 0; second < 1000; ++second) history.add(point(kBegin + second * 1000, static_cast<float>(second)));
  const auto points = history.points(HistoryStep::kSecond);
  ASSERT_EQ(points.size(), 600U);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].time_ms, kBegin + static_cast<std::int64_t>(400 + i) * 1000);
    EXPECT_EQ(points[i][StatusColumn::kRate], static_cast<float>(400 + i));
  }
}

// Of the seconds of a minute: the mean of a rate, the largest lag, the sum of swaps; what is unknown counts for
// nothing.
TEST(StatusHistory, JoinsSecondsToMinutes) {
  StatusHistory history;
  for (int second = 0; second < 120; ++second) {
    StatusPoint made = point(kBegin + second * 1000, second < 60 ? 10.0F : 20.0F + static_cast<float>(second % 2) * 10);
    made[StatusColumn::kLagEvents] = static_cast<float>(second % 60 == 17 ? 500 : 3);
    made[StatusColumn::kSwaps] = 1;
    if (second >= 60) made[StatusColumn::kForgetting] = 0.25F;
    made.live[0] = second < 60 ? 0.5F : 0.25F;
    history.add(made);
  }
  const auto minutes = history.points(HistoryStep::kMinute);
  ASSERT_EQ(minutes.size(), 2U);
  EXPECT_EQ(minutes[0].time_ms, kBegin);
  EXPECT_EQ(minutes[1].time_ms, kBegin + 60'000);
  EXPECT_FLOAT_EQ(minutes[0][StatusColumn::kRate], 10);
  EXPECT_FLOAT_EQ(minutes[1][StatusColumn::kRate], 25);
  EXPECT_EQ(minutes[1][StatusColumn::kLagEvents], 500);
  EXPECT_EQ(minutes[1][StatusColumn::kSwaps], 60);
  EXPECT_TRUE(std::isnan(minutes[0][StatusColumn::kForgetting]));
  EXPECT_FLOAT_EQ(minutes[1][StatusColumn::kForgetting], 0.25F);
  EXPECT_FLOAT_EQ(minutes[0].live[0], 0.5F);
  EXPECT_FLOAT_EQ(minutes[1].live[0], 0.25F);
  EXPECT_TRUE(std::isnan(minutes[1].live[1]));
}

// However long it lives: all of it, in no more points than there are, the totals as they were.
TEST(StatusHistory, TheWholeLifeFitsByBecomingCoarser) {
  StatusHistory history;
  const int minutes = 10'000;
  for (int minute = 0; minute < minutes; ++minute) {
    StatusPoint made = point(kBegin + minute * 60'000LL, static_cast<float>(minute));
    made[StatusColumn::kSwaps] = 2;
    history.add(made);
  }
  EXPECT_EQ(history.points(HistoryStep::kMinute).size(), 1440U);
  const auto life = history.points(HistoryStep::kLife);
  EXPECT_LE(life.size(), 1024U);
  EXPECT_GT(life.size(), 512U);
  double swaps = 0;
  double weighted = 0;
  for (std::size_t i = 0; i < life.size(); ++i) {
    swaps += life[i][StatusColumn::kSwaps];
    weighted += static_cast<double>(life[i][StatusColumn::kRate]) * life[i][StatusColumn::kSwaps];
    if (i > 1) {
      EXPECT_EQ(life[i].time_ms - life[i - 1].time_ms, 16 * 60'000);  // 10,000 minutes in 1,024 points
    }
  }
  EXPECT_EQ(swaps, 2.0 * minutes);
  EXPECT_NEAR(weighted / swaps, (minutes - 1) / 2.0, 0.01);  // the mean of all that was added
  EXPECT_LE(life.front().time_ms, kBegin);
  EXPECT_GT(life.back().time_ms, kBegin + (minutes - 17) * 60'000LL);
}

TEST(StatusHistory, PointsFarApartDoNotGrowItEither) {
  StatusHistory history;
  for (int day = 0; day < 5000; ++day) history.add(point(kBegin + day * 86'400'000LL, 1));
  EXPECT_LE(history.points(HistoryStep::kLife).size(), 1024U);
  const std::int64_t last = kBegin + 4999 * 86'400'000LL;
  EXPECT_LE(history.points(HistoryStep::kLife).back().time_ms, last);
  EXPECT_GT(history.points(HistoryStep::kLife).back().time_ms, last - 8 * 86'400'000LL);  // 5,000 days in 1,024 points
}

TEST(StatusHistory, AClockThatGoesBackIsBorne) {
  StatusHistory history;
  history.add(point(kBegin, 1));
  history.add(point(kBegin - 5000, 2));
  history.add(point(kBegin + 1000, 3));
  EXPECT_EQ(history.points(HistoryStep::kSecond).size(), 3U);
}

TEST(StatusHistory, KeepsTheNewestMarksOfEachKind) {
  StatusHistory history;
  history.mark(MarkKind::kRollback, kBegin, 7, "the only one");
  for (int i = 0; i < 200; ++i) history.mark(MarkKind::kAlarm, kBegin + i, 100 + i, std::to_string(i));
  const auto marks = history.marks();
  ASSERT_EQ(marks.size(), 1 + StatusHistory::kMarksOfAKind);
  EXPECT_EQ(marks.front().text, "the only one");  // a storm of alarms does not wash it away
  EXPECT_EQ(marks.back().text, "199");
  EXPECT_EQ(marks.back().number, 201U);
  for (std::size_t i = 1; i < marks.size(); ++i) EXPECT_GT(marks[i].number, marks[i - 1].number);
}

TEST(StatusHistory, IsToldInColumns) {
  StatusHistory history;
  StatusPoint first = point(kBegin, 12.5F);
  history.set_measures(first.live, std::vector<MetricValue>{{"log_loss", 0.5}, {"auc", 0.75}});
  history.add(first);
  StatusPoint second = point(kBegin + 1000, 13);
  history.set_measures(second.live, std::vector<MetricValue>{{"auc", 0.875}});
  history.set_measures(second.frozen, std::vector<MetricValue>{{"log_loss", 0.625}});
  history.add(second);
  history.mark(MarkKind::kStudy, kBegin, 42, "1 begins: \"</script>\"");
  const YAML::Node told = YAML::Load(history.json(HistoryStep::kSecond));
  EXPECT_EQ(told["step_ms"].as<int>(), 1000);
  ASSERT_EQ(told["time_ms"].size(), 2U);
  EXPECT_EQ(told["time_ms"][1].as<std::int64_t>(), kBegin + 1000);
  EXPECT_EQ(told["rate"][0].as<double>(), 12.5);
  EXPECT_TRUE(told["kept_share"][0].IsNull());
  EXPECT_EQ(told["live"]["log_loss"][0].as<double>(), 0.5);
  EXPECT_TRUE(told["live"]["log_loss"][1].IsNull());
  EXPECT_EQ(told["live"]["auc"][1].as<double>(), 0.875);
  EXPECT_EQ(told["frozen"]["log_loss"][1].as<double>(), 0.625);
  EXPECT_FALSE(told["frozen"]["auc"]);  // never known: left out
  EXPECT_EQ(told["marks"][0]["kind"].as<std::string>(), "study");
  EXPECT_EQ(told["marks"][0]["event"].as<int>(), 42);
  EXPECT_EQ(YAML::Load(history.json(HistoryStep::kLife))["step_ms"].as<int>(), 60'000);
}

TEST(StatusHistory, MeasuresBeyondItsRoomAreLeftOut) {
  StatusHistory history;
  StatusPoint made = point(kBegin, 1);
  std::vector<MetricValue> values;
  static constexpr std::array<std::string_view, 12> kNames = {"a", "b", "c", "d", "e", "f",
                                                              "g", "h", "i", "j", "k", "l"};
  for (const auto name : kNames) values.push_back({name, 1});
  history.set_measures(made.live, values);
  history.add(made);
  EXPECT_EQ(YAML::Load(history.json(HistoryStep::kSecond))["live"].size(), kMeasuresMost);
}

}  // namespace
}  // namespace freshet
