#include "learners/tuning/gaussian_process.h"

#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

#include "core/rng.h"
#include "learners/tuning/cholesky.h"
#include "learners/tuning/trial_history.h"
#include "tests/learners/tuning/tuning_cases.h"

namespace freshet::tuning {
namespace {

GaussianProcess process_of(const GpCase& one) {
  std::vector<std::uint32_t> groups(one.width);
  std::iota(groups.begin(), groups.end(), 0U);
  GaussianProcess process(groups);
  process.observe(one.points, one.targets, one.weights);
  return process;
}

TEST(GaussianProcess, PredictsAsScikitLearnDoes) {
  for (const auto& one : kGpCases) {
    SCOPED_TRACE(one.width);
    GaussianProcess process = process_of(one);
    ASSERT_TRUE(process.condition({one.variance, one.noise, one.lengths}));
    for (std::size_t q = 0; q < one.means.size(); ++q) {
      const auto prediction = process.predict(std::span(one.at).subspan(q * one.width, one.width));
      EXPECT_NEAR(prediction.mean, one.means[q], 1e-6);
      EXPECT_NEAR(prediction.deviation, one.deviations[q], 1e-6);
    }
  }
}

TEST(GaussianProcess, HasScikitLearnsLikelihoodAndGradient) {
  for (const auto& one : kGpCases) {
    SCOPED_TRACE(one.width);
    GpCase even = one;
    even.weights.assign(one.weights.size(), 1.0);
    GaussianProcess process = process_of(even);
    std::vector<double> gradient(one.width + 2);
    const double likelihood = process.log_marginal_likelihood({one.variance, one.noise, one.lengths}, gradient);
    EXPECT_NEAR(likelihood, one.likelihood, 1e-6 * std::abs(one.likelihood));
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      EXPECT_NEAR(gradient[i], one.gradient[i], 1e-5 * (1.0 + std::abs(one.gradient[i]))) << i;
    }
  }
}

TEST(GaussianProcess, AppendsAnObservationAsIfItHadBeenThere) {
  const GpCase& one = kGpCases[2];
  const GpHyperparameters at{one.variance, one.noise, one.lengths};
  const std::size_t fewer = one.targets.size() - 1;
  GaussianProcess grown = process_of(one);
  grown.observe(std::span(one.points).first(fewer * one.width), std::span(one.targets).first(fewer),
                std::span(one.weights).first(fewer));
  ASSERT_TRUE(grown.condition(at));
  ASSERT_TRUE(grown.append(std::span(one.points).subspan(fewer * one.width), one.targets.back(), one.weights.back()));
  for (std::size_t q = 0; q < one.means.size(); ++q) {
    const auto prediction = grown.predict(std::span(one.at).subspan(q * one.width, one.width));
    EXPECT_NEAR(prediction.mean, one.means[q], 1e-6);
    EXPECT_NEAR(prediction.deviation, one.deviations[q], 1e-6);
  }
}

TEST(GaussianProcess, FitsWithinItsBoundsAndFindsWhatDoesNotMatter) {
  Rng rng(4);
  std::vector<double> points;
  std::vector<double> targets;
  for (int i = 0; i < 40; ++i) {
    const double x = rng.uniform();
    points.insert(points.end(), {x, rng.uniform()});  // the second one changes nothing
    targets.push_back(std::sin(8.0 * x));
  }
  GaussianProcess process({0, 1});
  process.observe(points, targets, std::vector<double>(40, 1.0));
  const auto from = process.defaults();
  const auto fitted = process.fit(from, 60);
  EXPECT_GT(process.log_marginal_likelihood(fitted, {}), process.log_marginal_likelihood(from, {}) + 10.0);
  EXPECT_GT(fitted.lengths[1], 5.0 * fitted.lengths[0]);
  for (const double length : fitted.lengths) {
    EXPECT_GE(length, GaussianProcess::kLengthLeast * 0.999);
    EXPECT_LE(length, GaussianProcess::kLengthMost * 1.001);
  }
  EXPECT_EQ(process.fit(from, 60), fitted);
}

TEST(GaussianProcess, SaysWhereACovarianceIsNotPositiveDefinite) {
  std::vector<double> matrix = {1.0, 0.0, 2.0, 1.0};
  EXPECT_FALSE(cholesky_factor(matrix, 2));
}

TEST(ExpectedImprovement, IsTheFormulaOfJones) {
  for (const auto& one : kImprovementCases) {
    EXPECT_NEAR(expected_improvement({one.mean, one.deviation}, one.best), one.value, 1e-12);
  }
  EXPECT_EQ(expected_improvement({1.5, 0.0}, 1.0), 0.5);
  EXPECT_EQ(expected_improvement({0.5, 0.0}, 1.0), 0.0);
}

TEST(NormalScores, AreQuantilesOfRanksWithFailedOnesLast) {
  for (const auto& one : kQuantileCases) EXPECT_NEAR(normal_quantile(one.probability), one.value, 1e-9);
  // Ranks of four, the two equal ones sharing the middle of theirs: 0.5, (1 + 3) / 2, 3.5 of 4.
  const auto scores = normal_scores({0.9, 0.1, 0.1, std::nan("")});
  EXPECT_NEAR(scores[3], normal_quantile(0.5 / 4), 1e-12);
  EXPECT_NEAR(scores[1], normal_quantile(2.0 / 4), 1e-12);
  EXPECT_EQ(scores[1], scores[2]);
  EXPECT_NEAR(scores[0], normal_quantile(3.5 / 4), 1e-12);
}

}  // namespace
}  // namespace freshet::tuning
