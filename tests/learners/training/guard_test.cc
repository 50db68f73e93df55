// The guard against numbers that are none: bad steps are left out, spoilt weights go back and are never published.
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "learners/training/learner.h"
#include "tests/learners/training/synthetic_events.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 91;

struct GuardCase {
  OptimizerKind optimizer;
  PublishedWeights published;
  EngineKind engine;
};

const EncodedLayout& layout() {
  static const EncodedLayout kLayout = synthetic_layout(6, 3);
  return kLayout;
}

EncodedBatch events(std::size_t rows, std::uint64_t seed) {
  return synthetic_events(layout(), rows, seed, Task::kBinary);
}

RoundReport train(Learner& learner, const EncodedBatch& fresh) {
  const auto report = learner.train_round({&fresh, nullptr, 0});
  EXPECT_TRUE(report.is_ok()) << report.status().to_string();
  return report.is_ok() ? *report : RoundReport{};
}

std::string state_of(const Learner& learner) {
  ByteWriter out;
  EXPECT_TRUE(learner.save(out).is_ok());
  return out.take();
}

std::vector<float> published(Learner& learner, std::uint64_t version) {
  const auto probe = events(100, kSeed + 99);
  Predictions out;
  EXPECT_TRUE(learner.publish(version)->predict(probe, 0, probe.size(), out).is_ok());
  return {out.values.begin(), out.values.begin() + 100};
}

class Guard : public testing::TestWithParam<GuardCase> {
 protected:
  Guard() {
    options_.model.hidden = {16, 8};
    options_.model.embedding_dim = 4;
    options_.model.embedding_rows = 1024;
    options_.batch_size = 16;
    options_.strategy = "finetune";
    options_.schedule.learning_rate = 0.05F;
    options_.restore_after = 3;
    options_.average_rounds = 2;
    options_.optimizer.kind = GetParam().optimizer;
    if (options_.optimizer.kind == OptimizerKind::kSgd) options_.optimizer.momentum = 0.9F;
    options_.published = GetParam().published;
    options_.engine = GetParam().engine;
  }
  std::unique_ptr<Learner> make() const { return Learner::create(options_, layout(), Device{}).value(); }

  LearnerOptions options_;
};

// The state of a good past, taken up with a rate that throws the weights out of all bounds in every round.
TEST_P(Guard, ExplodingRateNeverReachesWhatIsPublished) {
  auto learner = make();
  for (std::uint64_t round = 0; round < 4; ++round) {
    EXPECT_EQ(train(*learner, events(100, kSeed + round)).restored, 0U);
    published(*learner, round);
  }
  const std::string state = state_of(*learner);
  const auto losses = learner->losses(events(100, kSeed + 99)).value();
  options_.schedule.learning_rate = 1e38F;
  auto exploding = make();
  ByteReader in(state);
  ASSERT_TRUE(exploding->load(in).is_ok());
  std::uint64_t restored = 0;
  for (std::uint64_t round = 4; round < 8; ++round) {
    restored += train(*exploding, events(160, kSeed + round)).restored;
    for (const float value : published(*exploding, round)) ASSERT_TRUE(std::isfinite(value)) << "round " << round;
    const auto now = exploding->losses(events(100, kSeed + 99)).value();
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
    ASSERT_EQ(std::memcmp(now.data(), losses.data(), losses.size() * sizeof(float)), 0) << "round " << round;
  }
  EXPECT_GE(restored, 4U);
}

// A streak of bad steps takes weights, optimizer and averages back to the round's beginning: what is learnt after it is
// what would have been learnt without the round.
TEST_P(Guard, AStreakOfBadStepsGoesBackToTheRoundsBeginning) {
  auto learner = make();
  auto other = make();
  for (auto* each : {learner.get(), other.get()}) {
    for (std::uint64_t round = 0; round < 3; ++round) {
      train(*each, events(100, kSeed + round));
      published(*each, round);
    }
  }
  const auto before = learner->losses(events(100, kSeed + 99)).value();
  auto spoilt = events(160, kSeed + 10);  // 10 steps, of which the last 3 are bad
  for (const std::size_t row : {113UL, 130UL, 155UL}) {
    spoilt.dense_row(row)[2] = std::numeric_limits<float>::quiet_NaN();
  }
  const auto report = train(*learner, spoilt);
  EXPECT_EQ(report.skipped_non_finite, 3U);
  EXPECT_EQ(report.steps, 7U);
  EXPECT_EQ(report.restored, 1U);
  EXPECT_EQ(learner->losses(events(100, kSeed + 99)).value(), before);
  if (GetParam().published == PublishedWeights::kAverage) return;  // one more round is in the average
  for (std::uint64_t round = 3; round < 6; ++round) {
    for (auto* each : {learner.get(), other.get()}) train(*each, events(100, kSeed + round));
    ASSERT_EQ(published(*learner, round), published(*other, round)) << "round " << round;
  }
}

TEST_P(Guard, FewBadStepsAreOnlyLeftOut) {
  auto learner = make();
  auto spoilt = events(160, kSeed);
  // Never three in a row.
  for (const std::size_t row : {1UL, 20UL, 50UL, 70UL, 120UL}) {
    spoilt.dense_row(row)[0] = std::numeric_limits<float>::infinity();
  }
  const auto report = train(*learner, spoilt);
  EXPECT_EQ(report.skipped_non_finite, 5U);
  EXPECT_EQ(report.restored, 0U);
  EXPECT_EQ(report.steps, 5U);
}

// Bad steps in a row are counted over rounds, and over a restart. Each round is published, as states that are saved
// are.
TEST_P(Guard, CountsAStreakOverRoundsAndRestarts) {
  std::uint64_t version = 0;
  const auto restored = [&](Learner& each, const EncodedBatch& fresh) {
    const auto report = train(each, fresh);
    published(each, ++version);
    return report.restored;
  };
  auto learner = make();
  restored(*learner, events(100, kSeed));
  auto bad = events(16, kSeed + 1);
  bad.dense_row(7)[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(restored(*learner, bad), 0U);
  EXPECT_EQ(restored(*learner, bad), 0U);
  const std::string state = state_of(*learner);
  auto loaded = make();
  ByteReader in(state);
  ASSERT_TRUE(loaded->load(in).is_ok());
  EXPECT_EQ(state_of(*loaded), state);
  EXPECT_EQ(restored(*loaded, bad), 1U);
  EXPECT_EQ(restored(*learner, bad), 1U);
  EXPECT_EQ(state_of(*loaded), state_of(*learner));
  EXPECT_EQ(restored(*learner, bad), 0U) << "a new streak";
}

std::string name_of(const GuardCase& tested) {
  constexpr std::array<const char*, 3> kWeights = {"raw", "ema", "average"};
  return fmt::format("{}_{}{}", optimizer_name(tested.optimizer),
                     kWeights.at(static_cast<std::size_t>(tested.published)),
                     tested.engine == EngineKind::kTorch ? "_torch" : "");
}

INSTANTIATE_TEST_SUITE_P(
    All, Guard,
    testing::Values(GuardCase{OptimizerKind::kAdagrad, PublishedWeights::kRaw, EngineKind::kNative},
                    GuardCase{OptimizerKind::kAdagrad, PublishedWeights::kEma, EngineKind::kNative},
                    GuardCase{OptimizerKind::kAdam, PublishedWeights::kEma, EngineKind::kNative},
                    GuardCase{OptimizerKind::kSgd, PublishedWeights::kRaw, EngineKind::kNative},
                    GuardCase{OptimizerKind::kAdamW, PublishedWeights::kAverage, EngineKind::kNative},
                    GuardCase{OptimizerKind::kSgd, PublishedWeights::kEma, EngineKind::kTorch},
                    GuardCase{OptimizerKind::kAdam, PublishedWeights::kRaw, EngineKind::kTorch}),
    [](const auto& tested) { return name_of(tested.param); });

}  // namespace
}  // namespace freshet
