#include "learners/training/sifting.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include <gtest/gtest.h>

#include "learners/training/learner.h"
#include "tests/learners/training/synthetic_events.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 57;
constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();
const SiftingCosts kCheapChoice{100, 100, 30, 1};

Sifter make_sifter(const SiftingOptions& options, const SiftingCosts& costs = kCheapChoice) {
  auto sifter = Sifter::create(options, costs);
  EXPECT_TRUE(sifter.is_ok()) << sifter.status().to_string();
  return std::move(sifter).value();
}

// Losses with many ties.
std::vector<float> losses_of(std::size_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> losses(count);
  for (float& loss : losses) {
    loss = rng.below(3) == 0 ? static_cast<float>(rng.below(8)) : static_cast<float>(rng.uniform() * 8.0);
  }
  return losses;
}

// The share of the last `length` losses, the new one among them, that are not above it, counted one by one.
class PlainPercentile {
 public:
  explicit PlainPercentile(std::size_t length) : length_(length) {}
  double add(float loss) {
    last_.push_back(loss);
    if (last_.size() > length_) last_.pop_front();
    const auto not_above = std::ranges::count_if(last_, [&](float other) { return other <= loss; });
    return static_cast<double>(not_above) / static_cast<double>(last_.size());
  }

 private:
  std::size_t length_;
  std::deque<float> last_;
};

template <typename T>
std::string bytes_of(const T& saved) {
  ByteWriter out;
  saved.save(out);
  return out.take();
}

TEST(LossHistory, CountsAsOneByOne) {
  for (const std::uint32_t length : {1U, 2U, 7U, 64U, 500U}) {
    LossHistory history(length);
    PlainPercentile plain(length);
    for (const float loss : losses_of(2000, kSeed + length)) {
      const double percentile = plain.add(loss);
      const std::uint32_t not_above = history.add(loss);
      ASSERT_DOUBLE_EQ(static_cast<double>(not_above) / static_cast<double>(history.size()), percentile)
          << "of the last " << length;
    }
  }
}

TEST(LossHistory, GoesOnAfterSaveAndLoad) {
  const auto losses = losses_of(300, kSeed);
  for (const std::size_t cut : {0UL, 5UL, 40UL, 41UL, 200UL}) {
    LossHistory one(40);
    for (std::size_t i = 0; i < cut; ++i) one.add(losses[i]);
    LossHistory other(40);
    other.add(3.0F);
    const std::string bytes = bytes_of(one);
    ByteReader in(bytes);
    ASSERT_TRUE(other.load(in).is_ok());
    EXPECT_TRUE(in.at_end());
    for (std::size_t i = cut; i < losses.size(); ++i) ASSERT_EQ(one.add(losses[i]), other.add(losses[i]));
    EXPECT_EQ(bytes_of(one), bytes_of(other));
  }
}

TEST(LossHistory, KeepsTheNewestWhenItIsLoadedShorter) {
  LossHistory longer(100);
  const auto losses = losses_of(150, kSeed);
  for (const float loss : losses) longer.add(loss);
  const std::string bytes = bytes_of(longer);
  LossHistory shorter(10);
  ByteReader in(bytes);
  ASSERT_TRUE(shorter.load(in).is_ok());
  LossHistory direct(10);
  for (const float loss : losses) direct.add(loss);
  EXPECT_EQ(bytes_of(shorter), bytes_of(direct));
}

// By hand, with a history of 4: 1/1, 1/2, 3/3, 3/4 (0.5 twice), then 0.3 in place of the first 0.5: 2/4.
TEST(Sifting, KeepsWithThePercentileToThePowerOfBeta) {
  SiftingOptions options;
  options.kind = SiftingKind::kRelativeProbabilistic;
  options.beta = 2.0;
  options.replay_beta = 0.5;
  options.loss_history = 4;
  const Sifter sifter = make_sifter(options);
  LossHistory history(4);
  const std::vector<float> losses = {0.5F, 0.1F, 0.9F, 0.5F, 0.3F};
  const std::vector<double> fresh = {1.0, 0.25, 1.0, 0.5625, 0.25};
  const std::vector<double> replayed = {1.0, 0.7071067811865476, 1.0, 0.8660254037844386, 0.7071067811865476};
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const std::uint32_t rank = history.add(losses[i]);
    EXPECT_NEAR(sifter.probability(rank, history.size(), false), fresh[i], 1e-15) << i;
    EXPECT_NEAR(sifter.probability(rank, history.size(), true), replayed[i], 1e-15) << i;
  }
}

// Every row is kept as often as it should be, over many seeds of the generator: fresh and replayed rows share a history
// in the order of the steps.
TEST(Sifting, KeepsEachRowAsOftenAsItsProbabilitySays) {
  constexpr std::size_t kSeeds = 4000;
  constexpr std::size_t kSteps = 5;
  SiftingOptions options;
  options.kind = SiftingKind::kRelativeProbabilistic;
  options.beta = 0.7;
  options.replay_beta = 1.5;
  options.loss_history = 50;
  const auto fresh = losses_of(60, kSeed);
  const auto replay = losses_of(40, kSeed + 1);
  std::vector<double> expected_fresh, expected_replay;
  PlainPercentile plain(options.loss_history);
  for (std::size_t s = 0; s < kSteps; ++s) {
    for (std::size_t i = 12 * s; i < 12 * (s + 1); ++i) expected_fresh.push_back(std::pow(plain.add(fresh[i]), 0.7));
    for (std::size_t i = 8 * s; i < 8 * (s + 1); ++i) expected_replay.push_back(std::pow(plain.add(replay[i]), 1.5));
  }
  std::vector<std::size_t> kept_fresh(60), kept_replay(40);
  for (std::size_t seed = 1; seed <= kSeeds; ++seed) {
    options.seed = seed;
    Sifter sifter = make_sifter(options);
    ASSERT_TRUE(sifter.begin_round(10, 100));
    const KeptRows& kept = sifter.choose(fresh, replay, kSteps);
    EXPECT_TRUE(std::ranges::is_sorted(kept.fresh) && std::ranges::is_sorted(kept.replay));
    for (const auto row : kept.fresh) ++kept_fresh[row];
    for (const auto row : kept.replay) ++kept_replay[row];
  }
  double chi_square = 0.0;
  std::size_t freedom = 0;
  const auto look = [&](const std::vector<double>& expected, const std::vector<std::size_t>& kept, const char* rows) {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double mean = expected[i] * static_cast<double>(kSeeds);
      const double variance = mean * (1.0 - expected[i]);
      const double off = static_cast<double>(kept[i]) - mean;
      if (variance == 0.0) {
        EXPECT_EQ(off, 0.0) << rows << " row " << i;
        continue;
      }
      EXPECT_LT(std::abs(off), 4.5 * std::sqrt(variance)) << rows << " row " << i << ", probability " << expected[i];
      chi_square += off * off / variance;
      ++freedom;
    }
  };
  look(expected_fresh, kept_fresh, "fresh");
  look(expected_replay, kept_replay, "replayed");
  const auto degrees = static_cast<double>(freedom);
  EXPECT_GT(freedom, 80U);
  EXPECT_LT(chi_square, degrees + 4.0 * std::sqrt(2.0 * degrees));
  EXPECT_GT(chi_square, degrees - 4.0 * std::sqrt(2.0 * degrees));
}

TEST(Sifting, KeepsOneInOnePlusBetaOnAverage) {
  for (const double beta : {0.25, 0.5, 1.0, 3.0}) {
    SiftingOptions options;
    options.kind = SiftingKind::kRelativeProbabilistic;
    options.beta = beta;
    Sifter sifter = make_sifter(options);
    Rng rng(kSeed);
    std::vector<float> losses(40'000);
    for (float& loss : losses) loss = static_cast<float>(rng.uniform());
    ASSERT_TRUE(sifter.begin_round(10, losses.size()));
    const auto kept = static_cast<double>(sifter.choose(losses, {}, 1).fresh.size());
    EXPECT_NEAR(kept / 40'000.0, 1.0 / (1.0 + beta), 0.012) << "beta " << beta << ", seed " << kSeed;
  }
}

TEST(Sifting, KeepsRowsWhoseLossIsUnknown) {
  SiftingOptions options;
  options.kind = SiftingKind::kRelativeProbabilistic;
  options.beta = 20.0;
  Sifter sifter = make_sifter(options);
  std::vector<float> losses(1000, kUnknown);
  for (std::size_t i = 0; i < losses.size(); i += 2) losses[i] = 1.0F / static_cast<float>(i + 1);
  const KeptRows& kept = sifter.choose({}, losses, 1);
  EXPECT_GT(kept.replay.size(), 500U);
  EXPECT_LT(kept.replay.size(), 560U);
  std::size_t unknown = 0;
  for (const auto row : kept.replay) unknown += row % 2;
  EXPECT_EQ(unknown, 500U);
}

TEST(Sifting, ReweighedRowsStandForThoseLeftOut) {
  SiftingOptions options;
  options.kind = SiftingKind::kRelativeProbabilistic;
  options.beta = 1.0;
  options.loss_history = 4;
  options.reweigh = true;
  Sifter sifter = make_sifter(options);
  // Probabilities 1, 1/2, 1, 3/4: their mean is 0.8125.
  const std::vector<float> losses = {0.5F, 0.1F, 0.9F, 0.5F};
  const std::vector<float> factors = {0.8125F, 1.625F, 0.8125F, 1.0833334F};
  const KeptRows& kept = sifter.choose(losses, {}, 1);
  ASSERT_EQ(kept.fresh.size(), kept.fresh_factors.size());
  ASSERT_GE(kept.fresh.size(), 2U);
  for (std::size_t i = 0; i < kept.fresh.size(); ++i) EXPECT_FLOAT_EQ(kept.fresh_factors[i], factors[kept.fresh[i]]);
}

TEST(Sifting, BeginsAfterItsDelay) {
  SiftingOptions options;
  options.kind = SiftingKind::kRelativeProbabilistic;
  options.delay_steps = 100;
  Sifter sifter = make_sifter(options);
  EXPECT_FALSE(sifter.begin_round(0, 10));
  EXPECT_FALSE(sifter.begin_round(99, 10));
  EXPECT_TRUE(sifter.begin_round(100, 10));
}

// A round of `rows` with losses that come from its number.
KeptRows sifted_round(Sifter& sifter, std::size_t rows, std::uint64_t number, std::size_t batch) {
  const auto losses = losses_of(rows, number);
  const std::size_t steps = (rows + batch - 1) / batch;
  if (!sifter.begin_round(1000, rows)) return {};
  KeptRows kept = sifter.choose(losses, {}, steps);
  sifter.end_round((kept.fresh.size() + batch - 1) / batch);
  return kept;
}

TEST(Sifting, RestsWhereItDoesNotPayAndTriesAgain) {
  SiftingOptions options;
  options.kind = SiftingKind::kRelativeProbabilistic;
  const auto rested = [&](const SiftingCosts& costs, bool only_where_it_pays) {
    options.only_where_it_pays = only_where_it_pays;
    Sifter sifter = make_sifter(options, costs);
    std::size_t rests = 0;
    for (std::uint64_t round = 0; round < 600; ++round) rests += sifted_round(sifter, 1024, round, 64).fresh.empty();
    return rests;
  };
  EXPECT_EQ(rested({100, 100, 30, 1}, true), 0U);
  // A third is left out: 33 of 100 saved, 40 spent. Of 520 rounds 8 are sifted, then 512 rest.
  EXPECT_EQ(rested({100, 0, 30, 40}, true), 592U - 8U);
  EXPECT_EQ(rested({100, 0, 30, 40}, false), 0U);
  // What is saved is less than a twentieth.
  EXPECT_GT(rested({100, 0, 30, 30}, true), 500U);
}

TEST(Sifting, CountsWhatItLeavesOut) {
  SiftingOptions options;
  options.kind = SiftingKind::kRelativeProbabilistic;
  Sifter sifter = make_sifter(options);
  std::size_t kept = 0;
  for (std::uint64_t round = 0; round < 20; ++round) kept += sifted_round(sifter, 100, round, 64).fresh.size();
  EXPECT_EQ(sifter.totals().considered, 2000U);
  EXPECT_EQ(sifter.totals().left_out, 2000U - kept);
  EXPECT_EQ(sifter.totals().looked_at, 0U);
}

// By its excess over the reference alone: with equal losses the reference decides.
TEST(Sifting, RhoLooksAtTheLossAboveTheReference) {
  SiftingOptions options;
  options.kind = SiftingKind::kRho;
  options.beta = 8.0;
  Sifter sifter = make_sifter(options);
  const std::vector<float> losses(4000, 2.0F);
  std::vector<float> reference(4000);
  Rng rng(kSeed);
  for (float& loss : reference) loss = static_cast<float>(rng.uniform() * 4.0);
  const KeptRows kept = sifter.choose(losses, {}, 1, reference);
  sifter.end_round(1);
  EXPECT_NEAR(static_cast<double>(kept.fresh.size()) / 4000.0, 1.0 / 9.0, 0.025);
  double mean = 0.0;
  for (const auto row : kept.fresh)
    mean += static_cast<double>(reference[row]) / static_cast<double>(kept.fresh.size());
  EXPECT_NEAR(mean, 4.0 / 10.0, 0.12);  // of u^8 over a uniform reference: 4 / (beta + 2)
  EXPECT_EQ(sifter.totals().looked_at, 4000U);
}

TEST(Sifting, GoesOnToTheBitAfterSaveAndLoad) {
  for (const auto kind : {SiftingKind::kRelativeProbabilistic, SiftingKind::kRho}) {
    SiftingOptions options;
    options.kind = kind;
    options.loss_history = 300;
    const SiftingCosts costs{100, 0, 30, 40};  // rests after a window
    for (const std::uint64_t cut : {0U, 1U, 3U, 40U, 85U, 100U}) {
      Sifter one = make_sifter(options, costs);
      for (std::uint64_t round = 0; round < cut; ++round) sifted_round(one, 100, round, 64);
      Sifter other = make_sifter(options, costs);
      sifted_round(other, 70, 999, 64);
      other.restart();
      const std::string bytes = bytes_of(one);
      ByteReader in(bytes);
      ASSERT_TRUE(other.load(in).is_ok());
      EXPECT_TRUE(in.at_end());
      for (std::uint64_t round = cut; round < cut + 60; ++round) {
        const KeptRows here = sifted_round(one, 100, round, 64);
        const KeptRows there = sifted_round(other, 100, round, 64);
        ASSERT_EQ(here.fresh, there.fresh) << "cut at " << cut << ", round " << round;
      }
      EXPECT_EQ(bytes_of(one), bytes_of(other));
    }
  }
}

TEST(Sifting, RefusesWhatItCannotBe) {
  const auto refused = [](auto change) {
    SiftingOptions options;
    options.kind = SiftingKind::kRelativeProbabilistic;
    change(options);
    return !Sifter::create(options, kCheapChoice).is_ok();
  };
  EXPECT_TRUE(refused([](SiftingOptions& options) { options.beta = 0.0; }));
  EXPECT_TRUE(refused([](SiftingOptions& options) { options.beta = kUnknown; }));
  EXPECT_TRUE(refused([](SiftingOptions& options) { options.replay_beta = -1.0; }));
  EXPECT_TRUE(refused([](SiftingOptions& options) { options.loss_history = 0; }));
  EXPECT_TRUE(refused([](SiftingOptions& options) { options.loss_history = 1U << 20; }));
  EXPECT_FALSE(parse_sifting("smart").is_ok());
}

// A learner with sifting.
class SiftingLearner : public testing::Test {
 protected:
  SiftingLearner() {
    options_.model.hidden = {16, 8};
    options_.model.embedding_rows = 1024;
    options_.model.embedding_dim = 4;
    options_.batch_size = 32;
    options_.sifting.kind = SiftingKind::kRelativeProbabilistic;
    options_.sifting.beta = 1.0;
    options_.sifting.loss_history = 100;
  }

  std::unique_ptr<Learner> make() const { return Learner::create(options_, layout_, Device{}).value(); }

  // A round as the pipeline does it: the kept rows of the sample alone are there to be replayed.
  RoundReport round(Learner& learner, std::uint64_t number) const {
    auto fresh = synthetic_events(layout_, 200, kSeed + number, Task::kBinary);
    auto sample = synthetic_events(layout_, 180, kSeed + 1000 + number, Task::kBinary);
    fresh.losses = losses_of(200, number);
    std::vector<float> known = losses_of(180, number + 77);
    known[3] = kUnknown;
    const KeptRows* kept = learner.sift(fresh, known).value();
    if (kept != nullptr) {
      for (std::size_t i = 0; i < kept->replay.size(); ++i) sample.copy_row(kept->replay[i], i);
      sample.resize(kept->replay.size());
    }
    std::vector<float> losses(sample.size());
    RoundInput input{&fresh, &sample, number, losses};
    input.kept = kept;
    const auto report = learner.train_round(input);
    EXPECT_TRUE(report.is_ok()) << report.status().to_string();
    return report.is_ok() ? *report : RoundReport{};
  }

  void goes_on_to_the_bit() const {
    auto learner = make();
    for (std::uint64_t number = 0; number < 4; ++number) round(*learner, number);
    const std::string state = state_of(*learner);
    auto other = make();
    for (std::uint64_t number = 50; number < 53; ++number) round(*other, number);
    ByteReader in(state);
    ASSERT_TRUE(other->load(in).is_ok());
    EXPECT_TRUE(in.at_end());
    EXPECT_EQ(state_of(*other), state);
    for (std::uint64_t number = 4; number < 9; ++number) {
      round(*learner, number);
      round(*other, number);
      ASSERT_EQ(state_of(*other), state_of(*learner)) << "round " << number;
    }
  }

  static std::string state_of(const Learner& learner) {
    ByteWriter out;
    EXPECT_TRUE(learner.save(out).is_ok());
    return out.take();
  }

  const EncodedLayout layout_ = synthetic_layout(6, 3);
  LearnerOptions options_;
};

TEST_F(SiftingLearner, TakesStepsOfFullBatchesOfWhatItKept) {
  auto learner = make();
  const auto whole = round(*learner, 0);  // within the delay
  EXPECT_EQ(whole.samples_considered, 0U);
  EXPECT_EQ(whole.steps, 13U);
  EXPECT_EQ(whole.samples_fresh, 200U);
  const auto sifted = round(*learner, 1);
  EXPECT_EQ(sifted.samples_considered, 380U);
  EXPECT_EQ(sifted.samples_fresh + sifted.samples_replayed + sifted.samples_sifted_out, 380U);
  EXPECT_GT(sifted.samples_sifted_out, 120U);
  EXPECT_LT(sifted.samples_sifted_out, 260U);
  EXPECT_EQ(sifted.steps, (sifted.samples_fresh + sifted.samples_replayed + 31) / 32);
  EXPECT_EQ(learner->sifting_totals().left_out, sifted.samples_sifted_out);
}

TEST_F(SiftingLearner, GoesOnToTheBitWithRhoToo) {
  options_.sifting.kind = SiftingKind::kRho;
  goes_on_to_the_bit();
}

TEST_F(SiftingLearner, GoesOnToTheBitAfterSaveAndLoad) {
  options_.sifting.reweigh = true;
  goes_on_to_the_bit();
}

TEST_F(SiftingLearner, RhoLooksAtEachFreshRowOnce) {
  options_.sifting.kind = SiftingKind::kRho;
  auto learner = make();
  round(*learner, 0);
  const auto report = round(*learner, 1);
  EXPECT_EQ(report.samples_considered, 380U);
  EXPECT_EQ(report.sifting_forwards, 200U);
  EXPECT_GT(report.samples_sifted_out, 100U);
}

// What a strategy stores goes to the events that were trained on, and to no other.
TEST_F(SiftingLearner, StoresValuesOfTheRowsThatItKept) {
  options_.strategy = "der";
  options_.sifting.delay_steps = 0;
  auto learner = make();
  auto fresh = synthetic_events(layout_, 200, kSeed, Task::kBinary);
  fresh.losses = losses_of(200, 5);
  const KeptRows* kept = learner->sift(fresh, {}).value();
  ASSERT_NE(kept, nullptr);
  std::vector<float> outputs(200, 7.0F);
  const std::vector<std::span<float>> to_store = {outputs};
  RoundInput input;
  input.fresh = &fresh;
  input.to_store = to_store;
  input.kept = kept;
  ASSERT_TRUE(learner->train_round(input).is_ok());
  ASSERT_GT(kept->fresh.size(), 50U);
  for (std::uint32_t row = 0; row < 200; ++row) {
    const bool trained = std::ranges::binary_search(kept->fresh, row);
    EXPECT_EQ(std::isfinite(outputs[row]), trained) << "row " << row;
    EXPECT_NE(outputs[row], 7.0F) << "row " << row;
  }
}

TEST_F(SiftingLearner, RefusesStrategiesThatChooseTheirOwnRows) {
  for (const char* strategy : {"mir", "gdumb", "joint"}) {
    options_.strategy = strategy;
    EXPECT_FALSE(Learner::create(options_, layout_, Device{}).is_ok()) << strategy;
  }
}

TEST_F(SiftingLearner, ReadsStatesFromBeforeThereWasSifting) {
  auto options = options_;
  options.sifting.kind = SiftingKind::kNone;
  auto before = Learner::create(options, layout_, Device{}).value();
  for (std::uint64_t number = 0; number < 2; ++number) round(*before, number);
  const std::string state = state_of(*before);
  auto learner = make();
  for (std::uint64_t number = 0; number < 3; ++number) round(*learner, number);
  ByteReader in(state);
  ASSERT_TRUE(learner->load(in).is_ok());
  EXPECT_EQ(learner->sifting_totals().considered, 0U) << "its own past is gone";
  EXPECT_GT(round(*learner, 3).samples_sifted_out, 0U);
  // And the other way round: what sifting knew is let go.
  const std::string sifted = state_of(*learner);
  ByteReader back(sifted);
  ASSERT_TRUE(before->load(back).is_ok());
  EXPECT_EQ(round(*before, 4).samples_sifted_out, 0U);
}

TEST_F(SiftingLearner, RefusesPartsThatItDoesNotKnow) {
  auto learner = make();
  ByteWriter out;
  ASSERT_TRUE(learner->save(out).is_ok());
  out.put_text("tomorrow");
  out.put_text("bytes");
  ByteReader in(out.buffer());
  const auto status = learner->load(in);
  EXPECT_EQ(status.code(), Code::kFailedPrecondition);
  EXPECT_NE(status.message().find("tomorrow"), std::string::npos);
}

}  // namespace
}  // namespace freshet
