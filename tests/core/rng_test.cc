#include "core/rng.h"

#include <gtest/gtest.h>

#include <array>

namespace freshet {
namespace {

// Stored states continue these sequences: they can never change. The values were computed by a second implementation.
TEST(RngTest, FirstValuesArePinned) {
  const std::array<std::uint64_t, 4> of_0 = {0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0,
                                             0x6aa594f1262d2d2c};
  const std::array<std::uint64_t, 4> of_42 = {0x15780b2e0c2ec716, 0x6104d9866d113a7e, 0xae17533239e499a1,
                                              0xecb8ad4703b360a1};
  Rng zero(0);
  Rng forty_two(42);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(zero.next(), of_0[i]) << i;
    EXPECT_EQ(forty_two.next(), of_42[i]) << i;
  }
}

TEST(RngTest, ARestoredStateContinuesTheSequence) {
  Rng original(7);
  for (int i = 0; i < 100; ++i) original.next();
  Rng restored(0);
  restored.set_state(original.state());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(restored.next(), original.next());
}

TEST(RngTest, BelowStaysBelowAndIsEven) {
  Rng rng(1);
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) {
    const std::uint64_t value = rng.below(7);
    ASSERT_LT(value, 7U);
    ++counts[value];
  }
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);  // five standard deviations
  EXPECT_EQ(rng.below(1), 0U);
}

TEST(RngTest, UniformFillsZeroToOne) {
  Rng rng(3);
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double value = rng.uniform();
    ASSERT_GE(value, 0.0);
    ASSERT_LT(value, 1.0);
    sum += value;
  }
  EXPECT_NEAR(sum / 100'000, 0.5, 0.005);
}

}  // namespace
}  // namespace freshet
