// Numbers in JSON texts: the grammar of RFC 8259 exactly (no leading zeros or plus signs, no NaN, no Infinity), and
// their values correctly rounded.
//
// Threads: pure functions.  Failure: text that is no number is refused; a number too large for a double says so.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string_view>

namespace freshet {

struct JsonNumber {
  std::string_view text;
  std::uint64_t mantissa = 0;  // all digits, the decimal point left out
  std::int32_t exponent = 0;   // the value is mantissa * 10^exponent
  bool negative = false;
  bool integer = false;  // written without fraction and exponent
  bool exact = false;    // `mantissa` did not overflow
};

namespace internal {
inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }
inline bool ends_token(char c) {
  return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\t' || c == '\r';
}
}  // namespace internal

// Reads the number that begins at `p`. The text must hold a byte that is no part of a number after it (a closing
// brace).
inline bool scan_json_number(const char* p, JsonNumber& out) {
  constexpr std::ptrdiff_t kDigitsExact = 19;
  constexpr std::int32_t kExponentMax = 100'000;
  const char* const start = p;
  out.negative = *p == '-';
  p += out.negative ? 1 : 0;
  const char* const digits = p;
  std::uint64_t mantissa = 0;
  if (*p == '0') {
    if (internal::is_digit(*++p)) return false;
  } else {
    if (!internal::is_digit(*p)) return false;
    do {
      mantissa = mantissa * 10 + static_cast<std::uint64_t>(*p - '0');
    } while (internal::is_digit(*++p));
  }
  std::ptrdiff_t count = p - digits;
  std::int32_t exponent = 0;
  out.integer = true;
  if (*p == '.') {
    out.integer = false;
    const char* const fraction = ++p;
    while (internal::is_digit(*p)) mantissa = mantissa * 10 + static_cast<std::uint64_t>(*p++ - '0');
    if (p == fraction) return false;
    count += p - fraction;
    exponent = static_cast<std::int32_t>(fraction - p);
  }
  if (*p == 'e' || *p == 'E') {
    out.integer = false;
    ++p;
    const bool negative = *p == '-';
    if (*p == '-' || *p == '+') ++p;
    if (!internal::is_digit(*p)) return false;
    std::int32_t written = 0;
    for (; internal::is_digit(*p); ++p) {
      if (written < kExponentMax) written = written * 10 + (*p - '0');
    }
    exponent += negative ? -written : written;
  }
  if (!internal::ends_token(*p)) return false;
  out.text = std::string_view(start, static_cast<std::size_t>(p - start));
  out.mantissa = mantissa;
  out.exponent = exponent;
  out.exact = count <= kDigitsExact;
  return true;
}

// The value, correctly rounded; infinity when a double cannot hold it.
inline double json_number_value(const JsonNumber& number) {
  constexpr std::array<double, 23> kPowers = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  constexpr std::uint64_t kExactInteger = 1ULL << 53;
  if (number.exact && number.mantissa <= kExactInteger && number.exponent >= -22 && number.exponent <= 22) {
    // Both operands are exact doubles, so the one operation rounds correctly (Clinger 1990).
    double value = static_cast<double>(number.mantissa);
    if (number.exponent < 0) {
      value /= kPowers[static_cast<std::size_t>(-number.exponent)];
    } else {
      value *= kPowers[static_cast<std::size_t>(number.exponent)];
    }
    return number.negative ? -value : value;
  }
  double value = 0;
  const char* const end = number.text.data() + number.text.size();
  if (std::from_chars(number.text.data(), end, value).ec == std::errc::result_out_of_range) {
    // Too large or too small; from_chars does not say which, the power of ten of the first digit does.
    std::int64_t digits = 0;
    for (const char c : number.text) {
      if (c == 'e' || c == 'E') break;
      if (internal::is_digit(c) && (digits != 0 || c != '0')) ++digits;
    }
    value = digits + number.exponent > 0 ? std::numeric_limits<double>::infinity() : 0.0;
    if (number.negative) value = -value;
  }
  return value;
}

// The value when it is an integer that fits, also if written as 7.0 or 1e3.
inline bool json_number_integer(const JsonNumber& number, std::int64_t& out) {
  if (number.integer && number.exact && number.mantissa <= static_cast<std::uint64_t>(INT64_MAX)) {
    out = number.negative ? -static_cast<std::int64_t>(number.mantissa) : static_cast<std::int64_t>(number.mantissa);
    return true;
  }
  constexpr double kExactIntegers = 9007199254740992.0;  // 2^53
  const double value = json_number_value(number);
  if (!(value >= -kExactIntegers && value <= kExactIntegers)) return false;
  out = static_cast<std::int64_t>(value);
  return static_cast<double>(out) == value;
}

}  // namespace freshet
