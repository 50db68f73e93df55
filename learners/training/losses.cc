#include "learners/training/losses.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/core.h>

namespace freshet {

namespace {
constexpr std::array<std::string_view, 6> kLossNames = {"cross_entropy", "mse", "mae", "huber", "quantile", "poisson"};

float sign_of(float error) { return error > 0.0F ? 1.0F : (error < 0.0F ? -1.0F : error); }  // of a NaN: that

float regression_loss(const LossOptions& options, float value, float label, float* gradient) {
  const float error = value - label;
  if (options.kind == LossKind::kMae) {
    *gradient = sign_of(error);
    return std::abs(error);
  }
  if (options.kind == LossKind::kHuber) {
    const float delta = options.huber_delta;
    if (std::abs(error) <= delta) {
      *gradient = error;
      return 0.5F * error * error;
    }
    *gradient = delta * sign_of(error);
    return delta * (std::abs(error) - 0.5F * delta);
  }
  if (options.kind == LossKind::kQuantile) {
    const float share = error > 0.0F ? 1.0F - options.quantile : options.quantile;
    *gradient = share * sign_of(error);
    return share * std::abs(error);
  }
  *gradient = 2.0F * error;
  return error * error;
}

// With d the logarithm of rate / label, exp(output) - label * output less its value at d = 0 is label * (e^d - 1 - d):
// written so, large counts do not cancel.
float poisson_loss(float output, float label, float* gradient) {
  const float rate = std::exp(output);
  *gradient = rate - label;
  if (label == 0.0F) return rate;
  const float apart = output - std::log(label);
  return label * (std::expm1(apart) - apart);
}

}  // namespace

std::string_view loss_name(LossKind kind) { return kLossNames.at(static_cast<std::size_t>(kind)); }

Result<LossKind> parse_loss(std::string_view name) {
  for (std::size_t i = 0; i < kLossNames.size(); ++i) {
    if (kLossNames.at(i) == name) return static_cast<LossKind>(i);
  }
  return invalid_argument(
      fmt::format("no loss \"{}\"; there are cross_entropy, mse, mae, huber, quantile and poisson", name));
}

LossKind default_loss(Task task) { return task == Task::kRegression ? LossKind::kMse : LossKind::kCrossEntropy; }

OutputLink output_link(LossKind kind) { return kind == LossKind::kPoisson ? OutputLink::kLog : OutputLink::kIdentity; }

float loss_of_prediction(const LossOptions& options, float prediction, float label) {
  float gradient = 0.0F;
  if (options.kind != LossKind::kPoisson) return regression_loss(options, prediction, label, &gradient);
  // A rate of 0 is never served, but one so small that it rounds to it is.
  constexpr float kRateMin = 1e-37F;
  const float rate = prediction < kRateMin ? kRateMin : prediction;
  return std::max(poisson_loss(std::log(rate), std::max(label, 0.0F), &gradient), 0.0F);
}

Result<Loss> Loss::create(LossOptions options, Task task, std::uint32_t outputs) {
  const bool classifies = task != Task::kRegression;
  if (classifies != (options.kind == LossKind::kCrossEntropy)) {
    return invalid_argument(
        fmt::format("the loss {} does not fit a {} task", loss_name(options.kind), task_name(task)));
  }
  if (!(options.label_smoothing >= 0.0F && options.label_smoothing < 1.0F)) {
    return invalid_argument(fmt::format("label smoothing is {}; it must be in [0, 1)", options.label_smoothing));
  }
  if (!(options.huber_delta > 0.0F)) return invalid_argument("the Huber loss needs a delta above 0");
  if (!(options.quantile > 0.0F && options.quantile < 1.0F)) {
    return invalid_argument(fmt::format("the quantile is {}; it must be between 0 and 1", options.quantile));
  }
  const std::size_t classes = task == Task::kBinary ? 2 : outputs;
  if (!options.class_weights.empty() && (!classifies || options.class_weights.size() != classes)) {
    return invalid_argument(
        fmt::format("{} class weights for {} classes", options.class_weights.size(), classifies ? classes : 0));
  }
  for (const float weight : options.class_weights) {
    if (!(weight >= 0.0F) || !std::isfinite(weight)) {
      return invalid_argument(fmt::format("a class weight is {}; it must be a number of 0 or more", weight));
    }
  }
  return Loss(std::move(options), task, outputs);
}

bool Loss::usable(float label, float weight) const {
  if (!std::isfinite(label) || !std::isfinite(weight) || weight < 0.0F) return false;
  switch (task_) {
    case Task::kBinary:
      return label >= 0.0F && label <= 1.0F;
    case Task::kMulticlass:
      return label >= 0.0F && label < static_cast<float>(outputs_) && label == std::floor(label);
    case Task::kRegression:
      return options_.kind != LossKind::kPoisson || label >= 0.0F;
  }
  return false;
}

float Loss::class_weight(float label) const {
  if (options_.class_weights.empty() || task_ == Task::kRegression) return 1.0F;
  if (task_ == Task::kBinary) return options_.class_weights[label >= 0.5F ? 1 : 0];
  return options_.class_weights[static_cast<std::size_t>(label)];
}

// max(z, 0) - z y + log(1 + exp(-|z|)): the cross-entropy of sigmoid(z) against y, without overflow.
float Loss::binary_row(float logit, float label, float* gradient) const {
  const float target = label * (1.0F - options_.label_smoothing) + 0.5F * options_.label_smoothing;
  const float small = std::exp(-std::abs(logit));
  const float probability = (logit >= 0.0F ? 1.0F : small) / (1.0F + small);
  *gradient = probability - target;
  // std::max would turn a NaN logit into 0 and hide it from the guard.
  const float positive = logit < 0.0F ? 0.0F : logit;
  return positive - logit * target + std::log1p(small);
}

float Loss::multiclass_row(const float* logits, std::size_t label, float* gradients) const {
  const std::size_t classes = outputs_;
  float highest = logits[0];
  for (std::size_t k = 1; k < classes; ++k) highest = std::max(highest, logits[k]);
  float sum = 0.0F;
  for (std::size_t k = 0; k < classes; ++k) {
    gradients[k] = std::exp(logits[k] - highest);
    sum += gradients[k];
  }
  const float log_sum = highest + std::log(sum);
  const float spread = options_.label_smoothing / static_cast<float>(classes);
  const float own = 1.0F - options_.label_smoothing + spread;
  float loss = own * (log_sum - logits[label]);
  for (std::size_t k = 0; k < classes; ++k) {
    if (spread > 0.0F && k != label) loss += spread * (log_sum - logits[k]);
    gradients[k] = gradients[k] / sum - (k == label ? own : spread);
  }
  return loss;
}

float Loss::regression_row(float output, float label, float* gradient) const {
  if (options_.kind == LossKind::kPoisson) return poisson_loss(output, label, gradient);
  return regression_loss(options_, output, label, gradient);
}

LossSum Loss::evaluate_own(std::span<const float> outputs, std::span<const float> labels,
                           std::span<const float> weights, float scale, std::span<float> losses,
                           std::span<float> gradients) const {
  const std::size_t rows = labels.size();
  std::vector<float> targets(rows);
  std::vector<float> own(rows);
  for (std::size_t i = 0; i < rows; ++i) targets[i] = usable(labels[i], weights[i]) ? labels[i] : 0.0F;
  // Callers may give more room than these rows need.
  const std::size_t size = rows * outputs_;
  own_->evaluate(outputs.first(size), targets, own, gradients.first(std::min(size, gradients.size())));
  LossSum sum;
  for (std::size_t i = 0; i < rows; ++i) {
    const bool counts = usable(labels[i], weights[i]);
    const float weight = counts ? weights[i] * class_weight(labels[i]) : 0.0F;
    ++(counts ? sum.usable : sum.unusable);
    if (counts) sum.weighted += static_cast<double>(weight) * own[i];
    if (!losses.empty()) losses[i] = counts ? own[i] : 0.0F;
    if (gradients.empty()) continue;
    for (float& gradient : gradients.subspan(i * outputs_, outputs_))
      gradient = counts ? gradient * scale * weight : 0.0F;
  }
  return sum;
}

LossSum Loss::evaluate(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights,
                       float scale, std::span<float> losses, std::span<float> gradients) const {
  if (own_ != nullptr) return evaluate_own(outputs, labels, weights, scale, losses, gradients);
  LossSum sum;
  const std::size_t width = outputs_;
  std::array<float, 1> one{};
  std::vector<float> many;
  if (gradients.empty() && width > 1) many.resize(width);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    float* gradient = !gradients.empty() ? gradients.data() + i * width : (width > 1 ? many.data() : one.data());
    const float* output = outputs.data() + i * width;
    float loss = 0.0F;
    if (!usable(labels[i], weights[i])) {
      ++sum.unusable;
      std::fill_n(gradient, width, 0.0F);
    } else {
      ++sum.usable;
      loss = task_ == Task::kBinary       ? binary_row(*output, labels[i], gradient)
             : task_ == Task::kMulticlass ? multiclass_row(output, static_cast<std::size_t>(labels[i]), gradient)
                                          : regression_row(*output, labels[i], gradient);
      const float weight = weights[i] * class_weight(labels[i]);
      sum.weighted += static_cast<double>(weight) * loss;
      const float factor = scale * weight;
      for (std::size_t k = 0; k < width; ++k) gradient[k] *= factor;
    }
    if (!losses.empty()) losses[i] = loss;
  }
  return sum;
}

}  // namespace freshet
