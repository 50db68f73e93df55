// Calendar: days, months and hours of event times in UTC, by arithmetic alone (no locale, no tables of the C library).
//
// Threads: pure functions.  Failure: none; every int64 of milliseconds since 1970 has an answer.
#pragma once

#include <cstdint>

#include "core/feature_spec.h"

namespace freshet {

inline constexpr std::int64_t kDayMs = 86'400'000;

struct CivilDate {
  std::int64_t year;
  std::int32_t month;  // 1-12
  std::int32_t day;    // 1-31
};

// Whole days since 1970-01-01, rounded down also before it.
inline std::int64_t day_of(std::int64_t time_ms) { return time_ms / kDayMs - (time_ms % kDayMs < 0 ? 1 : 0); }

// The proleptic Gregorian date of a day. Years are counted from March, so that the leap day is the last day of one; a
// cycle of 400 years has 146,097 days (the method of H. Hinnant, "chrono-compatible low-level date algorithms").
inline CivilDate civil_date(std::int64_t day) {
  constexpr std::int64_t kCycleDays = 146'097;
  constexpr std::int64_t kDaysToMarchOfYear0 = 719'468;
  const std::int64_t shifted = day + kDaysToMarchOfYear0;
  const std::int64_t cycle = shifted / kCycleDays - (shifted % kCycleDays < 0 ? 1 : 0);
  const std::int64_t in_cycle = shifted - cycle * kCycleDays;
  const std::int64_t year_of_cycle = (in_cycle - in_cycle / 1460 + in_cycle / 36'524 - in_cycle / 146'096) / 365;
  const std::int64_t in_year = in_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
  const std::int64_t march_month = (5 * in_year + 2) / 153;  // 0 = March
  const std::int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  return {cycle * 400 + year_of_cycle + (month <= 2 ? 1 : 0), static_cast<std::int32_t>(month),
          static_cast<std::int32_t>(in_year - (153 * march_month + 2) / 5 + 1)};
}

// One more than the largest value of a part.
std::int64_t time_part_values(TimePart part);

// hour_of_day 0-23, day_of_week 0-6 from Monday, day_of_month 1-31, month 1-12, minute_of_day 0-1439.
std::int64_t time_part_value(TimePart part, std::int64_t time_ms);

}  // namespace freshet
