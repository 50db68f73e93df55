#include "core/hash.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

namespace freshet {
namespace {

// Hashes stand in stored states. The empty text's is published with XXH3, the combinations were computed apart.
TEST(HashTest, ValuesArePinned) {
  EXPECT_EQ(hash_text(""), 0x2D06800538D394C2U);
  EXPECT_EQ(hash_combine(1, 2), 0x975835de1c9756ceU);
  EXPECT_EQ(hash_combine(2, 1), 0xbeeb8da1658eec67U);
}

TEST(HashTest, ANumberIsOneCategoryHoweverItIsWritten) {
  const std::uint64_t seed = field_seed("hour");
  EXPECT_EQ(hash_category(seed, std::int64_t{7}), hash_category(seed, "7"));
  EXPECT_EQ(hash_category(seed, 7.0), hash_category(seed, "7"));
  EXPECT_EQ(hash_category(seed, -0.0), hash_category(seed, "0"));
  EXPECT_EQ(hash_category(seed, 0.5), hash_category(seed, "0.5"));
  EXPECT_EQ(hash_category(seed, -12.25), hash_category(seed, "-12.25"));
  EXPECT_EQ(hash_category(seed, 9007199254740992.0), hash_category(seed, "9007199254740992"));
  EXPECT_EQ(hash_category(seed, std::numeric_limits<std::int64_t>::min()), hash_category(seed, "-9223372036854775808"));
}

TEST(HashTest, NotANumberAndInfinityHaveAHashToo) {
  const std::uint64_t seed = field_seed("x");
  EXPECT_NE(hash_category(seed, std::numeric_limits<double>::quiet_NaN()), 0U);
  EXPECT_NE(hash_category(seed, std::numeric_limits<double>::infinity()), hash_category(seed, 0.0));
}

TEST(HashTest, FieldsHaveHashesOfTheirOwn) {
  EXPECT_NE(hash_category(field_seed("origin"), "JFK"), hash_category(field_seed("dest"), "JFK"));
}

TEST(HashTest, CategoriesNeverHashToMissing) {
  std::set<std::uint64_t> seen;
  const std::uint64_t seed = field_seed("id");
  for (std::int64_t i = 0; i < 100'000; ++i) seen.insert(hash_category(seed, i));
  EXPECT_EQ(seen.count(0), 0U);
  EXPECT_EQ(seen.size(), 100'000U);  // and do not collide in 64 bits
}

TEST(HashTest, CombinationsKeepTheirOrderAndSpread) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t left = 0; left < 300; ++left) {
    for (std::uint64_t right = 0; right < 300; ++right) seen.insert(hash_combine(left, right));
  }
  EXPECT_EQ(seen.size(), 90'000U);
}

}  // namespace
}  // namespace freshet
