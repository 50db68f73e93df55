#include "storage/held_out_sample.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace freshet {
namespace {

std::string record(std::uint64_t seq) { return "record " + std::to_string(seq); }

std::vector<std::uint64_t> seqs(const HeldOutSample& sample) {
  std::vector<std::uint64_t> all;
  sample.records([&](std::uint64_t seq, std::string_view bytes) {
    EXPECT_EQ(bytes, record(seq));
    all.push_back(seq);
  });
  return all;
}

TEST(HeldOutSample, HoldsTheNewestAndASampleOfTheRestEachOnce) {
  HeldOutSample sample(21, 3);
  for (std::uint64_t seq = 1; seq <= 5000; ++seq) {
    sample.offer(seq, record(seq));
    EXPECT_LE(sample.size(), 21U);
  }
  const auto held = seqs(sample);
  ASSERT_EQ(held.size(), 21U);
  EXPECT_EQ(std::set<std::uint64_t>(held.begin(), held.end()).size(), 21U);
  for (std::size_t i = 0; i < 11; ++i) EXPECT_EQ(held[10 + i], 4990 + i);
  EXPECT_EQ(sample.seen(), 5000U);
}

// Chi-square over seeds: every event that is not among the newest is as likely to be there as any other.
TEST(HeldOutSample, TheOlderHalfIsUniform) {
  constexpr std::uint64_t kEvents = 110;
  constexpr std::size_t kSeeds = 4000;
  std::array<double, 10> tens{};
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    HeldOutSample sample(20, seed);
    for (std::uint64_t seq = 0; seq < kEvents; ++seq) sample.offer(seq, record(seq));
    for (const std::uint64_t seq : seqs(sample)) {
      if (seq < 100) tens.at(seq / 10) += 1;
    }
  }
  double chi_square = 0;
  for (const double count : tens) chi_square += (count - kSeeds) * (count - kSeeds) / kSeeds;
  EXPECT_LT(chi_square, 27.9) << "0.1 % of 9 degrees of freedom";
}

TEST(HeldOutSample, GoesOnAlikeAfterSaveAndLoad) {
  HeldOutSample whole(30, 9);
  HeldOutSample first(30, 9);
  for (std::uint64_t seq = 0; seq < 700; ++seq) {
    whole.offer(seq, record(seq));
    first.offer(seq, record(seq));
  }
  HeldOutSample second(30, 1);
  ASSERT_TRUE(second.load(first.save()).is_ok());
  for (std::uint64_t seq = 700; seq < 2000; ++seq) {
    whole.offer(seq, record(seq));
    second.offer(seq, record(seq));
  }
  EXPECT_EQ(seqs(second), seqs(whole));
  EXPECT_EQ(second.save(), whole.save());
}

TEST(HeldOutSample, ErasesFromBothHalvesAndRefusesDamage) {
  HeldOutSample sample(10, 1);
  for (std::uint64_t seq = 0; seq < 100; ++seq) sample.offer(seq, record(seq));
  const auto before = seqs(sample);
  const std::set<std::uint64_t> gone = {before.front(), before.back()};
  EXPECT_EQ(sample.erase_if([&](std::uint64_t seq, std::string_view) { return gone.contains(seq); }), 2U);
  EXPECT_EQ(sample.size(), 8U);
  for (const std::uint64_t seq : seqs(sample)) EXPECT_FALSE(gone.contains(seq));
  const std::string saved = sample.save();
  EXPECT_EQ(sample.load(saved.substr(0, saved.size() - 3)).code(), Code::kDataLoss);
  EXPECT_EQ(sample.load("").code(), Code::kDataLoss);
}

}  // namespace
}  // namespace freshet
