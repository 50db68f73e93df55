#include "learners/tuning/sobol.h"

#include <bit>

#include <fmt/core.h>

#include "core/rng.h"
#include "learners/tuning/sobol_directions.h"

namespace freshet::tuning {

namespace {

constexpr unsigned kBits = 32;
static_assert(SobolSequence::kDimensionsMost == kSobolDirections.size() + 1);

std::array<std::uint32_t, kBits> directions_of(std::size_t dimension) {
  std::array<std::uint32_t, kBits> numbers{};  // v_j with its lowest bit at 1, brought to the top at the end
  if (dimension == 0) {
    numbers.fill(1);
  } else {
    const auto& [polynomial, initial] = kSobolDirections[dimension - 1];
    const auto degree = static_cast<unsigned>(std::bit_width(polynomial)) - 1;
    for (unsigned j = 0; j < kBits; ++j) {
      if (j < degree) {
        numbers[j] = initial[j];
        continue;
      }
      std::uint32_t number = numbers[j - degree];
      for (unsigned k = 1; k <= degree; ++k) {
        if (((polynomial >> (degree - k)) & 1U) != 0) number ^= numbers[j - k] << k;
      }
      numbers[j] = number;
    }
  }
  for (unsigned j = 0; j < kBits; ++j) numbers[j] <<= kBits - 1 - j;
  return numbers;
}

}  // namespace

Result<SobolSequence> SobolSequence::create(std::size_t dimensions, std::optional<std::uint64_t> seed) {
  if (dimensions == 0 || dimensions > kDimensionsMost) {
    return unsupported(
        fmt::format("Sobol's sequence has 1 to {} dimensions here, and {} are asked for", kDimensionsMost, dimensions));
  }
  SobolSequence made;
  std::optional<Rng> rng;
  if (seed) rng.emplace(*seed);
  for (std::size_t d = 0; d < dimensions; ++d) {
    made.directions_.push_back(directions_of(d));
    made.shift_.push_back(rng ? static_cast<std::uint32_t>(rng->next() >> 32) : 0);
  }
  return made;
}

void SobolSequence::point(std::uint64_t index, std::span<double> coordinates) const {
  const auto gray = static_cast<std::uint32_t>(index ^ (index >> 1));
  for (std::size_t d = 0; d < directions_.size(); ++d) {
    std::uint32_t bits = shift_[d];
    for (std::uint32_t rest = gray; rest != 0; rest &= rest - 1) bits ^= directions_[d][std::countr_zero(rest)];
    coordinates[d] = static_cast<double>(bits) * 0x1.0p-32;
  }
}

}  // namespace freshet::tuning
