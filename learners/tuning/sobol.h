// SobolSequence: Sobol's quasi-random points (Sobol, 1967) in Antonov and Saleev's order (1979), with the direction
// numbers of Joe and Kuo (2008): any 2^k of them in a row from a multiple of 2^k fill the cube evenly, seen along every
// axis.
//
// With a seed all points are shifted by random bits (a digital shift: Matousek, 1998), which keeps that evenness. A
// study needs it: the plain sequence begins in the corner of the cube, and is the same for every seed.
//
// Threads: immutable once made.  Owns: direction numbers.  Failure: create() refuses more dimensions than it knows.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/status.h"

namespace freshet::tuning {

class SobolSequence {
 public:
  static constexpr std::size_t kDimensionsMost = 161;
  static Result<SobolSequence> create(std::size_t dimensions, std::optional<std::uint64_t> seed);

  std::size_t dimensions() const { return directions_.size(); }
  // Point number `index`, below 2^32, each coordinate in [0, 1).
  void point(std::uint64_t index, std::span<double> coordinates) const;

 private:
  std::vector<std::array<std::uint32_t, 32>> directions_;
  std::vector<std::uint32_t> shift_;
};

}  // namespace freshet::tuning
