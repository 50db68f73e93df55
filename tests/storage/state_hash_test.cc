#include "storage/state_hash.h"

#include <gtest/gtest.h>

namespace freshet {
namespace {

TEST(StateHash, ReadsBackWhatItWrote) {
  StateHash hash;
  hash.set("encoder", 1);
  hash.set("learner", 2);
  const auto read = decode_state_hash(encode_state_hash(hash));
  ASSERT_TRUE(read.is_ok()) << read.status().to_string();
  EXPECT_EQ(*read, hash);
  EXPECT_FALSE(decode_state_hash(encode_state_hash(hash).substr(1)).is_ok());
  EXPECT_FALSE(decode_state_hash("").is_ok());
}

TEST(StateHash, DependsOnPartsAndNamesButNotOnTheOrderOfSetting) {
  StateHash one;
  one.set("a", 1);
  one.set("b", 2);
  StateHash other;
  other.set("b", 2);
  other.set("a", 7);
  EXPECT_NE(one.whole, other.whole);
  EXPECT_EQ(differing_parts(one, other), std::vector<std::string>({"a"}));
  other.set("a", 1);
  EXPECT_EQ(one, other);
  other.set("c", 0);
  EXPECT_NE(one.whole, other.whole);
  EXPECT_EQ(differing_parts(one, other), std::vector<std::string>({"c"}));
}

TEST(PageHashes, FollowContentWhateverTheWayThere) {
  PageHashes one;
  one.set(1, 0, "first");
  one.set(1, 1, "second");
  PageHashes other;
  other.set(1, 2, "gone");
  other.set(1, 1, "second");
  other.set(1, 0, "old");
  other.set(1, 0, "first");
  other.resize(1, 2);
  StateHash left;
  one.add_to(left);
  StateHash right;
  other.add_to(right);
  EXPECT_EQ(left, right);
  other.set(1, 0, "second");
  other.set(1, 1, "first");
  StateHash swapped;
  other.add_to(swapped);
  EXPECT_NE(swapped.whole, left.whole);
}

}  // namespace
}  // namespace freshet
