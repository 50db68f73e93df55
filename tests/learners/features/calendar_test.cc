#include "learners/features/calendar.h"

#include <gtest/gtest.h>

#include <ctime>
#include <limits>

#include "core/rng.h"

namespace freshet {
namespace {

TEST(CalendarTest, AgreesWithTheCLibraryOverFourThousandYears) {
  constexpr std::uint64_t kSeed = 5;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  for (int i = 0; i < 50'000; ++i) {
    const std::int64_t seconds = static_cast<std::int64_t>(rng.below(126'000'000'000)) - 63'000'000'000;
    const std::int64_t ms = seconds * 1000 + static_cast<std::int64_t>(rng.below(1000));
    const auto time = static_cast<std::time_t>(seconds);
    std::tm tm{};
    ASSERT_NE(gmtime_r(&time, &tm), nullptr);
    const CivilDate date = civil_date(day_of(ms));
    ASSERT_EQ(date.year, tm.tm_year + 1900) << ms;
    ASSERT_EQ(date.month, tm.tm_mon + 1) << ms;
    ASSERT_EQ(date.day, tm.tm_mday) << ms;
    ASSERT_EQ(time_part_value(TimePart::kHourOfDay, ms), tm.tm_hour);
    ASSERT_EQ(time_part_value(TimePart::kMinuteOfDay, ms), tm.tm_hour * 60 + tm.tm_min);
    ASSERT_EQ(time_part_value(TimePart::kDayOfWeek, ms), (tm.tm_wday + 6) % 7);
    ASSERT_EQ(time_part_value(TimePart::kDayOfMonth, ms), tm.tm_mday);
    ASSERT_EQ(time_part_value(TimePart::kMonth, ms), tm.tm_mon + 1);
  }
}

TEST(CalendarTest, LeapDays) {
  const CivilDate leap = civil_date(11'016);  // 2000-02-29
  EXPECT_EQ(leap.month, 2);
  EXPECT_EQ(leap.day, 29);
  const CivilDate march_1900 = civil_date(-25'508);  // 1900-03-01: 1900 had no leap day
  EXPECT_EQ(march_1900.month, 3);
  EXPECT_EQ(march_1900.day, 1);
}

TEST(CalendarTest, PartsStayInTheirRangeAtTheEndsOfTime) {
  for (const std::int64_t ms : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0},
                                std::numeric_limits<std::int64_t>::max()}) {
    for (const TimePart part : {TimePart::kHourOfDay, TimePart::kDayOfWeek, TimePart::kDayOfMonth, TimePart::kMonth,
                                TimePart::kMinuteOfDay}) {
      EXPECT_GE(time_part_value(part, ms), 0) << ms;
      EXPECT_LT(time_part_value(part, ms), time_part_values(part)) << ms;
    }
  }
}

}  // namespace
}  // namespace freshet
