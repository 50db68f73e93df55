// Noise for weights: nearly normal numbers that are the same on every platform.
//
// Threads: pure.  Owns: nothing.  Failure: none.
#pragma once

#include <cstdint>

#include "core/rng.h"

namespace freshet {

// The sum of four uniform numbers (Irwin and Hall), from arithmetic that is exact everywhere.
inline float nearly_normal(Rng& rng, float deviation) {
  const std::uint64_t word = rng.next();
  std::int64_t sum = 0;
  for (unsigned piece = 0; piece < 4; ++piece) sum += static_cast<std::int64_t>((word >> (16 * piece)) & 0xFFFF);
  constexpr double kRootThree = 1.7320508075688772;  // makes the variance 1
  return deviation * static_cast<float>(kRootThree * (static_cast<double>(sum) - 131070.0) / 65536.0);
}

}  // namespace freshet
