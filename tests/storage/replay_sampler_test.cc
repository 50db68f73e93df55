// Every sampler draws with the probabilities that it claims.
#include <set>

#include "tests/storage/replay_fixture.h"

namespace freshet {
namespace {

constexpr std::uint64_t kDraws = 20000;

// How often the event of each slot came in `draws` samples of n.
std::vector<std::uint64_t> count_drawn(ReplayMemory& memory, std::uint64_t n, std::uint64_t draws = kDraws) {
  std::vector<std::uint64_t> counts(memory.size(), 0);
  Rng rng(n);
  ReplaySample sample;
  for (std::uint64_t i = 0; i < draws; ++i) {
    sample = {};
    memory.sample(n, rng, sample);
    EXPECT_EQ(sample.slots.size(), n);
    EXPECT_EQ(std::set<std::uint64_t>(sample.slots.begin(), sample.slots.end()).size(), n) << "not distinct";
    for (std::uint64_t k = 0; k < n; ++k) {
      EXPECT_EQ(memory.slots().seq(sample.slots[k]), sample.seqs[k]);
      ++counts[sample.slots[k]];
    }
  }
  return counts;
}

ReplayOptions sampled(const std::string& sampling, std::uint64_t capacity = 1000) {
  ReplayOptions options{.policy = "sliding_window", .capacity_events = capacity};
  options.sampling = sampling;
  return options;
}

// Rounded down to an eighth of the way from one power of two to the next.
double in_steps(double loss) {
  int exponent = 0;
  const double fraction = std::frexp(loss, &exponent);
  return std::ldexp(std::floor(fraction * 16) / 16, exponent);
}

TEST(PrioritySampling, FollowsTheLastKnownLoss) {
  constexpr double kAlpha = 0.7;
  ReplayOptions options = sampled("priority");
  options.priority_alpha = kAlpha;
  const auto memory = make_memory(options);
  std::vector<std::uint64_t> released;
  std::vector<double> losses;
  for (std::uint64_t seq = 1; seq <= 150; ++seq) {  // more than two blocks of 64
    losses.push_back(0.05 * static_cast<double>(seq % 37) + 0.03);
    memory->insert({.seq = seq, .loss = static_cast<float>(losses.back())}, released);
  }
  // Two rounds later: some losses have changed, one event is gone and the last stands in its place.
  ReplaySample round;
  for (const std::uint64_t slot : {3, 70, 71, 140}) {
    round.slots.push_back(slot);
    round.seqs.push_back(slot + 1);
  }
  memory->note_replayed(round, std::vector<float>{1000.0F, 0.001F, 2.5F, kUnknownLoss}, 7);
  losses[3] = 64;
  losses[70] = 1.0 / 64;
  losses[71] = 2.5;
  memory->erase(std::vector<std::uint64_t>{11}, released);
  losses[10] = losses.back();
  losses.pop_back();
  std::vector<double> weights;
  for (const double loss : losses) weights.push_back(std::pow(in_steps(loss), kAlpha));
  for (const int n : {1, 2}) {
    const auto counts = count_drawn(*memory, static_cast<std::uint64_t>(n));
    expect_probabilities(counts, successive_inclusion(weights, n), kDraws, "priority " + std::to_string(n));
  }
}

TEST(RecencySampling, HalvesWithEveryHalfLife) {
  ReplayOptions options = sampled("recency", 120);
  options.recency_half_life = 24;
  const auto memory = make_memory(options);
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 300; ++seq) memory->insert({.seq = seq}, released);
  std::vector<double> weights;
  for (const std::uint64_t seq : held_seqs(*memory)) {
    weights.push_back(std::exp2(std::floor(static_cast<double>(seq) * 16 / 24) / 16));
  }
  for (const int n : {1, 3}) {
    const auto counts = count_drawn(*memory, static_cast<std::uint64_t>(n));
    expect_probabilities(counts, successive_inclusion(weights, n), kDraws, "recency " + std::to_string(n));
  }
}

// Weights that lie further apart than any floating-point number tells.
TEST(RecencySampling, GoesDownToTheOldestWhenAllAreWanted) {
  ReplayOptions options = sampled("recency", 6000);
  options.recency_half_life = 1;
  const auto memory = make_memory(options);
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 5000; ++seq) memory->insert({.seq = seq}, released);
  Rng rng(5);
  ReplaySample sample;
  memory->sample(5000, rng, sample);
  EXPECT_EQ(std::set<std::uint64_t>(sample.seqs.begin(), sample.seqs.end()).size(), 5000U);
  double first = 0;
  for (std::size_t i = 0; i < 100; ++i) first += static_cast<double>(sample.seqs[i]) / 100;
  EXPECT_GT(first, 4900);  // the newest come first
}

TEST(ClassBalancedSampling, DrawsAClassThenAnEvent) {
  const std::vector<std::uint64_t> sizes = {3000, 90, 5};
  const auto memory = make_memory(sampled("class_balanced", 5000));
  std::vector<std::uint64_t> released;
  std::vector<std::uint16_t> groups;
  for (std::uint16_t group = 0; group < 3; ++group) groups.insert(groups.end(), sizes[group], group);
  Rng shuffle(8);
  for (std::size_t i = groups.size(); i > 1; --i) std::swap(groups[i - 1], groups[shuffle.below(i)]);
  for (const std::uint16_t group : groups) memory->insert({.seq = memory->size() + 1, .group = group}, released);
  for (const std::uint64_t n : {1U, 6U, 30U}) {
    // How many of each class a sample has: every class with events left is as likely as any other.
    std::map<std::vector<std::uint64_t>, double> states = {{{0, 0, 0}, 1.0}};
    for (std::uint64_t i = 0; i < n; ++i) {
      std::map<std::vector<std::uint64_t>, double> next;
      for (const auto& [drawn, probability] : states) {
        double open = 0;
        for (std::size_t c = 0; c < 3; ++c) open += drawn[c] < sizes[c] ? 1 : 0;
        for (std::size_t c = 0; c < 3; ++c) {
          if (drawn[c] == sizes[c]) continue;
          auto more = drawn;
          ++more[c];
          next[more] += probability / open;
        }
      }
      states = std::move(next);
    }
    std::vector<double> expected(3, 0);
    for (const auto& [drawn, probability] : states) {
      for (std::size_t c = 0; c < 3; ++c) expected[c] += probability * static_cast<double>(drawn[c]);
    }
    const auto counts = count_drawn(*memory, n);
    for (std::uint16_t group = 0; group < 3; ++group) {
      if (n == 30 && group == 2) continue;  // almost surely all five
      std::vector<std::uint64_t> own;
      for (std::size_t slot = 0; slot < groups.size(); ++slot) {
        if (groups[slot] == group) own.push_back(counts[slot]);
      }
      expect_probabilities(own, std::vector<double>(own.size(), expected[group] / static_cast<double>(sizes[group])),
                           kDraws, "class " + std::to_string(group) + " in samples of " + std::to_string(n));
    }
  }
}

TEST(UniformSampling, IsUniformAndDistinct) {
  const auto memory = make_memory(sampled("uniform"));
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 50; ++seq) memory->insert({.seq = seq}, released);
  for (const std::uint64_t n : {1U, 10U, 40U}) {
    const auto counts = count_drawn(*memory, n);
    expect_probabilities(counts, std::vector<double>(50, static_cast<double>(n) / 50), kDraws,
                         "uniform " + std::to_string(n));
  }
}

class EverySampler : public ::testing::TestWithParam<std::string> {};

TEST_P(EverySampler, OfMoreThanThereAreIsAsEvenAsItCanBe) {
  const auto memory = make_memory(sampled(GetParam()));
  std::vector<std::uint64_t> released;
  std::vector<std::uint64_t> drawn;
  Rng rng(1);
  memory->sample(5, rng, drawn);
  EXPECT_TRUE(drawn.empty());
  for (std::uint64_t seq = 1; seq <= 10; ++seq) {
    memory->insert({.seq = seq, .group = static_cast<std::uint16_t>(seq % 3), .loss = 0.1F}, released);
  }
  memory->sample(34, rng, drawn);
  ASSERT_EQ(drawn.size(), 34U);
  for (std::uint64_t seq = 1; seq <= 10; ++seq) {
    const auto times = std::count(drawn.begin(), drawn.end(), seq);
    EXPECT_TRUE(times == 3 || times == 4) << seq << " came " << times << " times";
  }
}

INSTANTIATE_TEST_SUITE_P(ReplaySample, EverySampler,
                         ::testing::Values("uniform", "class_balanced", "priority", "recency"),
                         [](const auto& tested) { return tested.param; });

TEST(ReplaySampler, RefusesWhatItCannotBe) {
  EXPECT_EQ(ReplayMemory::create(sampled("best")).code(), Code::kInvalidArgument);
  ReplayOptions options = sampled("recency");
  options.recency_half_life = 0;
  EXPECT_EQ(ReplayMemory::create(options).code(), Code::kInvalidArgument);
  options = sampled("priority");
  options.priority_alpha = -1;
  EXPECT_EQ(ReplayMemory::create(options).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace freshet
