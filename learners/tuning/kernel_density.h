// KernelDensity: where configurations lie in a space: a product over the spaces of a normal kernel cut off at the ends
// for numbers and of Aitchison and Aitken's (1976) for choices, each observation with a weight. Bandwidths follow the
// normal reference rule, as in BOHB.
//
// Threads: one owner.  Owns: points and bandwidths.  Failure: none; of no points it is uniform.
#pragma once

#include <span>
#include <vector>

#include "core/rng.h"
#include "learners/tuning/parameter_space.h"

namespace freshet::tuning {

class KernelDensity {
 public:
  explicit KernelDensity(const ParameterSpace& space) : space_(&space) {}

  // What is not active in a configuration is drawn uniformly, so that it neither attracts nor repels.
  void observe(std::span<const Configuration> configurations, std::span<const double> weights, Rng& rng);
  double log_density(const Configuration& configuration) const;
  // Near one of the points, with the bandwidths `wider` times as wide.
  Configuration sample(Rng& rng, double wider) const;

 private:
  double coordinate(std::size_t i, double value) const;  // of a number, or of a choice in order, in [0, 1]

  const ParameterSpace* space_;
  std::vector<double> points_;      // [count, space.size()]: coordinates, or indices of choices
  std::vector<double> weights_;     // that sum to 1
  std::vector<double> bandwidths_;  // of each space
};

}  // namespace freshet::tuning
