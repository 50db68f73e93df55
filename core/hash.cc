#include "core/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace freshet {

std::uint64_t hash_bytes(std::span<const std::byte> bytes, std::uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::uint64_t hash_text(std::string_view text, std::uint64_t seed) {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

std::uint64_t hash_combine(std::uint64_t left, std::uint64_t right) {
  // The finaliser of splitmix64 over an asymmetric mix: cheap, and every bit of both sides reaches every bit out.
  std::uint64_t mixed = left * 0x9E3779B97F4A7C15ULL + right;
  mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBULL;
  return mixed ^ (mixed >> 31);
}

std::uint64_t field_seed(std::string_view field_name) { return hash_text(field_name, 0x66726573686574ULL); }

std::uint64_t hash_category(std::uint64_t field_seed, std::string_view value) {
  const std::uint64_t hash = hash_text(value, field_seed);
  return hash == 0 ? 1 : hash;
}

std::uint64_t hash_category(std::uint64_t field_seed, std::int64_t value) {
  std::array<char, 24> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  return hash_category(field_seed, std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
}

std::uint64_t hash_category(std::uint64_t field_seed, double value) {
  constexpr double kExactIntegers = 9007199254740992.0;  // 2^53
  if (std::abs(value) <= kExactIntegers && std::nearbyint(value) == value) {
    return hash_category(field_seed, static_cast<std::int64_t>(value));
  }
  std::array<char, 40> digits;
  const auto end = fmt::format_to_n(digits.data(), digits.size(), "{}", value).out;
  return hash_category(field_seed, std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
}

}  // namespace freshet
