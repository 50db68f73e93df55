#include "learners/tuning/gaussian_process.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "learners/tuning/cholesky.h"

namespace freshet::tuning {

namespace {

double matern(double square) {
  const double s = std::sqrt(5.0 * square);
  return (1.0 + s + s * s / 3.0) * std::exp(-s);
}

}  // namespace

GaussianProcess::GaussianProcess(std::vector<std::uint32_t> groups)
    : groups_(std::move(groups)),
      group_count_(groups_.empty() ? 0 : std::size_t{*std::max_element(groups_.begin(), groups_.end())} + 1) {}

GpHyperparameters GaussianProcess::defaults() const { return {1.0, 1e-2, std::vector<double>(group_count_, 0.5)}; }

void GaussianProcess::observe(std::span<const double> points, std::span<const double> targets,
                              std::span<const double> weights) {
  points_.assign(points.begin(), points.end());
  targets_.assign(targets.begin(), targets.end());
  weights_.assign(weights.begin(), weights.end());
}

double GaussianProcess::scaled_square(const double* a, const double* b, const GpHyperparameters& at) const {
  double sum = 0.0;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const double scaled = (a[i] - b[i]) / at.lengths[groups_[i]];
    sum += scaled * scaled;
  }
  return sum;
}

void GaussianProcess::covariance(const GpHyperparameters& at, double added) {
  const std::size_t n = size();
  factor_.resize(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      factor_[i * n + j] = at.variance * matern(scaled_square(&points_[i * width()], &points_[j * width()], at));
    }
    factor_[i * n + i] = at.variance + at.noise / weights_[i] + added;
  }
}

double GaussianProcess::log_marginal_likelihood(const GpHyperparameters& at, std::span<double> gradient) {
  const std::size_t n = size();
  std::fill(gradient.begin(), gradient.end(), 0.0);
  covariance(at, 0.0);
  if (!cholesky_factor(factor_, n)) return -std::numeric_limits<double>::infinity();
  alpha_ = targets_;
  solve_lower(factor_, n, alpha_);
  solve_lower_transposed(factor_, n, alpha_);
  double likelihood = -0.5 * static_cast<double>(n) * std::log(2.0 * std::numbers::pi);
  for (std::size_t i = 0; i < n; ++i) likelihood -= 0.5 * targets_[i] * alpha_[i] + std::log(factor_[i * n + i]);
  if (gradient.empty()) return likelihood;

  // 1/2 trace((alpha alpha^T - K^-1) dK); what is off the diagonal stands twice.
  inverse_.resize(n * n);
  room_.resize(n * n);
  cholesky_inverse(factor_, n, inverse_, room_);
  std::vector<double> parts(group_count_);
  for (std::size_t i = 0; i < n; ++i) {
    const double diagonal = 0.5 * (alpha_[i] * alpha_[i] - inverse_[i * n + i]);
    gradient[0] += diagonal * at.variance;
    gradient[1] += diagonal * at.noise / weights_[i];
    for (std::size_t j = 0; j < i; ++j) {
      std::fill(parts.begin(), parts.end(), 0.0);
      double square = 0.0;
      for (std::size_t c = 0; c < width(); ++c) {
        const double scaled = (points_[i * width() + c] - points_[j * width() + c]) / at.lengths[groups_[c]];
        parts[groups_[c]] += scaled * scaled;
        square += scaled * scaled;
      }
      const double s = std::sqrt(5.0 * square);
      const double decay = at.variance * std::exp(-s);
      const double factor = alpha_[i] * alpha_[j] - inverse_[i * n + j];
      gradient[0] += factor * decay * (1.0 + s + s * s / 3.0);
      const double by_length = factor * decay * (5.0 / 3.0) * (1.0 + s);
      for (std::size_t g = 0; g < group_count_; ++g) gradient[2 + g] += by_length * parts[g];
    }
  }
  return likelihood;
}

GpHyperparameters GaussianProcess::fit(GpHyperparameters from, int steps) {
  constexpr double kGrow = 1.2, kShrink = 0.5, kStepMost = 1.0, kStepLeast = 1e-4;
  const std::size_t count = 2 + group_count_;
  const auto low = [](std::size_t i) {
    return std::log(i == 0 ? kVarianceLeast : i == 1 ? kNoiseLeast : kLengthLeast);
  };
  const auto high = [](std::size_t i) { return std::log(i == 0 ? kVarianceMost : i == 1 ? kNoiseMost : kLengthMost); };
  std::vector<double> at(count), gradient(count), last(count, 0.0), step(count, 0.2);
  at[0] = std::log(from.variance);
  at[1] = std::log(from.noise);
  for (std::size_t g = 0; g < group_count_; ++g) at[2 + g] = std::log(from.lengths[g]);
  GpHyperparameters best = from;
  double most = -std::numeric_limits<double>::infinity();
  for (int i = 0; i < steps; ++i) {
    for (std::size_t p = 0; p < count; ++p) at[p] = std::clamp(at[p], low(p), high(p));
    GpHyperparameters now{std::exp(at[0]), std::exp(at[1]), std::vector<double>(group_count_)};
    for (std::size_t g = 0; g < group_count_; ++g) now.lengths[g] = std::exp(at[2 + g]);
    const double likelihood = log_marginal_likelihood(now, gradient);
    if (likelihood > most) {
      most = likelihood;
      best = now;
    }
    for (std::size_t p = 0; p < count; ++p) {
      const double agreement = gradient[p] * last[p];
      if (agreement > 0.0) step[p] = std::min(step[p] * kGrow, kStepMost);
      if (agreement < 0.0) step[p] = std::max(step[p] * kShrink, kStepLeast);
      last[p] = agreement < 0.0 ? 0.0 : gradient[p];
      if (gradient[p] != 0.0 && agreement >= 0.0) at[p] += gradient[p] > 0.0 ? step[p] : -step[p];
    }
  }
  return best;
}

bool GaussianProcess::condition(const GpHyperparameters& hyperparameters) {
  constexpr double kAdded[] = {0.0, 1e-8, 1e-6, 1e-4};
  conditioned_ = hyperparameters;
  for (const double added : kAdded) {
    covariance(hyperparameters, added);
    if (!cholesky_factor(factor_, size())) continue;
    added_ = added;
    alpha_ = targets_;
    solve_lower(factor_, size(), alpha_);
    solve_lower_transposed(factor_, size(), alpha_);
    return true;
  }
  return false;
}

GpPrediction GaussianProcess::predict(std::span<const double> point) {
  const std::size_t n = size();
  row_.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    row_[i] = conditioned_.variance * matern(scaled_square(point.data(), &points_[i * width()], conditioned_));
  }
  GpPrediction prediction;
  prediction.mean = std::inner_product(row_.begin(), row_.end(), alpha_.begin(), 0.0);
  solve_lower(factor_, n, row_);
  const double explained = std::inner_product(row_.begin(), row_.end(), row_.begin(), 0.0);
  prediction.deviation = std::sqrt(std::max(conditioned_.variance - explained, 0.0));
  return prediction;
}

bool GaussianProcess::append(std::span<const double> point, double target, double weight) {
  const std::size_t n = size();
  std::vector<double> row(n + 1);
  for (std::size_t i = 0; i < n; ++i) {
    row[i] = conditioned_.variance * matern(scaled_square(point.data(), &points_[i * width()], conditioned_));
  }
  solve_lower(factor_, n, std::span(row).first(n));
  const double explained = std::inner_product(row.begin(), row.end() - 1, row.begin(), 0.0);
  const double square = conditioned_.variance + conditioned_.noise / weight + added_ - explained;
  if (!(square > 0.0)) return false;
  row[n] = std::sqrt(square);
  std::vector<double> grown((n + 1) * (n + 1));
  for (std::size_t i = 0; i < n; ++i) std::copy_n(&factor_[i * n], n, &grown[i * (n + 1)]);
  std::copy(row.begin(), row.end(), grown.end() - static_cast<std::ptrdiff_t>(n + 1));
  factor_ = std::move(grown);
  points_.insert(points_.end(), point.begin(), point.end());
  targets_.push_back(target);
  weights_.push_back(weight);
  alpha_ = targets_;
  solve_lower(factor_, n + 1, alpha_);
  solve_lower_transposed(factor_, n + 1, alpha_);
  return true;
}

double expected_improvement(const GpPrediction& prediction, double best) {
  const double gain = prediction.mean - best;
  if (!(prediction.deviation > 0.0)) return std::max(gain, 0.0);
  const double z = gain / prediction.deviation;
  const double density = std::exp(-0.5 * z * z) / std::sqrt(2.0 * std::numbers::pi);
  const double below = 0.5 * std::erfc(-z / std::numbers::sqrt2);
  return std::max(gain * below + prediction.deviation * density, 0.0);
}

double normal_quantile(double probability) {
  const double p = std::clamp(probability, 1e-12, 1.0 - 1e-12);
  double x = std::log(p / (1.0 - p)) / 1.702;  // the logistic distribution is near it
  for (int i = 0; i < 64; ++i) {               // Newton's steps, held to where the density is not yet nothing
    const double error = 0.5 * std::erfc(-x / std::numbers::sqrt2) - p;
    const double density = std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi);
    const double step = std::clamp(error / std::max(density, 1e-300), -0.5, 0.5);
    x -= step;
    if (std::abs(step) < 1e-15 * (1.0 + std::abs(x))) break;
  }
  return x;
}

}  // namespace freshet::tuning
