#include "daemon/config/value_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

namespace freshet {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};
// Largest last, so that formatting can walk back from the largest that divides.
constexpr std::array<Unit, 6> kDurations = {
    Unit{"ms", 1}, Unit{"s", 1e3}, Unit{"m", 60e3}, Unit{"h", 3600e3}, Unit{"d", 86400e3}, Unit{"w", 7 * 86400e3}};
constexpr std::array<Unit, 8> kBytes = {Unit{"B", 1},
                                        Unit{"kB", 1e3},
                                        Unit{"MB", 1e6},
                                        Unit{"GB", 1e9},
                                        Unit{"KiB", 1024.0},
                                        Unit{"MiB", 1024.0 * 1024},
                                        Unit{"GiB", 1024.0 * 1024 * 1024},
                                        Unit{"TiB", 1024.0 * 1024 * 1024 * 1024}};

// Doubles hold every whole number up to 2^53; beyond it a text with a fraction or a unit would be rounded.
constexpr double kWholeMax = 9007199254740992.0;

std::optional<std::int64_t> to_whole(double value) {
  if (!(std::abs(value) <= kWholeMax) || std::nearbyint(value) != value) return std::nullopt;
  return static_cast<std::int64_t>(value);
}

std::optional<std::int64_t> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  const auto number_end = text.find_first_not_of("0123456789.");
  if (number_end == 0 || number_end == std::string_view::npos) return std::nullopt;
  const auto number = parse_real(text.substr(0, number_end));
  auto unit_name = text.substr(number_end);
  while (!unit_name.empty() && unit_name.front() == ' ') unit_name.remove_prefix(1);
  const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.name == unit_name; });
  if (!number || unit == units.end()) return std::nullopt;
  return to_whole(std::round(*number * unit->factor));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

std::optional<std::int64_t> parse_whole(std::string_view text) {
  std::string digits(text);
  if (digits.empty() || digits.front() == '_' || digits.back() == '_') return std::nullopt;
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  double factor = 1;
  if (digits.back() == 'k') factor = 1e3;
  if (digits.back() == 'M') factor = 1e6;
  if (factor > 1) digits.pop_back();
  std::int64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, value);
  if (factor == 1.0 && parsed.ec == std::errc() && parsed.ptr == end) return value;
  const auto real = parse_real(digits);
  return real ? to_whole(*real * factor) : std::nullopt;
}

std::optional<double> parse_real(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::optional<std::int64_t> parse_duration_ms(std::string_view text) {
  if (text == "0") return 0;
  return parse_with_unit(text, kDurations);
}

std::optional<std::int64_t> parse_bytes(std::string_view text) {
  if (!text.empty() && text.find_first_not_of("0123456789_") == std::string_view::npos) return parse_whole(text);
  return parse_with_unit(text, kBytes);
}

std::string format_real(double value) { return fmt::format("{}", value == 0 ? 0.0 : value); }

std::string format_duration_ms(std::int64_t ms) {
  if (ms == 0) return "0s";
  for (std::size_t i = kDurations.size() - 1; i > 0; --i) {
    const auto unit = static_cast<std::int64_t>(kDurations.at(i).factor);
    if (kDurations.at(i).name != "w" && ms % unit == 0) return fmt::format("{}{}", ms / unit, kDurations.at(i).name);
  }
  return fmt::format("{}ms", ms);
}

std::string format_bytes(std::int64_t bytes) {
  if (bytes == 0) return "0";
  for (std::size_t i = kBytes.size() - 1; kBytes.at(i).name != "GB"; --i) {
    const auto unit = static_cast<std::int64_t>(kBytes.at(i).factor);
    if (bytes % unit == 0) return fmt::format("{}{}", bytes / unit, kBytes.at(i).name);
  }
  return fmt::format("{}", bytes);
}

std::string quote_yaml(std::string_view text) {
  constexpr std::string_view kSafe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:-+";
  const bool bare = !text.empty() && text.find_first_not_of(kSafe) == std::string_view::npos && text.front() != '-' &&
                    text.back() != ':' && text.front() != ':' && text != "null" && text != "Null" && text != "NULL" &&
                    text != "none" && text != "true" && text != "false";
  if (bare) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      quoted += fmt::format("\\x{:02x}", byte);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

std::optional<std::string> nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLengthMax = 100;  // what is longer is no misspelling, and the distance costs its square
  if (name.size() > kLengthMax) return std::nullopt;
  std::optional<std::string> best;
  std::size_t best_distance = std::numeric_limits<std::size_t>::max();
  for (const auto& candidate : candidates) {
    const std::size_t distance = edit_distance(name, candidate);
    const std::size_t near = 1 + std::max(name.size(), candidate.size()) / 4;
    if (distance <= near && distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace freshet
