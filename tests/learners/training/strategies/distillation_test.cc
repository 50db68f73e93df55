#include "learners/training/strategies/distillation.h"

#include <array>
#include <cmath>
#include <functional>

#include <gtest/gtest.h>

#include "tests/learners/training/strategies/line.h"

namespace freshet {
namespace {

using strategies::add_distillation;
using strategies::add_squared_distance;

// d value / d outputs[i] by central differences in double precision.
std::vector<double> slopes(std::vector<double> outputs,
                           const std::function<double(const std::vector<double>&)>& value) {
  constexpr double kStep = 1e-6;
  std::vector<double> slopes;
  for (double& output : outputs) {
    const double at = output;
    output = at + kStep;
    const double above = value(outputs);
    output = at - kStep;
    slopes.push_back((above - value(outputs)) / (2.0 * kStep));
    output = at;
  }
  return slopes;
}

std::vector<double> probabilities(const double* logits, std::size_t width, double temperature) {
  std::vector<double> result;
  double sum = 0.0;
  for (std::size_t k = 0; k < width; ++k) {
    result.push_back(std::exp(logits[k] / temperature));
    sum += result.back();
  }
  for (double& value : result) value /= sum;
  return result;
}

const std::vector<double> kOutputs = {0.3, -1.2, 2.0, 1.1, 0.4, -0.6};
const std::vector<double> kTargets = {1.3, 0.2, -0.5, -2.0, 0.9, 0.1};
const Points kRows = {{0.0, 0.0, 1.5}, {0.0, 0.0, 0.5}};

std::vector<float> floats(const std::vector<double>& values) { return {values.begin(), values.end()}; }

TEST(Distillation, IsTheGradientOfTheDivergenceBetweenSoftenedClasses) {
  constexpr double kTemperature = 2.0;
  constexpr double kScale = 0.7;
  const auto batch = batch_of(kRows);
  std::vector<float> gradients(6, 10.0F);
  add_distillation(Task::kMulticlass, {&batch, 0, 2}, floats(kOutputs), floats(kTargets), 3, 2.0F, 0.7F, gradients);
  const auto wanted = slopes(kOutputs, [&](const std::vector<double>& outputs) {
    double sum = 0.0;
    for (std::size_t row = 0; row < 2; ++row) {
      const auto now = probabilities(outputs.data() + 3 * row, 3, kTemperature);
      const auto then = probabilities(kTargets.data() + 3 * row, 3, kTemperature);
      double divergence = 0.0;
      for (std::size_t k = 0; k < 3; ++k) divergence += then[k] * std::log(then[k] / now[k]);
      sum += kScale * kTemperature * kTemperature * kRows[row].weight * divergence;
    }
    return sum;
  });
  for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(gradients[i] - 10.0F, wanted[i], 1e-5) << i;
}

TEST(Distillation, OfABinaryTaskIsThatOfTwoClassesOneOfWhichHasTheLogitZero) {
  const auto batch = batch_of(kRows);
  std::vector<float> gradients(2, 0.0F);
  add_distillation(Task::kBinary, {&batch, 0, 2}, std::vector<float>{1.4F, -0.8F}, std::vector<float>{-0.5F, 0.3F}, 1,
                   3.0F, 1.0F, gradients);
  const std::vector<double> targets = {-0.5, 0.3};
  const auto wanted = slopes({1.4, -0.8}, [&](const std::vector<double>& outputs) {
    double sum = 0.0;
    for (std::size_t row = 0; row < 2; ++row) {
      const std::array<double, 2> now = {outputs[row], 0.0};
      const std::array<double, 2> then = {targets[row], 0.0};
      const auto p = probabilities(now.data(), 2, 3.0);
      const auto q = probabilities(then.data(), 2, 3.0);
      sum += 9.0 * kRows[row].weight * (q[0] * std::log(q[0] / p[0]) + q[1] * std::log(q[1] / p[1]));
    }
    return sum;
  });
  for (std::size_t i = 0; i < 2; ++i) EXPECT_NEAR(gradients[i], wanted[i], 1e-5) << i;
}

TEST(Distillation, OfARegressionIsTheSquaredDistance) {
  auto batch = batch_of(kRows);
  std::vector<float> gradients(2, 1.0F);
  add_distillation(Task::kRegression, {&batch, 0, 2}, std::vector<float>{1.0F, 2.0F}, std::vector<float>{0.0F, 4.0F}, 1,
                   3.0F, 0.5F, gradients);
  EXPECT_FLOAT_EQ(gradients[0], 1.0F + 2.0F * 0.5F * 1.5F * 1.0F);
  EXPECT_FLOAT_EQ(gradients[1], 1.0F + 2.0F * 0.5F * 0.5F * -2.0F);
  // An event without a usable weight has no part.
  batch.weights = {std::nanf(""), -1.0F};
  gradients = {1.0F, 1.0F};
  add_squared_distance({&batch, 0, 2}, std::vector<float>{1.0F, 2.0F}, std::vector<float>{0.0F, 4.0F}, 1, 1.0F,
                       gradients);
  EXPECT_EQ(gradients, (std::vector<float>{1.0F, 1.0F}));
}

}  // namespace
}  // namespace freshet
