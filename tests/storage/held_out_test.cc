#include "storage/held_out.h"

#include <gtest/gtest.h>

#include <map>

#include "core/hash.h"

namespace freshet {
namespace {

TEST(HeldOutChoice, SharesAreKeptAndDoNotDependOnOrder) {
  auto choice = HeldOutChoice::create({.forgetting = 0.02, .gating = 0.03, .tuning = 0.05, .salt = 7});
  ASSERT_TRUE(choice.is_ok());
  std::map<Purpose, int> counts;
  constexpr int kKeys = 200'000;
  for (int key = 0; key < kKeys; ++key) ++counts[choice->purpose_of(hash_text(std::to_string(key)))];
  EXPECT_NEAR(counts[Purpose::kForgetting], 0.02 * kKeys, 350);  // five standard deviations
  EXPECT_NEAR(counts[Purpose::kGating], 0.03 * kKeys, 400);
  EXPECT_NEAR(counts[Purpose::kTuning], 0.05 * kKeys, 500);
}

TEST(HeldOutChoice, IsSpreadOverKeysThatFollowEachOther) {
  auto choice = HeldOutChoice::create({.forgetting = 0.1});
  ASSERT_TRUE(choice.is_ok());
  int held = 0;
  for (std::uint64_t key = 0; key < 10'000; ++key) held += choice->purpose_of(key) == Purpose::kForgetting ? 1 : 0;
  EXPECT_NEAR(held, 1000, 150);
}

TEST(HeldOutChoice, AnotherSaltIsAnotherChoice) {
  auto one = HeldOutChoice::create({.gating = 0.5, .salt = 1});
  auto two = HeldOutChoice::create({.gating = 0.5, .salt = 2});
  int same = 0;
  for (std::uint64_t key = 0; key < 10'000; ++key) same += one->purpose_of(key) == two->purpose_of(key) ? 1 : 0;
  EXPECT_NEAR(same, 5000, 250);
}

TEST(HeldOutChoice, NothingHeldOutMeansAllTrain) {
  auto choice = HeldOutChoice::create({});
  for (std::uint64_t key = 0; key < 1000; ++key) EXPECT_EQ(choice->purpose_of(key), Purpose::kTraining);
}

TEST(HeldOutChoice, RefusesSharesThatLeaveNothing) {
  EXPECT_EQ(HeldOutChoice::create({.forgetting = 0.5, .gating = 0.5}).code(), Code::kInvalidArgument);
  EXPECT_EQ(HeldOutChoice::create({.tuning = -0.1}).code(), Code::kInvalidArgument);
}

std::vector<std::uint64_t> seqs_of(const HeldOutSet& set, std::uint32_t slice) {
  std::vector<std::uint64_t> seqs;
  set.records(slice, [&](std::uint64_t seq, std::string_view record) {
    EXPECT_EQ(record, "record " + std::to_string(seq));
    seqs.push_back(seq);
  });
  return seqs;
}

TEST(HeldOutSet, IsBoundedPerSliceAndInSlices) {
  HeldOutSet set({.events_per_slice_max = 10, .slices_max = 3});
  for (std::uint64_t seq = 0; seq < 1000; ++seq) {
    set.offer(static_cast<std::uint32_t>(seq % 4), seq, "record " + std::to_string(seq));
  }
  EXPECT_EQ(set.slices(), (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(set.refused(), 250U);
  for (const std::uint32_t slice : set.slices()) {
    EXPECT_EQ(set.size(slice), 10U);
    EXPECT_EQ(set.seen(slice), 250U);
    for (const std::uint64_t seq : seqs_of(set, slice)) EXPECT_EQ(seq % 4, slice);
  }
}

TEST(HeldOutSet, SlicesDoNotInfluenceEachOther) {
  HeldOutSet alone({.events_per_slice_max = 10, .seed = 5});
  HeldOutSet together({.events_per_slice_max = 10, .seed = 5});
  for (std::uint64_t seq = 0; seq < 1000; ++seq) {
    if (seq % 2 == 0) alone.offer(0, seq, "record " + std::to_string(seq));
    together.offer(static_cast<std::uint32_t>(seq % 2), seq, "record " + std::to_string(seq));
  }
  EXPECT_EQ(seqs_of(alone, 0), seqs_of(together, 0));
}

TEST(HeldOutSet, GoesOnAlikeAfterSaveAndLoad) {
  const HeldOutOptions options{.events_per_slice_max = 16, .seed = 3};
  HeldOutSet original(options);
  const auto feed = [](HeldOutSet& set, std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t seq = from; seq < to; ++seq) {
      set.offer(static_cast<std::uint32_t>(seq % 3), seq, "record " + std::to_string(seq));
    }
  };
  feed(original, 0, 500);
  HeldOutSet copy(options);
  ASSERT_TRUE(copy.load(original.save()).is_ok());
  feed(original, 500, 2000);
  feed(copy, 500, 2000);
  EXPECT_EQ(copy.save(), original.save());
  EXPECT_EQ(copy.load(std::string_view(original.save()).substr(0, 100)).code(), Code::kDataLoss);
  EXPECT_EQ(copy.save(), original.save()) << "a failed load changes nothing";
}

TEST(HeldOutSet, ErasesWhatItIsAskedTo) {
  HeldOutSet set({.events_per_slice_max = 10});
  for (std::uint64_t seq = 0; seq < 10; ++seq) set.offer(0, seq, "record " + std::to_string(seq));
  EXPECT_EQ(set.erase_if([](std::uint64_t seq, std::string_view) { return seq < 4; }), 4U);
  EXPECT_EQ(set.size(0), 6U);
}

}  // namespace
}  // namespace freshet
