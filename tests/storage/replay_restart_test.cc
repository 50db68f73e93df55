// A memory that is saved and loaded anywhere goes on to the bit as one that never stopped: for every policy and
// sampler.
#include <tuple>

#include "tests/storage/replay_fixture.h"

namespace freshet {
namespace {

constexpr const char* kPolicies[] = {"reservoir",        "sliding_window",  "class_balanced",
                                     "loss_prioritised", "time_stratified", "unbounded"};
constexpr const char* kSamplers[] = {"uniform", "class_balanced", "priority", "recency"};

// What the ingest thread does with a memory, in rounds: events come, a sample is drawn, the losses of the sample before
// come back, events age, some are erased.
class Ingest {
 public:
  void round(ReplayMemory& memory) {
    ++round_;
    for (int i = 0; i < 97; ++i) {
      ++seq_;
      Rng rng(seq_);
      ReplayItem item;
      item.seq = seq_;
      // Out of order by up to a minute; now and then far ahead.
      item.time_ms = static_cast<std::int64_t>(seq_) * 1000 - static_cast<std::int64_t>(rng.below(60'000));
      if (seq_ % 501 == 0) item.time_ms += 86'400'000;
      item.group = static_cast<std::uint16_t>(rng.below(1 + rng.below(6)));
      item.loss = static_cast<float>(rng.uniform() * 3);
      memory.insert(item, released_);
    }
    std::vector<float> losses;
    for (const std::uint64_t seq : drawn_.seqs) losses.push_back(static_cast<float>(Rng(seq ^ round_).uniform() * 5));
    memory.note_replayed(drawn_, losses, round_ - 1);
    memory.expire(static_cast<std::int64_t>(seq_) * 1000 - 2'000'000, released_);
    if (round_ % 7 == 0) {
      std::vector<std::uint64_t> gone;
      for (std::uint64_t seq = seq_ - 60; seq < seq_; seq += 5) gone.push_back(seq);
      memory.erase(gone, released_);
    }
    drawn_ = {};
    memory.sample(41, rng_, drawn_);
    all_drawn_.insert(all_drawn_.end(), drawn_.seqs.begin(), drawn_.seqs.end());
  }
  const std::vector<std::uint64_t>& released() const { return released_; }
  const std::vector<std::uint64_t>& drawn() const { return all_drawn_; }

 private:
  std::uint64_t seq_ = 0;
  std::uint64_t round_ = 0;
  Rng rng_{77};
  ReplaySample drawn_;
  std::vector<std::uint64_t> released_;
  std::vector<std::uint64_t> all_drawn_;
};

void expect_same(const ReplayMemory& a, const ReplayMemory& b) {
  ASSERT_EQ(a.header(), b.header());
  ASSERT_EQ(a.size(), b.size());
  for (std::uint64_t slot = 0; slot < a.size(); ++slot) {
    ASSERT_EQ(a.slots().seq(slot), b.slots().seq(slot));
    ASSERT_EQ(a.metadata().loss(slot), b.metadata().loss(slot));
    ASSERT_EQ(a.metadata().times_replayed(slot), b.metadata().times_replayed(slot));
    ASSERT_EQ(a.metadata().last_seen(slot), b.metadata().last_seen(slot));
  }
}

class EveryPolicyAndSampler : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  ReplayOptions options() const {
    ReplayOptions options{.policy = std::get<0>(GetParam()), .capacity_events = 900, .ttl_ms = 2'000'000, .seed = 4};
    options.sampling = std::get<1>(GetParam());
    options.record_bytes = 100;
    options.capacity_bytes = 90'000;
    options.recency_half_life = 300;
    return options;
  }
};

TEST_P(EveryPolicyAndSampler, GoesOnAlikeWhereverItIsStopped) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    SCOPED_TRACE("stops chosen by seed " + std::to_string(seed));
    Rng stops(seed);
    StoppableMemory stopped(options());
    StoppableMemory whole(options());
    Ingest ingest_stopped;
    Ingest ingest_whole;
    int restarts = 0;
    for (int round = 0; round < 120; ++round) {
      ingest_whole.round(*whole);
      ingest_stopped.round(*stopped);
      if (stops.below(3) == 0) stopped.checkpoint();
      if (stops.below(6) != 0) continue;
      // A crash: back to the last checkpoint would redo the rounds; here the checkpoint is where it stops.
      stopped.checkpoint();
      stopped.restart();
      ++restarts;
      ASSERT_NO_FATAL_FAILURE(expect_same(*stopped, *whole));
    }
    EXPECT_GT(restarts, 5);
    ASSERT_NO_FATAL_FAILURE(expect_same(*stopped, *whole));
    EXPECT_EQ(ingest_stopped.released(), ingest_whole.released());
    EXPECT_EQ(ingest_stopped.drawn(), ingest_whole.drawn());
    EXPECT_GT(whole->size(), 300U);
  }
}

TEST_P(EveryPolicyAndSampler, WhatComesAfterACheckpointIsUndone) {
  StoppableMemory memory(options());
  Ingest ingest;
  for (int round = 0; round < 40; ++round) ingest.round(*memory);
  memory.checkpoint();
  const Ingest at_checkpoint = ingest;
  for (int round = 0; round < 25; ++round) ingest.round(*memory);
  const auto later_header = memory->header();
  const auto later_held = held_seqs(*memory);
  memory.restart();
  Ingest again = at_checkpoint;
  for (int round = 0; round < 25; ++round) again.round(*memory);
  EXPECT_EQ(memory->header(), later_header);
  EXPECT_EQ(held_seqs(*memory), later_held);
  EXPECT_EQ(again.drawn(), ingest.drawn());
}

TEST_P(EveryPolicyAndSampler, ReleasesEachSeqOnceOrHoldsIt) {
  StoppableMemory memory(options());
  Ingest ingest;
  for (int round = 0; round < 100; ++round) {
    ingest.round(*memory);
    ASSERT_LE(memory->size(), 900U);
  }
  auto all = held_seqs(*memory);
  all.insert(all.end(), ingest.released().begin(), ingest.released().end());
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), 9700U);
  for (std::uint64_t seq = 1; seq <= 9700; ++seq) ASSERT_EQ(all[seq - 1], seq);
  EXPECT_EQ(memory->seen(), 9700U);
}

INSTANTIATE_TEST_SUITE_P(ReplayMemory, EveryPolicyAndSampler,
                         ::testing::Combine(::testing::ValuesIn(kPolicies), ::testing::ValuesIn(kSamplers)),
                         [](const auto& tested) {
                           return std::string(std::get<0>(tested.param)) + "_by_" + std::get<1>(tested.param);
                         });

}  // namespace
}  // namespace freshet
