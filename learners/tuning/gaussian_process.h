// GaussianProcess: regression with a Matern 5/2 kernel and a length scale for each group of coordinates (Rasmussen and
// Williams, 2006, chapters 2, 4 and 5):
//   k(x, x') = variance * (1 + s + s^2 / 3) * exp(-s),  s^2 = 5 * sum over coordinates of ((x - x') / length)^2
// Observations carry noise of variance `noise`, divided by the weight of each.
//
// Threads: one owner.  Owns: the data, the factor of their covariance, room to work in.
// Failure: condition() answers false where the covariance is not positive definite at any of the added diagonals tried.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace freshet::tuning {

struct GpHyperparameters {
  double variance = 1.0;
  double noise = 1e-2;
  std::vector<double> lengths;  // of each group
  bool operator==(const GpHyperparameters&) const = default;
};

struct GpPrediction {
  double mean = 0.0;
  double deviation = 0.0;  // of the function, without the noise of an observation
};

class GaussianProcess {
 public:
  // The bounds within which fit() looks, of targets with mean 0 and variance 1 and coordinates in [0, 1].
  static constexpr double kLengthLeast = 0.05, kLengthMost = 20.0;
  static constexpr double kVarianceLeast = 0.05, kVarianceMost = 20.0;
  static constexpr double kNoiseLeast = 1e-6, kNoiseMost = 1.0;

  // groups: of each coordinate, the number of its length scale; numbered from 0 without gaps.
  explicit GaussianProcess(std::vector<std::uint32_t> groups);
  std::size_t width() const { return groups_.size(); }
  GpHyperparameters defaults() const;

  // points: [targets.size(), width()].
  void observe(std::span<const double> points, std::span<const double> targets, std::span<const double> weights);
  std::size_t size() const { return targets_.size(); }

  // The logarithm of the probability of the targets, and its gradient by the logarithms of variance, noise and lengths,
  // in this order. Minus infinity where the covariance is not positive definite.
  double log_marginal_likelihood(const GpHyperparameters& at, std::span<double> gradient);
  // Climbs it from `from` within the bounds by so many steps of resilient propagation (Riedmiller and Braun, 1993; for
  // Gaussian processes: Blum and Riedmiller, 2013), which needs no line search; the best point seen.
  GpHyperparameters fit(GpHyperparameters from, int steps);

  bool condition(const GpHyperparameters& hyperparameters);
  GpPrediction predict(std::span<const double> point);
  // One more observation under the same hyperparameters: a row more in the factor.
  bool append(std::span<const double> point, double target, double weight);

 private:
  double scaled_square(const double* a, const double* b, const GpHyperparameters& at) const;
  void covariance(const GpHyperparameters& at, double added);

  std::vector<std::uint32_t> groups_;
  std::size_t group_count_;
  std::vector<double> points_, targets_, weights_;
  GpHyperparameters conditioned_;
  double added_ = 0.0;
  std::vector<double> factor_, alpha_, row_, inverse_, room_;
};

// For maximisation: how much better than `best` a normal value is expected to be (Jones, Schonlau and Welch, 1998).
double expected_improvement(const GpPrediction& prediction, double best);
// Of a normal distribution with mean 0 and variance 1.
double normal_quantile(double probability);

}  // namespace freshet::tuning
