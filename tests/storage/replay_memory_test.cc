#include "storage/replay_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "storage/payload_garbage.h"

namespace freshet {
namespace {

using Pages = std::map<std::uint64_t, std::string>;

std::unique_ptr<ReplayMemory> make(const ReplayOptions& options) {
  auto memory = ReplayMemory::create(options);
  EXPECT_TRUE(memory.is_ok()) << memory.status().to_string();
  return std::move(memory).value();
}

std::vector<std::uint64_t> held(const ReplayMemory& memory) {
  std::vector<std::uint64_t> seqs;
  for (std::uint64_t slot = 0; slot < memory.size(); ++slot) seqs.push_back(memory.slots().seq(slot));
  return seqs;
}

// Chi-square of counts that should be equal, over its degrees of freedom, where each count is a sum of `draws` draws of
// probability p: near 1; the bounds lie five standard deviations away.
void expect_uniform(const std::map<std::uint64_t, std::uint64_t>& counts, double draws, const std::string& what) {
  double total = 0;
  for (const auto& [key, count] : counts) total += static_cast<double>(count);
  const double expected = total / static_cast<double>(counts.size());
  const double p = expected / draws;
  double statistic = 0;
  for (const auto& [key, count] : counts) statistic += std::pow(static_cast<double>(count) - expected, 2);
  statistic /= expected * (1 - p);
  const auto freedom = static_cast<double>(counts.size() - 1);
  const double deviation = std::sqrt(2 * freedom);
  EXPECT_GT(statistic, freedom - 5 * deviation) << what;
  EXPECT_LT(statistic, freedom + 5 * deviation) << what;
}

TEST(Reservoir, EveryEventIsHeldWithTheSameProbability) {
  constexpr std::uint64_t kSeeds = 4000;
  std::map<std::uint64_t, std::uint64_t> counts;
  for (std::uint64_t seq = 1; seq <= 200; ++seq) counts[seq] = 0;
  std::vector<std::uint64_t> released;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto memory = make({.capacity_events = 20, .seed = seed});
    for (std::uint64_t seq = 1; seq <= 200; ++seq) memory->insert({.seq = seq}, released);
    ASSERT_EQ(memory->size(), 20U);
    for (const std::uint64_t seq : held(*memory)) ++counts[seq];
  }
  expect_uniform(counts, kSeeds, "reservoir of 20 over 200 events");
}

TEST(Reservoir, StaysUniformOverTheLivingWhenEventsAge) {
  constexpr std::uint64_t kSeeds = 4000;
  std::map<std::uint64_t, std::uint64_t> counts;
  std::vector<std::uint64_t> released;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto memory = make({.capacity_events = 20, .ttl_ms = 100'000, .seed = seed});
    // Bursts: 3 events a second in every other 50 seconds, 1 a second between, so that the population swings.
    std::uint64_t seq = 0;
    for (std::int64_t second = 1; second <= 330; ++second) {
      const int events = second / 50 % 2 == 0 ? 3 : 1;
      for (int i = 0; i < events; ++i) memory->insert({.seq = ++seq, .time_ms = second * 1000}, released);
      memory->expire((second - 99) * 1000, released);
    }
    ASSERT_LE(memory->size(), 20U);
    for (std::uint64_t slot = 0; slot < memory->size(); ++slot) {
      ASSERT_GE(memory->slots().time_s(slot), 330U - 99U);
      ++counts[memory->slots().seq(slot)];
    }
    if (seed == 0) {  // every living event is a key, also those that are never held
      std::uint64_t at = 0;
      for (std::int64_t second = 1; second <= 330; ++second) {
        const int events = second / 50 % 2 == 0 ? 3 : 1;
        for (int i = 0; i < events; ++i) {
          ++at;
          if (second >= 330 - 99) counts.try_emplace(at, 0);
        }
      }
    }
  }
  expect_uniform(counts, kSeeds, "reservoir of 20 with a time to live of 100 s");
}

TEST(Reservoir, IsTheSameForTheSameSeed) {
  std::vector<std::uint64_t> released_a;
  std::vector<std::uint64_t> released_b;
  const auto a = make({.capacity_events = 100, .seed = 9});
  const auto b = make({.capacity_events = 100, .seed = 9});
  const auto c = make({.capacity_events = 100, .seed = 10});
  std::vector<std::uint64_t> ignored;
  for (std::uint64_t seq = 1; seq <= 5000; ++seq) {
    a->insert({.seq = seq}, released_a);
    b->insert({.seq = seq}, released_b);
    c->insert({.seq = seq}, ignored);
  }
  EXPECT_EQ(held(*a), held(*b));
  EXPECT_EQ(released_a, released_b);
  EXPECT_NE(held(*a), held(*c));
}

class EveryPolicy : public ::testing::TestWithParam<std::string> {};

TEST_P(EveryPolicy, ReleasesEachSeqOnceOrHoldsIt) {
  const auto memory = make({.policy = GetParam(), .capacity_events = 700, .ttl_ms = 3'000'000, .seed = 2});
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 6000; ++seq) {
    memory->insert(
        {.seq = seq, .time_ms = static_cast<std::int64_t>(seq) * 1000, .group = static_cast<std::uint16_t>(seq % 3)},
        released);
    if (seq % 100 == 0) memory->expire(static_cast<std::int64_t>(seq) * 1000 - 3'000'000, released);
    ASSERT_LE(memory->size(), 700U);
    if (seq == 4000) {
      const auto some = held(*memory);
      std::vector<std::uint64_t> gone(some.begin(), some.begin() + 10);
      std::sort(gone.begin(), gone.end());
      memory->erase(gone, released);
    }
  }
  auto all = held(*memory);
  all.insert(all.end(), released.begin(), released.end());
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), 6000U);
  for (std::uint64_t seq = 1; seq <= 6000; ++seq) ASSERT_EQ(all[seq - 1], seq);
  EXPECT_GT(memory->size(), 300U);
  EXPECT_EQ(memory->seen(), 6000U);
}

// Pages are taken at checkpoints only, so that a page that was not marked as changed shows as a difference.
TEST_P(EveryPolicy, GoesOnAlikeAfterSaveAndLoad) {
  const ReplayOptions options{.policy = GetParam(), .capacity_events = 1300, .ttl_ms = 4'000'000, .seed = 4};
  const auto original = make(options);
  std::vector<std::uint64_t> released;
  Pages pages;
  std::uint64_t seq = 0;
  const auto feed = [](ReplayMemory& memory, std::uint64_t& at, std::uint64_t count, std::vector<std::uint64_t>& out) {
    for (std::uint64_t i = 0; i < count; ++i) {
      ++at;
      memory.insert({.seq = at,
                     .time_ms = static_cast<std::int64_t>(at) * 1000,
                     .group = static_cast<std::uint16_t>(at * at % 5)},
                    out);
      if (at % 500 == 0) memory.expire(static_cast<std::int64_t>(at) * 1000 - 4'000'000, out);
    }
  };
  for (int checkpoint = 0; checkpoint < 12; ++checkpoint) {
    feed(*original, seq, 731, released);
    original->dirty_pages([&](std::uint64_t index, std::string_view bytes) { pages[index] = std::string(bytes); });
    original->clear_dirty();
    const auto copy = make(options);
    ASSERT_TRUE(copy->load_begin(original->header()).is_ok());
    for (const auto& [index, bytes] : pages) ASSERT_TRUE(copy->load_page(index, bytes).is_ok());
    ASSERT_TRUE(copy->load_end().is_ok());
    ASSERT_EQ(held(*copy), held(*original));
    ASSERT_EQ(copy->header(), original->header());
    if (checkpoint % 4 == 3) {
      std::vector<std::uint64_t> released_copy;
      std::vector<std::uint64_t> released_original;
      std::uint64_t copy_seq = seq;
      feed(*copy, copy_seq, 2000, released_copy);
      feed(*original, seq, 2000, released_original);
      ASSERT_EQ(held(*copy), held(*original));
      ASSERT_EQ(released_copy, released_original);
      ASSERT_EQ(copy->header(), original->header());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(ReplayMemory, EveryPolicy, ::testing::Values("reservoir", "sliding_window", "class_balanced"),
                         [](const auto& tested) { return tested.param; });

TEST(SlidingWindow, HoldsTheNewest) {
  const auto memory = make({.policy = "sliding_window", .capacity_events = 10});
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 37; ++seq) memory->insert({.seq = seq}, released);
  auto seqs = held(*memory);
  std::sort(seqs.begin(), seqs.end());
  EXPECT_EQ(seqs, (std::vector<std::uint64_t>{28, 29, 30, 31, 32, 33, 34, 35, 36, 37}));
  EXPECT_EQ(released.front(), 1U);
  EXPECT_EQ(released.size(), 27U);
}

TEST(ClassBalanced, GivesGroupsEqualShareAndEachIsUniform) {
  constexpr std::uint64_t kSeeds = 1500;
  std::map<std::uint64_t, std::uint64_t> common;
  std::map<std::uint64_t, std::uint64_t> rare;
  const auto group_of = [](std::uint64_t seq) {
    return static_cast<std::uint16_t>(seq % 20 == 0 ? 1 : seq % 100 == 1 ? 2 : 0);
  };
  for (std::uint64_t seq = 1; seq <= 1000; ++seq) {
    if (group_of(seq) == 0) common[seq] = 0;
    if (group_of(seq) == 1) rare[seq] = 0;
  }
  std::vector<std::uint64_t> released;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto memory = make({.policy = "class_balanced", .capacity_events = 60, .seed = seed});
    for (std::uint64_t seq = 1; seq <= 1000; ++seq) memory->insert({.seq = seq, .group = group_of(seq)}, released);
    std::map<std::uint16_t, int> sizes;
    for (const std::uint64_t seq : held(*memory)) {
      ++sizes[group_of(seq)];
      if (group_of(seq) == 0) ++common[seq];
      if (group_of(seq) == 1) ++rare[seq];
    }
    ASSERT_EQ(sizes[2], 10);  // all there are
    ASSERT_NEAR(sizes[0], 25, 1);
    ASSERT_NEAR(sizes[1], 25, 1);
  }
  expect_uniform(common, kSeeds, "the common group");
  expect_uniform(rare, kSeeds, "the rare group");
}

TEST(ReplaySample, IsUniformAndDistinct) {
  const auto memory = make({.capacity_events = 50});
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 50; ++seq) memory->insert({.seq = seq}, released);
  for (const std::uint64_t n : {1ULL, 10ULL, 40ULL}) {
    Rng rng(n);
    constexpr std::uint64_t kDraws = 5000;
    std::map<std::uint64_t, std::uint64_t> counts;
    for (std::uint64_t seq = 1; seq <= 50; ++seq) counts[seq] = 0;
    std::vector<std::uint64_t> drawn;
    for (std::uint64_t i = 0; i < kDraws; ++i) {
      drawn.clear();
      memory->sample(n, rng, drawn);
      ASSERT_EQ(std::set<std::uint64_t>(drawn.begin(), drawn.end()).size(), n);
      for (const std::uint64_t seq : drawn) ++counts[seq];
    }
    expect_uniform(counts, kDraws, "sample of " + std::to_string(n));
  }
}

TEST(ReplaySample, OfMoreThanThereAreIsAsEvenAsItCanBe) {
  const auto memory = make({.capacity_events = 10});
  std::vector<std::uint64_t> released;
  std::vector<std::uint64_t> drawn;
  Rng rng(1);
  memory->sample(5, rng, drawn);
  EXPECT_TRUE(drawn.empty());
  for (std::uint64_t seq = 1; seq <= 10; ++seq) memory->insert({.seq = seq}, released);
  memory->sample(34, rng, drawn);
  ASSERT_EQ(drawn.size(), 34U);
  for (std::uint64_t seq = 1; seq <= 10; ++seq) {
    const auto times = std::count(drawn.begin(), drawn.end(), seq);
    EXPECT_TRUE(times == 3 || times == 4) << seq << " came " << times << " times";
  }
}

TEST(ReplayMemory, OldEventsLeaveByEventTimeAlone) {
  const auto memory = make({.capacity_events = 100, .ttl_ms = 10'000});
  std::vector<std::uint64_t> released;
  memory->insert({.seq = 1, .time_ms = 5'000}, released);
  memory->insert({.seq = 2, .time_ms = 9'999'000}, released);  // far ahead: nothing happens until the watermark says so
  EXPECT_EQ(memory->size(), 2U);
  memory->expire(6'000, released);
  EXPECT_EQ(released, (std::vector<std::uint64_t>{1}));
  memory->expire(3'000, released);  // time does not go back
  memory->insert({.seq = 3, .time_ms = 5'500}, released);
  EXPECT_EQ(released, (std::vector<std::uint64_t>{1, 3})) << "too old on arrival";
  EXPECT_EQ(memory->size(), 1U);
}

TEST(ReplayMemory, RefusesAStateOfAnotherShape) {
  const auto memory = make({.capacity_events = 100});
  const std::string header = memory->header();
  EXPECT_EQ(make({.capacity_events = 200})->load_begin(header).code(), Code::kFailedPrecondition);
  EXPECT_EQ(make({.policy = "sliding_window", .capacity_events = 100})->load_begin(header).code(),
            Code::kFailedPrecondition);
  EXPECT_EQ(memory->load_begin(std::string_view(header).substr(0, header.size() - 1)).code(), Code::kDataLoss);
  EXPECT_EQ(memory->load_begin("").code(), Code::kDataLoss);
  EXPECT_EQ(ReplayMemory::create({.policy = "best"}).code(), Code::kInvalidArgument);
  EXPECT_EQ(ReplayMemory::create({.capacity_events = 0}).code(), Code::kInvalidArgument);
}

TEST(ReplayMemory, NoticesMissingAndTornPages) {
  const ReplayOptions options{.capacity_events = 2000};
  const auto memory = make(options);
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 1500; ++seq) memory->insert({.seq = seq}, released);
  Pages pages;
  memory->dirty_pages([&](std::uint64_t index, std::string_view bytes) { pages[index] = std::string(bytes); });
  ASSERT_EQ(pages.size(), 3U);
  const auto copy = make(options);
  ASSERT_TRUE(copy->load_begin(memory->header()).is_ok());
  ASSERT_TRUE(copy->load_page(0, pages[0]).is_ok());
  EXPECT_EQ(copy->load_end().code(), Code::kDataLoss);
  EXPECT_EQ(copy->load_page(2, pages[2]).code(), Code::kDataLoss);
  EXPECT_EQ(copy->load_page(1, std::string_view(pages[1]).substr(8)).code(), Code::kDataLoss);
}

TEST(ReplayMemory, MarksOnlyChangedPages) {
  const auto memory = make({.capacity_events = 5120});
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 5120; ++seq) memory->insert({.seq = seq}, released);
  EXPECT_EQ(memory->slots().dirty_count(), 10U);
  memory->clear_dirty();
  memory->insert({.seq = 5121}, released);
  EXPECT_LE(memory->slots().dirty_count(), 1U);
}

TEST(PayloadGarbage, CollectsRangesUpToTheCheckpoint) {
  PayloadGarbage garbage;
  const std::vector<std::uint64_t> seqs = {9, 3, 4, 5, 30, 7};
  garbage.release(seqs);
  garbage.release(6);
  EXPECT_EQ(garbage.collect(20), (std::vector<SeqRange>{{3, 7}, {9, 9}}));
  EXPECT_EQ(garbage.waiting(), 1U);
  PayloadGarbage copy;
  ASSERT_TRUE(copy.load(garbage.save()).is_ok());
  EXPECT_EQ(copy.collect(30), (std::vector<SeqRange>{{30, 30}}));
  EXPECT_TRUE(copy.collect(100).empty());
  const std::vector<SeqRange> failed = {{3, 5}};
  copy.put_back(failed);
  EXPECT_EQ(copy.collect(100), failed);
}

}  // namespace
}  // namespace freshet
