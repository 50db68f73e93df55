#include "learners/evaluation/losses.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>

#include "core/rng.h"

namespace freshet {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<float> losses_of(Task task, std::uint32_t width, std::vector<float> values, std::vector<float> labels) {
  std::vector<float> losses(labels.size());
  per_sample_losses(task, {labels.size(), width, std::move(values)}, labels, losses);
  return losses;
}

TEST(LossesTest, BinaryLogLossFollowsItsFormula) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  std::vector<float> p(1'003);
  std::vector<float> labels(p.size());
  for (std::size_t i = 0; i < p.size(); ++i) {
    p[i] = static_cast<float>(rng.uniform());
    labels[i] = static_cast<float>(rng.below(2));
  }
  const auto losses = losses_of(Task::kBinary, 1, p, labels);
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double q = p[i];
    EXPECT_NEAR(losses[i], labels[i] > 0.5F ? -std::log(q) : -std::log(1 - q), 1e-6) << q;
  }
}

TEST(LossesTest, CertaintyCostsNothingWhenRightAndIsBoundedWhenWrong) {
  const auto losses = losses_of(Task::kBinary, 1, {1, 0, 0, 1, kNan, kNan, 2, -1}, {1, 0, 1, 0, 1, 0, 1, 1});
  EXPECT_EQ(losses[0], 0.0F);
  EXPECT_EQ(losses[1], 0.0F);
  for (const std::size_t i : {2, 3, 4, 5, 7}) EXPECT_NEAR(losses[i], 16.118096, 1e-5) << i;
  EXPECT_EQ(losses[6], 0.0F);
}

TEST(LossesTest, MulticlassTakesTheProbabilityOfTheLabel) {
  const auto losses = losses_of(Task::kMulticlass, 3,
                                {0.2F, 0.5F, 0.3F, 0.1F, 0.1F, 0.8F, 1, 0, 0, 1, 0, 0, kNan, 0, 0}, {1, 2, 2, 7, 0});
  EXPECT_NEAR(losses[0], 0.6931472, 1e-6);
  EXPECT_NEAR(losses[1], 0.2231436, 1e-6);
  for (const std::size_t i : {2, 3, 4}) EXPECT_NEAR(losses[i], 16.118096, 1e-5) << i;
}

TEST(LossesTest, RegressionIsTheSquaredErrorAndStaysFinite) {
  const auto losses = losses_of(Task::kRegression, 1, {1.5F, -2, kNan, FLT_MAX}, {1, 1, 0, -FLT_MAX});
  EXPECT_FLOAT_EQ(losses[0], 0.25F);
  EXPECT_FLOAT_EQ(losses[1], 9.0F);
  EXPECT_EQ(losses[2], FLT_MAX);
  EXPECT_EQ(losses[3], FLT_MAX);
}

TEST(LossesTest, ARegressionIsScoredByTheLossItIsTrainedOn) {
  const Predictions predictions = {4, 1, {1.5F, -2, kNan, FLT_MAX}};
  const std::vector<float> labels = {1, 1, 0, -FLT_MAX};
  std::vector<float> losses(4);
  LossOptions options;
  options.kind = LossKind::kQuantile;
  options.quantile = 0.9F;
  per_sample_losses(Task::kRegression, predictions, labels, losses, options);
  EXPECT_NEAR(losses[0], 0.05, 1e-6);
  EXPECT_NEAR(losses[1], 2.7, 1e-6);
  EXPECT_EQ(losses[2], FLT_MAX);
  EXPECT_EQ(losses[3], FLT_MAX);
  options.kind = LossKind::kPoisson;
  per_sample_losses(Task::kRegression, predictions, labels, losses, options);
  EXPECT_NEAR(losses[0], 1.5 - 1 - std::log(1.5), 1e-6);
  EXPECT_EQ(losses[2], FLT_MAX);
  EXPECT_EQ(losses[3], FLT_MAX);
}

TEST(LossesTest, ScoresAreAccuracyOrMinusTheRootMeanSquare) {
  EXPECT_EQ(score_predictions(Task::kBinary, {4, 1, {0.5F, 0.49F, 0.9F, kNan}}, std::vector<float>{1, 0, 0, 1}), 0.5);
  EXPECT_EQ(score_predictions(Task::kMulticlass, {2, 3, {0, 0.6F, 0.4F, 0.5F, 0.5F, 0}}, std::vector<float>{1, 1}),
            0.5);
  EXPECT_DOUBLE_EQ(score_predictions(Task::kRegression, {2, 1, {3, -4}}, std::vector<float>{0, 0}), -std::sqrt(12.5));
  EXPECT_EQ(score_predictions(Task::kBinary, {}, {}), 0);
}

}  // namespace
}  // namespace freshet
