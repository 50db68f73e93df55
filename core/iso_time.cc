#include "core/iso_time.h"

#include <array>

namespace freshet {
namespace {

constexpr std::int64_t kMsPerMinute = 60'000;
constexpr std::int64_t kMsPerDay = 24 * 60 * kMsPerMinute;

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}
  bool at_end() const { return rest_.empty(); }
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }
  bool take(char c) {
    if (peek() != c || rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }
  // Exactly `digits` digits with a value from `low` to `high`.
  bool number(int digits, std::int64_t low, std::int64_t high, std::int64_t& out) {
    out = 0;
    for (int i = 0; i < digits; ++i) {
      const char c = peek();
      if (c < '0' || c > '9') return false;
      out = out * 10 + (c - '0');
      rest_.remove_prefix(1);
    }
    return out >= low && out <= high;
  }
  // The digits of a fraction, cut to thousandths.
  bool thousandths(std::int64_t& out) {
    out = 0;
    int digits = 0;
    for (; peek() >= '0' && peek() <= '9'; ++digits) {
      if (digits < 3) out = out * 10 + (peek() - '0');
      rest_.remove_prefix(1);
    }
    for (int i = digits; i < 3; ++i) out *= 10;
    return digits > 0;
  }

 private:
  std::string_view rest_;
};

bool leap(std::int64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

std::int64_t days_in_month(std::int64_t year, std::int64_t month) {
  constexpr std::array<std::int64_t, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && leap(year) ? 29 : kDays.at(static_cast<std::size_t>(month - 1));
}

// Days since 1970-01-01 in the proleptic Gregorian calendar.
std::int64_t days_since_epoch(std::int64_t year, std::int64_t month, std::int64_t day) {
  constexpr std::array<std::int64_t, 12> kBefore = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
  const std::int64_t past = year - 1;
  const std::int64_t leap_day = month > 2 && leap(year) ? 1 : 0;
  constexpr std::int64_t kDaysTo1970 = 719'162;
  return past * 365 + past / 4 - past / 100 + past / 400 + kBefore.at(static_cast<std::size_t>(month - 1)) + leap_day +
         (day - 1) - kDaysTo1970;
}

bool read_zone(Reader& in, std::int64_t& offset_ms) {
  offset_ms = 0;
  if (in.at_end() || in.take('Z') || in.take('z')) return in.at_end();
  const bool east = in.peek() == '+';
  if (!in.take('+') && !in.take('-')) return false;
  std::int64_t hours = 0;
  std::int64_t minutes = 0;
  if (!in.number(2, 0, 23, hours)) return false;
  if (!in.at_end()) {
    in.take(':');
    if (!in.number(2, 0, 59, minutes)) return false;
  }
  offset_ms = (hours * 60 + minutes) * kMsPerMinute * (east ? 1 : -1);
  return in.at_end();
}

}  // namespace

std::optional<std::int64_t> parse_iso_time(std::string_view text) {
  Reader in(text);
  std::int64_t year = 0;
  std::int64_t month = 0;
  std::int64_t day = 0;
  if (!in.number(4, 1, 9999, year) || !in.take('-') || !in.number(2, 1, 12, month) || !in.take('-') ||
      !in.number(2, 1, days_in_month(year, month), day)) {
    return std::nullopt;
  }
  std::int64_t time = days_since_epoch(year, month, day) * kMsPerDay;
  if (in.at_end()) return time;
  if (!in.take('T') && !in.take('t') && !in.take(' ')) return std::nullopt;
  std::int64_t hour = 0;
  std::int64_t minute = 0;
  std::int64_t second = 0;
  std::int64_t thousandths = 0;
  if (!in.number(2, 0, 23, hour) || !in.take(':') || !in.number(2, 0, 59, minute)) return std::nullopt;
  if (in.take(':')) {
    if (!in.number(2, 0, 60, second)) return std::nullopt;  // 60: a leap second
    if (in.take('.') || in.take(',')) {
      if (!in.thousandths(thousandths)) return std::nullopt;
    }
  }
  std::int64_t offset_ms = 0;
  if (!read_zone(in, offset_ms)) return std::nullopt;
  time += (hour * 60 + minute) * kMsPerMinute + second * 1000 + thousandths - offset_ms;
  if (time < kTimeMsMin || time > kTimeMsMax) return std::nullopt;
  return time;
}

}  // namespace freshet
