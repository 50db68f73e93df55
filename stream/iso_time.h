// ISO 8601 dates and times as milliseconds since 1970-01-01 UTC.
//
// Threads: pure functions.  Failure: text in another form, or a day that does not exist, gives nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace freshet {

// The years 1 to 9999: what ISO 8601 text can say, and what an integer time must lie in.
inline constexpr std::int64_t kTimeMsMin = -62'135'596'800'000;
inline constexpr std::int64_t kTimeMsMax = 253'402'300'799'999;

// "2013-01-01", "2013-01-01T05:00", "2013-01-01 05:00:30.25", each with nothing (UTC), "Z", "+05:30", "+0530" or "+05".
std::optional<std::int64_t> parse_iso_time(std::string_view text);

}  // namespace freshet
