#include "learners/evaluation/paired_test.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/rng.h"
#include "learners/evaluation/label_noise.h"

namespace freshet {
namespace {

// Exponentially distributed losses of an incumbent, and a challenger's: noise around them, shifted.
struct Losses {
  std::vector<float> incumbent, challenger, weights;

  Losses(std::size_t rows, double shift, double noise, std::uint64_t seed) : weights(rows, 1.0F) {
    Rng rng(seed);
    for (std::size_t i = 0; i < rows; ++i) {
      const double loss = -std::log(1.0 - rng.uniform()) * 0.5;
      incumbent.push_back(static_cast<float>(loss));
      challenger.push_back(static_cast<float>(loss + shift + noise * (rng.uniform() * 2 - 1)));
    }
  }
};

PairedTest tested(const Losses& losses, double alpha = 0.05) {
  PairedTest test(alpha);
  test.add(losses.challenger, losses.incumbent, losses.weights, {});
  return test;
}

TEST(PairedTestTest, FindsAWorseAndABetterChallenger) {
  const PairedTest worse = tested({2000, 0.05, 0.4, 1});
  EXPECT_TRUE(worse.challenger_worse());
  EXPECT_FALSE(worse.challenger_better());
  EXPECT_NEAR(worse.mean_difference(), 0.05, 0.03);
  const PairedTest better = tested({2000, -0.05, 0.4, 2});
  EXPECT_TRUE(better.challenger_better());
  EXPECT_FALSE(better.challenger_worse());
}

TEST(PairedTestTest, FindsADisasterWithinAFewDozenEvents) { EXPECT_TRUE(tested({64, 2.0, 0.4, 3}).challenger_worse()); }

// Asked after every one of 3,000 events, over 400 streams of equals: Ville's inequality allows alpha of them.
TEST(PairedTestTest, ErrsNoOftenerThanAlphaHoweverOftenItIsAsked) {
  int worse = 0;
  int better = 0;
  constexpr int kStreams = 400;
  for (int stream = 0; stream < kStreams; ++stream) {
    const PairedTest test = tested({3000, 0.0, 0.6, 100 + static_cast<std::uint64_t>(stream)}, 0.1);
    worse += test.challenger_worse() ? 1 : 0;
    better += test.challenger_better() ? 1 : 0;
  }
  EXPECT_LT(worse, 0.1 * kStreams + 3 * std::sqrt(0.09 * kStreams));
  EXPECT_LT(better, 0.1 * kStreams + 3 * std::sqrt(0.09 * kStreams));
}

TEST(PairedTestTest, IsTheSameInPiecesAndAfterALoad) {
  const Losses losses(500, 0.02, 0.4, 4);
  const PairedTest whole = tested(losses);
  PairedTest pieces(0.05);
  for (std::size_t begin = 0; begin < 500; begin += 100) {
    ByteWriter out;
    pieces.save(out);
    const std::string bytes = out.take();
    pieces = PairedTest(0.05);
    ByteReader in(bytes);
    ASSERT_TRUE(pieces.load(in).is_ok());
    pieces.add(std::span(losses.challenger).subspan(begin, 100), std::span(losses.incumbent).subspan(begin, 100),
               std::span(losses.weights).subspan(begin, 100), {});
  }
  EXPECT_EQ(pieces.evidence_worse(), whole.evidence_worse());
  EXPECT_EQ(pieces.evidence_better(), whole.evidence_better());
  EXPECT_EQ(pieces.mean_difference(), whole.mean_difference());
}

TEST(PairedTestTest, AChallengerWithoutFiniteLossesIsWorse) {
  Losses losses(200, 0.0, 0.0, 5);
  losses.challenger.assign(200, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(tested(losses).challenger_worse());
  losses.incumbent = losses.challenger;
  EXPECT_FALSE(tested(losses).challenger_worse());
}

// Clicks: a challenger that has followed a base rate from 1 % to 2 % is a little worse nearly always, and much better
// now and then. It is the better one, and must not be found worse; nor may its mirror image be found better.
TEST(PairedTestTest, RareDearEventsAreNotOutvoted) {
  const auto loss = [](double p, bool yes) { return static_cast<float>(-std::log(yes ? p : 1 - p)); };
  int wrong = 0;
  int right = 0;
  for (std::uint64_t stream = 0; stream < 100; ++stream) {
    Rng rng(900 + stream);
    PairedTest forward(0.05);
    PairedTest mirrored(0.05);
    for (int i = 0; i < 20'000; ++i) {
      const bool yes = rng.uniform() < 0.02;
      const std::array challenger{loss(0.02, yes)};
      const std::array incumbent{loss(0.01, yes)};
      const std::array weight{1.0F};
      const std::array bound{std::abs(std::log(0.02F) - std::log(0.01F))};
      forward.add(challenger, incumbent, weight, bound);
      mirrored.add(incumbent, challenger, weight, bound);
    }
    wrong += forward.challenger_worse() || mirrored.challenger_better() ? 1 : 0;
    right += forward.challenger_better() && mirrored.challenger_worse() ? 1 : 0;
  }
  EXPECT_LE(wrong, 10);
  EXPECT_GT(right, 80);
}

TEST(PairedTestTest, EventsWithoutWeightDoNotCount) {
  Losses losses(200, 2.0, 0.1, 6);
  losses.weights.assign(200, 0.0F);
  EXPECT_EQ(tested(losses).rows(), 0U);
  EXPECT_FALSE(tested(losses).challenger_worse());
}

TEST(PairedTestTest, BytesCutShortAreRefused) {
  ByteReader in("short");
  PairedTest test(0.05);
  EXPECT_EQ(test.load(in).code(), Code::kDataLoss);
}

// Labels of a model that says 0.9 and is right, of which a share is drawn anew, blindly.
std::vector<float> noisy_losses(std::size_t rows, double blind, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> losses;
  for (std::size_t i = 0; i < rows; ++i) {
    const bool as_said = rng.uniform() < blind ? rng.uniform() < 0.5 : rng.uniform() < 0.9;
    losses.push_back(static_cast<float>(-std::log(as_said ? 0.9 : 0.1)));
  }
  return losses;
}

TEST(LabelNoiseTest, FindsTheShareOfBlindLabels) {
  for (const double blind : {0.2, 0.6}) {
    LabelNoise noise(2);
    std::vector<float> flattened(6000);
    noise.flatten(noisy_losses(6000, blind, 7), flattened);
    EXPECT_NEAR(noise.share(), blind, 0.1);
  }
}

// The flattened model is the one to beat when labels turn bad: its loss is that of who knows the noise.
TEST(LabelNoiseTest, TheFlattenedModelIsBetterOnNoisyLabels) {
  LabelNoise noise(2);
  const std::vector<float> losses = noisy_losses(4000, 0.6, 8);
  std::vector<float> flattened(losses.size());
  noise.flatten(losses, flattened);
  double before = 0;
  double after = 0;
  for (std::size_t i = 2000; i < 4000; ++i) {
    before += losses[i];
    after += flattened[i];
  }
  // The model says 0.9; of these labels a share of 0.4 * 0.9 + 0.6 * 0.5 is as it says.
  const double right = 0.66;
  const double best = -(right * std::log(right) + (1 - right) * std::log(1 - right));
  EXPECT_NEAR(after / 2000, best, 0.03);
  EXPECT_GT(before / 2000, best + 0.15);
}

}  // namespace
}  // namespace freshet
