#include "learners/features/calendar.h"

#include "core/status.h"

namespace freshet {

std::int64_t time_part_values(TimePart part) {
  switch (part) {
    case TimePart::kHourOfDay:
      return 24;
    case TimePart::kDayOfWeek:
      return 7;
    case TimePart::kDayOfMonth:
      return 32;
    case TimePart::kMonth:
      return 13;
    case TimePart::kMinuteOfDay:
      return 1440;
  }
  abort_with("unknown part of the time");
}

std::int64_t time_part_value(TimePart part, std::int64_t time_ms) {
  const std::int64_t day = day_of(time_ms);
  const std::int64_t in_day = time_ms % kDayMs + (time_ms % kDayMs < 0 ? kDayMs : 0);
  switch (part) {
    case TimePart::kHourOfDay:
      return in_day / 3'600'000;
    case TimePart::kDayOfWeek:
      return ((day + 3) % 7 + 7) % 7;  // 1970-01-01 was a Thursday
    case TimePart::kDayOfMonth:
      return civil_date(day).day;
    case TimePart::kMonth:
      return civil_date(day).month;
    case TimePart::kMinuteOfDay:
      return in_day / 60'000;
  }
  abort_with("unknown part of the time");
}

}  // namespace freshet
