// Every policy holds events with the probabilities that it claims, also when it is stopped and started on the way.
#include "tests/storage/replay_fixture.h"

#include "storage/time_strata.h"

namespace freshet {
namespace {

// Feeds `events` to a memory that is stopped and started again about `restarts` times, wherever that falls.
void feed(StoppableMemory& memory, const std::vector<ReplayItem>& events, std::uint64_t restarts, std::uint64_t seed) {
  Rng rng(seed ^ 0x7374);
  std::vector<std::uint64_t> released;
  for (const ReplayItem& event : events) {
    memory->insert(event, released);
    if (restarts == 0 || rng.below(events.size()) >= restarts) continue;
    memory.checkpoint();
    memory.restart();
  }
}

// How often each of the seqs 1 .. n is held after all events, over seeds 0 .. seeds - 1.
std::vector<std::uint64_t> count_held(ReplayOptions options, const std::vector<ReplayItem>& events, std::uint64_t seeds,
                                      std::uint64_t restarts) {
  std::vector<std::uint64_t> counts(events.size(), 0);
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    options.seed = seed;
    StoppableMemory memory(options);
    feed(memory, events, restarts, seed);
    for (const std::uint64_t seq : held_seqs(*memory)) ++counts[seq - 1];
  }
  return counts;
}

class PolicyStatistics : public ::testing::TestWithParam<std::uint64_t> {};  // restarts on the way

TEST_P(PolicyStatistics, ReservoirHoldsEveryEventAlike) {
  constexpr std::uint64_t kSeeds = 4000;
  std::vector<ReplayItem> events;
  for (std::uint64_t seq = 1; seq <= 200; ++seq) events.push_back({.seq = seq});
  const auto counts = count_held({.capacity_events = 20}, events, kSeeds, GetParam());
  expect_probabilities(counts, std::vector<double>(200, 0.1), kSeeds, "reservoir of 20 over 200 events");
}

TEST_P(PolicyStatistics, LossPrioritisedIsSuccessiveSamplingByLoss) {
  constexpr std::uint64_t kSeeds = 20000;
  // Below and above the bounds, unknown, and between.
  const std::vector<float> losses = {0.5F, 3.0F, 1e-9F, 0.02F, kUnknownLoss, 8.0F, 1.0F, 0.25F, 2.0F, 500.0F, 0.1F};
  std::vector<ReplayItem> events;
  std::vector<double> weights;
  for (const float loss : losses) {
    events.push_back({.seq = events.size() + 1, .loss = loss});
    const double bounded = std::isnan(loss) ? 1.0 : std::clamp(static_cast<double>(loss), 1.0 / 64, 64.0);
    weights.push_back(bounded);
  }
  const auto counts = count_held({.policy = "loss_prioritised", .capacity_events = 3}, events, kSeeds, GetParam());
  expect_probabilities(counts, successive_inclusion(weights, 3), kSeeds, "loss-prioritised 3 of 11");
}

TEST_P(PolicyStatistics, ClassBalancedSharesTheRoomAndIsUniformInAClass) {
  constexpr std::uint64_t kSeeds = 1500;
  std::vector<ReplayItem> events;
  std::vector<std::uint64_t> in_class(3, 0);
  for (std::uint64_t seq = 1; seq <= 600; ++seq) {
    const auto group = static_cast<std::uint16_t>(seq % 20 == 0 ? 1 : seq % 60 == 1 ? 2 : 0);
    events.push_back({.seq = seq, .group = group});
    ++in_class[group];
  }
  const auto counts = count_held({.policy = "class_balanced", .capacity_events = 50}, events, kSeeds, GetParam());
  for (const std::uint16_t group : {0, 1}) {  // class 2 is held whole: 10 of 50
    std::vector<std::uint64_t> own;
    for (const ReplayItem& event : events) {
      if (event.group == group) own.push_back(counts[event.seq - 1]);
    }
    expect_probabilities(own, std::vector<double>(own.size(), 20.0 / static_cast<double>(in_class[group])), kSeeds,
                         "class " + std::to_string(group));
  }
  for (const ReplayItem& event : events) {
    if (event.group == 2) {
      EXPECT_EQ(counts[event.seq - 1], kSeeds);
    }
  }
}

// The stream is three times as dense in some parts as in others; every stretch of time must keep its share, and in a
// stretch every event the same chance.
TEST_P(PolicyStatistics, TimeStratifiedGivesAgesTheirShareAndIsUniformInAStratum) {
  constexpr std::uint64_t kSeeds = 1500;
  constexpr std::uint64_t kCapacity = 160;
  constexpr std::int64_t kSeconds = 3000;
  constexpr std::int64_t kWidth = 256;  // 12 strata; of half the width there would be 24, and 20 is the bound
  ASSERT_EQ(TimeStratified::strata_max(kCapacity), 20U);
  // Up to ten minutes late: events also come for strata that were thinned, while there is room.
  std::vector<std::pair<std::int64_t, std::int64_t>> arrivals;
  Rng lateness(11);
  for (std::int64_t second = 0; second < kSeconds; ++second) {
    const int count = second / 300 % 2 == 0 ? 1 : 3;
    for (int i = 0; i < count; ++i) {
      arrivals.emplace_back(second + static_cast<std::int64_t>(lateness.below(600)), second);
    }
  }
  std::sort(arrivals.begin(), arrivals.end());
  std::vector<ReplayItem> events;
  for (const auto& [arrival, second] : arrivals) events.push_back({.seq = events.size() + 1, .time_ms = second * 1000});
  const auto counts =
      count_held({.policy = "time_stratified", .capacity_events = kCapacity}, events, kSeeds, GetParam());
  std::map<std::int64_t, std::vector<std::uint64_t>> strata;
  for (const ReplayItem& event : events) strata[event.time_ms / 1000 / kWidth].push_back(counts[event.seq - 1]);
  ASSERT_EQ(strata.size(), 12U);
  double total = 0;
  for (const auto& [number, own] : strata) {
    double held = 0;
    for (const std::uint64_t count : own) held += static_cast<double>(count);
    held /= kSeeds;
    total += held;
    EXPECT_GT(held, 8.0) << "stratum " << number << " has less than a share of the largest number of strata";
    EXPECT_LT(held, 18.0) << "stratum " << number;
    expect_probabilities(own, std::vector<double>(own.size(), held / static_cast<double>(own.size())), kSeeds,
                         "stratum " + std::to_string(number));
  }
  EXPECT_GT(total, 0.85 * kCapacity);
}

INSTANTIATE_TEST_SUITE_P(Restarts, PolicyStatistics, ::testing::Values(0, 5),
                         [](const auto& tested) { return tested.param == 0 ? "Never" : "OnTheWay"; });

TEST(TimeStratified, KeepsOldAgesOfALongStreamInEqualParts) {
  StoppableMemory memory({.policy = "time_stratified", .capacity_events = 2048, .seed = 3});
  std::vector<std::uint64_t> released;
  constexpr std::uint64_t kEvents = 200'000;  // one every 10 s
  for (std::uint64_t seq = 1; seq <= kEvents; ++seq) {
    memory->insert({.seq = seq, .time_ms = static_cast<std::int64_t>(seq) * 10'000}, released);
    ASSERT_LE(memory->size(), 2048U);
  }
  EXPECT_EQ(memory->size() + released.size(), kEvents);
  std::vector<int> tenths(10, 0);
  for (const std::uint64_t seq : held_seqs(*memory)) ++tenths[(seq - 1) * 10 / kEvents];
  for (const int count : tenths) EXPECT_NEAR(count, 205, 35);
}

TEST(TimeStratified, AnEventOfTheFarFutureIsAStratumOfItsOwn) {
  StoppableMemory memory({.policy = "time_stratified", .capacity_events = 80});
  std::vector<std::uint64_t> released;
  memory->insert({.seq = 1, .time_ms = std::int64_t{4'000'000'000} * 1000}, released);
  for (std::uint64_t seq = 2; seq <= 1000; ++seq) {
    memory->insert({.seq = seq, .time_ms = static_cast<std::int64_t>(seq) * 1000}, released);
  }
  EXPECT_EQ(held_seqs(*memory)[0], 1U);
  EXPECT_GT(memory->size(), 60U);
}

TEST(Capacity, TheSmallerOfEventsAndBytesHolds) {
  for (const char* policy : {"reservoir", "sliding_window", "class_balanced", "loss_prioritised", "time_stratified"}) {
    ReplayOptions options{.policy = policy, .capacity_events = 100};
    options.record_bytes = 50;
    for (const auto& [bytes, events] : {std::pair{0U, 100U}, {2599U, 51U}, {1'000'000U, 100U}}) {
      options.capacity_bytes = bytes;
      StoppableMemory memory(options);
      std::vector<std::uint64_t> released;
      for (std::uint64_t seq = 1; seq <= 500; ++seq) {
        memory->insert({.seq = seq, .time_ms = static_cast<std::int64_t>(seq)}, released);
      }
      EXPECT_EQ(memory->capacity(), events) << policy;
      EXPECT_EQ(memory->size(), events) << policy;
      memory.checkpoint();
      memory.restart();
    }
  }
}

TEST(Capacity, UnboundedCountsBytesAloneAndTheOldestLeave) {
  ReplayOptions options{.policy = "unbounded", .capacity_events = 10};
  options.record_bytes = 100;
  options.capacity_bytes = 30'000;
  StoppableMemory memory(options);
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 300; ++seq) memory->insert({.seq = seq}, released);
  EXPECT_TRUE(released.empty());
  for (std::uint64_t seq = 301; seq <= 1000; ++seq) memory->insert({.seq = seq}, released);
  ASSERT_EQ(released.size(), 700U);
  for (std::uint64_t seq = 1; seq <= 700; ++seq) ASSERT_EQ(released[seq - 1], seq);
}

TEST(Capacity, RefusesBytesThatHoldNothing) {
  ReplayOptions options;
  options.capacity_bytes = 99;
  EXPECT_EQ(ReplayMemory::create(options).code(), Code::kInvalidArgument);  // the size of a record is not known
  options.record_bytes = 100;
  EXPECT_EQ(ReplayMemory::create(options).code(), Code::kInvalidArgument);
  options.capacity_bytes = 100;
  EXPECT_TRUE(ReplayMemory::create(options).is_ok());
}

}  // namespace
}  // namespace freshet
