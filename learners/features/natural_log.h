// natural_log: ln(x) in float32 without branches or table look-ups, so that loops over it vectorise and every machine
// gives the same bits (a C library may pick another version of logf by CPU).
//
// x = 2^e * m with m in [sqrt(1/2), sqrt(2)); ln(m) is the series 2 (s + s^3/3 + s^5/5 + ...) with s = (m-1) / (m+1),
// cut where its rest is below 1e-8 of it. Relative error below 3e-7.
//
// Threads: pure.  Failure: x must be a positive normal float; anything else gives some finite number or infinity.
#pragma once

#include <bit>
#include <cstdint>

namespace freshet {

inline float natural_log(float x) {
  constexpr std::uint32_t kRootHalfBits = 0x3F3504F3;  // sqrt(1/2)
  constexpr float kLn2High = 0.693359375F;             // few bits: exponent times it is exact
  constexpr float kLn2Low = -2.12194440e-4F;
  const std::uint32_t above = std::bit_cast<std::uint32_t>(x) - kRootHalfBits;
  const auto exponent = static_cast<float>(static_cast<std::int32_t>(above) >> 23);
  const float m = std::bit_cast<float>((above & 0x007FFFFFU) + kRootHalfBits);
  const float s = (m - 1.0F) / (m + 1.0F);
  const float square = s * s;
  float rest = 2.0F / 9.0F;
  rest = rest * square + 2.0F / 7.0F;
  rest = rest * square + 2.0F / 5.0F;
  rest = rest * square + 2.0F / 3.0F;
  return exponent * kLn2High + (2.0F * s + (s * square * rest + exponent * kLn2Low));
}

}  // namespace freshet
