#include "learners/training/losses.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/rng.h"

namespace freshet {
namespace {

namespace F = torch::nn::functional;

struct Sample {
  std::vector<float> outputs, labels, weights;
};

Sample sample(std::size_t rows, std::uint32_t width, Task task, bool counts = false) {
  Rng rng(21);
  Sample s;
  for (std::size_t i = 0; i < rows * width; ++i) s.outputs.push_back(static_cast<float>(8.0 * rng.uniform() - 4.0));
  for (std::size_t i = 0; i < rows; ++i) {
    s.labels.push_back(task == Task::kBinary       ? static_cast<float>(rng.below(2))
                       : task == Task::kMulticlass ? static_cast<float>(rng.below(width))
                                                   : static_cast<float>(8.0 * rng.uniform() - 4.0));
    if (counts) s.labels.back() = static_cast<float>(rng.below(4) == 0 ? 0 : rng.below(30));
    s.weights.push_back(static_cast<float>(2.0 * rng.uniform()));
  }
  return s;
}

// Loss of each row by LibTorch.
torch::Tensor reference(const LossOptions& options, Task task, const torch::Tensor& outputs,
                        const torch::Tensor& labels) {
  const double smoothing = options.label_smoothing;
  switch (options.kind) {
    case LossKind::kCrossEntropy:
      if (task == Task::kBinary) {
        return F::binary_cross_entropy_with_logits(
            outputs.squeeze(1), labels * (1 - smoothing) + smoothing / 2,
            F::BinaryCrossEntropyWithLogitsFuncOptions().reduction(torch::kNone));
      }
      return F::cross_entropy(outputs, labels.to(torch::kLong),
                              F::CrossEntropyFuncOptions().reduction(torch::kNone).label_smoothing(smoothing));
    case LossKind::kMse:
      return F::mse_loss(outputs.squeeze(1), labels, F::MSELossFuncOptions(torch::kNone));
    case LossKind::kMae:
      return F::l1_loss(outputs.squeeze(1), labels, F::L1LossFuncOptions(torch::kNone));
    case LossKind::kHuber:
      return F::huber_loss(outputs.squeeze(1), labels,
                           F::HuberLossFuncOptions().reduction(torch::kNone).delta(options.huber_delta));
    case LossKind::kQuantile: {
      const auto below = labels - outputs.squeeze(1);
      return torch::max(below * options.quantile, below * (options.quantile - 1.0));
    }
    case LossKind::kPoisson:
      // Without the term of the label alone, which makes the best output cost nothing.
      return F::poisson_nll_loss(outputs.squeeze(1), labels,
                                 F::PoissonNLLLossFuncOptions().log_input(true).reduction(torch::kNone)) -
             (labels - torch::xlogy(labels, labels));
  }
  return {};
}

struct LossCase {
  const char* name;
  Task task;
  std::uint32_t width;
  LossKind kind;
  float smoothing;
  float delta;
  float quantile = 0.5F;
};

class LossEqualsTorch : public testing::TestWithParam<LossCase> {};

TEST_P(LossEqualsTorch, InValueAndGradient) {
  const auto& c = GetParam();
  LossOptions options;
  options.kind = c.kind;
  options.label_smoothing = c.smoothing;
  options.huber_delta = c.delta;
  options.quantile = c.quantile;
  const auto loss = Loss::create(options, c.task, c.width).value();
  const auto s = sample(50, c.width, c.task, c.kind == LossKind::kPoisson);
  std::vector<float> losses(50);
  std::vector<float> gradients(50 * c.width);
  const auto sum = loss.evaluate(s.outputs, s.labels, s.weights, 0.02F, losses, gradients);
  EXPECT_EQ(sum.usable, 50U);

  const auto tensor = [](const std::vector<float>& values, const std::vector<int64_t>& sizes) {
    return torch::tensor(values).reshape(sizes);
  };
  auto outputs = tensor(s.outputs, {50, c.width}).requires_grad_();
  const auto rows = reference(options, c.task, outputs, tensor(s.labels, {50}));
  const auto weighted = (rows * tensor(s.weights, {50})).sum();
  (weighted * 0.02).backward();
  EXPECT_NEAR(sum.weighted, weighted.item<double>(), 1e-3 * std::max(1.0, 1e-2 * sum.weighted));
  for (std::size_t i = 0; i < losses.size(); ++i) {
    // LibTorch's Poisson loss cancels terms of the size of label * log(label), up to 100 here.
    const float size = c.kind == LossKind::kPoisson ? 10.0F : 1.0F;
    ASSERT_NEAR(losses[i], rows[static_cast<int64_t>(i)].item<float>(), 2e-5F * std::max(size, losses[i])) << i;
  }
  const auto expected = outputs.grad().contiguous();
  for (std::size_t i = 0; i < gradients.size(); ++i)
    ASSERT_NEAR(gradients[i], expected.data_ptr<float>()[i], 1e-6) << i;
}

const std::vector<LossCase>& loss_cases() {
  static const std::vector<LossCase> cases = {
      {"binary", Task::kBinary, 1, LossKind::kCrossEntropy, 0.0F, 1.0F},
      {"binary_smoothed", Task::kBinary, 1, LossKind::kCrossEntropy, 0.1F, 1.0F},
      {"multiclass", Task::kMulticlass, 5, LossKind::kCrossEntropy, 0.0F, 1.0F},
      {"multiclass_smoothed", Task::kMulticlass, 5, LossKind::kCrossEntropy, 0.2F, 1.0F},
      {"mse", Task::kRegression, 1, LossKind::kMse, 0.0F, 1.0F},
      {"mae", Task::kRegression, 1, LossKind::kMae, 0.0F, 1.0F},
      {"huber", Task::kRegression, 1, LossKind::kHuber, 0.0F, 1.5F},
      {"quantile", Task::kRegression, 1, LossKind::kQuantile, 0.0F, 1.0F, 0.9F},
      {"quantile_low", Task::kRegression, 1, LossKind::kQuantile, 0.0F, 1.0F, 0.1F},
      {"poisson", Task::kRegression, 1, LossKind::kPoisson, 0.0F, 1.0F},
  };
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, LossEqualsTorch, testing::ValuesIn(loss_cases()),
                         [](const auto& tested) { return tested.param.name; });

class LossGradient : public testing::TestWithParam<LossCase> {};

// Central differences of weight * class weight * loss over 1/32 of an output; away from the kinks their error is that
// of the third derivative and of float32.
TEST_P(LossGradient, IsThatOfFiniteDifferences) {
  const auto& c = GetParam();
  constexpr float kStep = 1.0F / 64.0F;
  LossOptions options;
  options.kind = c.kind;
  options.label_smoothing = c.smoothing;
  options.huber_delta = c.delta;
  options.quantile = c.quantile;
  if (c.task == Task::kBinary) options.class_weights = {0.5F, 3.0F};
  if (c.task == Task::kMulticlass) options.class_weights = {0.5F, 3.0F, 1.0F, 0.0F, 2.0F};
  const auto loss = Loss::create(options, c.task, c.width).value();
  const auto s = sample(50, c.width, c.task, c.kind == LossKind::kPoisson);
  std::vector<float> gradients(50 * c.width);
  loss.evaluate(s.outputs, s.labels, s.weights, 1.0F, {}, gradients);
  std::size_t compared = 0;
  for (std::size_t i = 0; i < 50; ++i) {
    const float apart = std::abs(s.outputs[i * c.width] - s.labels[i]);
    const bool kink = c.task == Task::kRegression && c.kind != LossKind::kPoisson &&
                      (apart < 2 * kStep || std::abs(apart - c.delta) < 2 * kStep);
    if (kink) continue;
    ++compared;
    const auto value = [&](std::size_t k, float shift) {
      std::vector<float> row(s.outputs.begin() + static_cast<std::ptrdiff_t>(i * c.width),
                             s.outputs.begin() + static_cast<std::ptrdiff_t>((i + 1) * c.width));
      row[k] += shift;
      return loss.evaluate(row, {&s.labels[i], 1}, {&s.weights[i], 1}, 1.0F, {}, {}).weighted;
    };
    for (std::size_t k = 0; k < c.width; ++k) {
      const double slope = (value(k, kStep) - value(k, -kStep)) / (2.0 * static_cast<double>(kStep));
      const double gradient = gradients[i * c.width + k];
      ASSERT_NEAR(gradient, slope, 1e-3 * std::max(1.0, std::abs(slope))) << "row " << i << ", output " << k;
    }
  }
  EXPECT_GT(compared, 40U);
}

INSTANTIATE_TEST_SUITE_P(All, LossGradient, testing::ValuesIn(loss_cases()),
                         [](const auto& tested) { return tested.param.name; });

// Serving and scoring see predictions, training sees outputs: both must find the same loss.
TEST(Loss, OfAPredictionIsThatOfItsOutput) {
  for (const auto& c : loss_cases()) {
    if (c.task != Task::kRegression) continue;
    SCOPED_TRACE(c.name);
    LossOptions options;
    options.kind = c.kind;
    options.huber_delta = c.delta;
    options.quantile = c.quantile;
    const auto s = sample(50, 1, c.task, c.kind == LossKind::kPoisson);
    std::vector<float> losses(50);
    Loss::create(options, c.task, 1).value().evaluate(s.outputs, s.labels, s.weights, 1.0F, losses, {});
    for (std::size_t i = 0; i < losses.size(); ++i) {
      const bool log = output_link(c.kind) == OutputLink::kLog;
      const float prediction = log ? std::exp(s.outputs[i]) : s.outputs[i];
      EXPECT_NEAR(loss_of_prediction(options, prediction, s.labels[i]), losses[i], 1e-5F * std::max(1.0F, losses[i]));
    }
  }
}

TEST(Loss, PoissonIsHalfTheDevianceAndNeverNegative) {
  LossOptions options;
  options.kind = LossKind::kPoisson;
  // y * log(y / rate) - (y - rate), by hand.
  EXPECT_NEAR(loss_of_prediction(options, 2.0F, 5.0F), 5.0 * std::log(2.5) - 3.0, 1e-5);
  EXPECT_FLOAT_EQ(loss_of_prediction(options, 0.25F, 0.0F), 0.25F);
  EXPECT_EQ(loss_of_prediction(options, 3e6F, 3e6F), 0.0F);
  EXPECT_NEAR(loss_of_prediction(options, 1.001e6F, 1e6F), 0.49967, 2e-2);  // the rate's logarithm has 24 bits
  EXPECT_GT(loss_of_prediction(options, 0.0F, 3.0F), 200.0F);
  EXPECT_TRUE(std::isfinite(loss_of_prediction(options, 0.0F, 3.0F)));
  EXPECT_TRUE(std::isnan(loss_of_prediction(options, std::numeric_limits<float>::quiet_NaN(), 3.0F)));
}

TEST(Loss, PoissonLeavesOutNegativeCounts) {
  LossOptions options;
  options.kind = LossKind::kPoisson;
  const auto loss = Loss::create(options, Task::kRegression, 1).value();
  const std::vector<float> outputs(4, 1.0F);
  const std::vector<float> weights(4, 1.0F);
  std::vector<float> gradients(4, 9.0F);
  const auto sum = loss.evaluate(outputs, std::vector<float>{-1.0F, -0.001F, 0.0F, 2.5F}, weights, 1.0F, {}, gradients);
  EXPECT_EQ(sum.unusable, 2U);
  EXPECT_EQ(gradients[0], 0.0F);
  EXPECT_EQ(gradients[1], 0.0F);
  EXPECT_FLOAT_EQ(gradients[2], std::exp(1.0F));
}

TEST(Loss, StaysFiniteForExtremeLogits) {
  const auto loss = Loss::create({}, Task::kBinary, 1).value();
  const std::vector<float> outputs = {1000.0F, -1000.0F, 1000.0F, -1000.0F};
  const std::vector<float> labels = {1.0F, 0.0F, 0.0F, 1.0F};
  const std::vector<float> weights(4, 1.0F);
  std::vector<float> losses(4);
  std::vector<float> gradients(4);
  loss.evaluate(outputs, labels, weights, 1.0F, losses, gradients);
  EXPECT_EQ(losses, (std::vector<float>{0.0F, 0.0F, 1000.0F, 1000.0F}));
  EXPECT_EQ(gradients, (std::vector<float>{0.0F, 0.0F, 1.0F, -1.0F}));
}

TEST(Loss, LeavesOutRowsWhoseLabelOrWeightCannotBeUsed) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const auto loss = Loss::create({}, Task::kMulticlass, 3).value();
  const std::vector<float> outputs(18, 0.5F);
  const std::vector<float> labels = {nan, 3.0F, -1.0F, 1.5F, 2.0F, 2.0F};
  const std::vector<float> weights = {1.0F, 1.0F, 1.0F, 1.0F, inf, 1.0F};
  std::vector<float> gradients(18, 9.0F);
  const auto sum = loss.evaluate(outputs, labels, weights, 1.0F, {}, gradients);
  EXPECT_EQ(sum.unusable, 5U);
  EXPECT_EQ(sum.usable, 1U);
  EXPECT_NEAR(sum.weighted, std::log(3.0), 1e-6);
  for (std::size_t i = 0; i < 15; ++i) EXPECT_EQ(gradients[i], 0.0F);
  EXPECT_NEAR(gradients[17], 1.0 / 3.0 - 1.0, 1e-6);
}

TEST(Loss, LetsANanOutputThroughForTheGuard) {
  const std::vector<float> label = {1.0F};
  const std::vector<float> weight = {1.0F};
  for (const auto& [task, kind] :
       {std::pair{Task::kBinary, LossKind::kCrossEntropy}, std::pair{Task::kMulticlass, LossKind::kCrossEntropy},
        std::pair{Task::kRegression, LossKind::kMae}, std::pair{Task::kRegression, LossKind::kQuantile},
        std::pair{Task::kRegression, LossKind::kPoisson}}) {
    const std::uint32_t width = task == Task::kMulticlass ? 3 : 1;
    LossOptions options;
    options.kind = kind;
    std::vector<float> outputs(width, std::numeric_limits<float>::quiet_NaN());
    const auto sum = Loss::create(options, task, width).value().evaluate(outputs, label, weight, 1.0F, {}, {});
    EXPECT_TRUE(std::isnan(sum.weighted)) << task_name(task);
  }
}

TEST(Loss, WeighsClasses) {
  LossOptions options;
  options.class_weights = {1.0F, 10.0F};
  const auto loss = Loss::create(options, Task::kBinary, 1).value();
  const std::vector<float> outputs = {0.0F, 0.0F};
  std::vector<float> gradients(2);
  loss.evaluate(outputs, std::vector<float>{0.0F, 1.0F}, std::vector<float>{1.0F, 0.5F}, 1.0F, {}, gradients);
  EXPECT_EQ(gradients, (std::vector<float>{0.5F, -2.5F}));
}

TEST(Loss, RefusesALossThatDoesNotFitTheTask) {
  LossOptions options;
  options.kind = LossKind::kMse;
  EXPECT_EQ(Loss::create(options, Task::kBinary, 1).code(), Code::kInvalidArgument);
  EXPECT_EQ(Loss::create({}, Task::kRegression, 1).code(), Code::kInvalidArgument);
  for (const float quantile : {0.0F, 1.0F, std::numeric_limits<float>::quiet_NaN()}) {
    options = {};
    options.kind = LossKind::kQuantile;
    options.quantile = quantile;
    EXPECT_EQ(Loss::create(options, Task::kRegression, 1).code(), Code::kInvalidArgument) << quantile;
  }
  options = {};
  options.class_weights = {1.0F, -1.0F};
  EXPECT_EQ(Loss::create(options, Task::kBinary, 1).code(), Code::kInvalidArgument);
  options = {};
  options.label_smoothing = 1.0F;
  EXPECT_EQ(Loss::create(options, Task::kBinary, 1).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace freshet
