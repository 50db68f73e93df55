#include "learners/training/sifting.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include <gtest/gtest.h>

#include "learners/training/learner.h"
#include "learners/training/strategy.h"
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

// The losses as they are counted: to 32nds of their power of two, rounded towards zero.
double counted(float loss) {
  int exponent = 0;
  const double fraction = std::frexp(static_cast<double>(loss), &exponent);  // 0.5 to 1
  return std::ldexp(std::trunc(fraction * 64.0) / 64.0, exponent);
}

// The last `length` losses, counted one by one.
class PlainHistory {
 public:
  explicit PlainHistory(std::size_t length) : length_(length) {}
  void take(float loss) {
    last_.push_back(counted(loss));
    if (last_.size() > length_) last_.pop_front();
  }
  std::size_t not_above(float loss) const {
    return static_cast<std::size_t>(std::ranges::count_if(last_, [&](double other) { return other <= counted(loss); }));
  }
  double percentile(float loss) const {
    return static_cast<double>(not_above(loss)) / static_cast<double>(last_.size());
  }

 private:
  std::size_t length_;
  std::deque<double> last_;
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
    PlainHistory plain(length);
    auto losses = losses_of(2000, kSeed + length);
    for (std::size_t i = 0; i < losses.size(); i += 3) losses[i] = 3.0F - losses[i];  // rho's may be below zero
    for (std::size_t i = 1; i < losses.size(); i += 5) losses[i] *= i < 1000 ? 1e-9F : 1e12F;
    const std::size_t block = std::min<std::size_t>(length, 50);
    for (std::size_t begin = 0; begin + block <= losses.size(); begin += block) {
      const auto taken = std::span<const float>(losses).subspan(begin, block);
      for (const float loss : taken) plain.take(loss);
      history.take(taken);
      history.rank();
      for (const float loss : taken) {
        ASSERT_EQ(history.not_above(loss), plain.not_above(loss)) << loss << " of the last " << length;
      }
    }
  }
}

TEST(LossHistory, LeavesOutWhatIsNotFinite) {
  LossHistory history(3);
  history.take(std::vector<float>{kUnknown, 1.0F, INFINITY, 2.0F, -INFINITY, 1.5F});
  history.rank();
  EXPECT_EQ(history.size(), 3U);
  EXPECT_EQ(history.not_above(1.0F), 1U);
  EXPECT_EQ(history.not_above(2.0F), 3U);
}

TEST(LossHistory, GoesOnAfterSaveAndLoad) {
  const auto losses = losses_of(300, kSeed);
  for (const std::size_t cut : {0UL, 5UL, 40UL, 41UL, 200UL}) {
    LossHistory one(40);
    one.take(std::span(losses).first(cut));
    LossHistory other(40);
    other.take(std::vector<float>{3.0F});
    const std::string bytes = bytes_of(one);
    ByteReader in(bytes);
    ASSERT_TRUE(other.load(in).is_ok());
    EXPECT_TRUE(in.at_end());
    for (const float loss : std::span(losses).subspan(cut)) {
      for (LossHistory* history : {&one, &other}) {
        history->take({&loss, 1});
        history->rank();
      }
      ASSERT_EQ(one.not_above(loss), other.not_above(loss));
    }
    EXPECT_EQ(bytes_of(one), bytes_of(other));
  }
}

TEST(LossHistory, KeepsTheNewestWhenItIsLoadedShorter) {
  LossHistory longer(100);
  const auto losses = losses_of(150, kSeed);
  longer.take(losses);
  const std::string bytes = bytes_of(longer);
  LossHistory shorter(10);
  ByteReader in(bytes);
  ASSERT_TRUE(shorter.load(in).is_ok());
  LossHistory direct(10);
  direct.take(losses);
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
    history.take({&losses[i], 1});
    history.rank();
    const std::uint32_t rank = history.not_above(losses[i]);
    EXPECT_NEAR(sifter.probability(rank, history.size(), false), fresh[i], 1e-15) << i;
    EXPECT_NEAR(sifter.probability(rank, history.size(), true), replayed[i], 1e-15) << i;
  }
}

// Every row is kept as often as it should be, over many seeds of the generator: fresh and replayed rows share a
// history, which takes in the hundred rows in two blocks, as it holds no more.
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
  PlainHistory plain(options.loss_history);
  for (std::size_t block = 0; block < 2; ++block) {
    const auto fresh_block = std::span(fresh).subspan(30 * block, 30);
    const auto replay_block = std::span(replay).subspan(20 * block, 20);
    for (const float loss : fresh_block) plain.take(loss);
    for (const float loss : replay_block) plain.take(loss);
    for (const float loss : fresh_block) expected_fresh.push_back(std::pow(plain.percentile(loss), 0.7));
    for (const float loss : replay_block) expected_replay.push_back(std::pow(plain.percentile(loss), 1.5));
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
  // Probabilities 3/4, 1/4, 1, 3/4: their mean is 0.6875.
  const std::vector<float> losses = {0.5F, 0.1F, 0.9F, 0.5F};
  const std::vector<float> factors = {0.9166667F, 2.75F, 0.6875F, 0.9166667F};
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

// A round of rows chosen by hand, of which `replayed` belong to the memory.
class SiftingMixture : public SiftingLearner {
 protected:
  SiftingMixture() {
    options_.sifting.delay_steps = 0;
    fresh_.losses = losses_of(200, 5);
  }

  Result<RoundReport> train(Learner& learner, std::uint32_t fresh, std::uint32_t replayed) {
    const auto chosen = learner.sift(fresh_, known_);
    if (!chosen.is_ok()) return chosen.status();
    KeptRows kept;
    for (std::uint32_t row = 0; row < fresh; ++row) kept.fresh.push_back(2 * row);
    for (std::uint32_t row = 0; row < replayed; ++row) kept.replay.push_back(row);
    sample_.resize(replayed);
    losses_.assign(replayed, kUnknown);
    RoundInput input{&fresh_, &sample_, 0, losses_};
    input.kept = &kept;
    return learner.train_round(input);
  }

  EncodedBatch fresh_ = synthetic_events(layout_, 200, kSeed, Task::kBinary);
  EncodedBatch sample_ = synthetic_events(layout_, 180, kSeed + 1, Task::kBinary);
  const std::vector<float> known_ = losses_of(180, 6);
  std::vector<float> losses_;
};

TEST_F(SiftingMixture, FillsBatchesWhateverWasKept) {
  for (const auto& [fresh, replayed] : {std::pair{3U, 93U}, {1U, 127U}, {0U, 100U}, {90U, 0U}, {65U, 63U}, {0U, 0U}}) {
    auto learner = make();
    const auto report = train(*learner, fresh, replayed);
    ASSERT_TRUE(report.is_ok()) << report.status().to_string();
    EXPECT_EQ(report->steps, (fresh + replayed + 31) / 32) << fresh << " fresh, " << replayed << " replayed";
    EXPECT_EQ(report->samples_fresh, fresh);
    EXPECT_EQ(report->samples_replayed, replayed);
    EXPECT_EQ(std::ranges::count_if(losses_, [](float loss) { return std::isnan(loss); }), 0);
  }
}

// A hundred replayed rows in batches of at most 32 are four steps of 25 each.
TEST_F(SiftingMixture, TrainsOnReplayedRowsAloneAsOnFreshOnes) {
  auto sifted = make();
  ASSERT_TRUE(train(*sifted, 0, 100).is_ok());
  options_.sifting.kind = SiftingKind::kNone;
  options_.strategy = "finetune";
  options_.batch_size = 25;
  auto plain = make();
  ASSERT_TRUE(plain->train_round({&sample_, nullptr, 0}).is_ok());
  std::vector<float> weights, expected;
  ASSERT_TRUE(sifted->copy_weights(weights).is_ok());
  ASSERT_TRUE(plain->copy_weights(expected).is_ok());
  EXPECT_EQ(weights, expected);
}

TEST_F(SiftingMixture, IsOneThatEveryStrategyTakes) {
  std::size_t tried = 0;
  for (const auto name : Strategy::names()) {
    options_.strategy = name;
    if (const auto learner = Learner::create(options_, layout_, Device{}); !learner.is_ok()) continue;
    auto learner = make();
    const bool replays = learner->replay_rows_for(200, 180) > 0;
    for (const auto& [fresh, replayed] : {std::pair{0U, 100U}, {2U, 90U}, {50U, 3U}, {40U, 0U}}) {
      const auto report = train(*learner, fresh, replays ? replayed : 0);
      ASSERT_TRUE(report.is_ok()) << name << ": " << report.status().to_string();
      EXPECT_EQ(report->skipped_non_finite, 0U) << name << ", " << fresh << " fresh, " << replayed << " replayed";
    }
    ++tried;
  }
  EXPECT_GE(tried, 6U);
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
