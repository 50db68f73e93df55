#include "learners/tuning/kernel_density.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace freshet::tuning {

namespace {

constexpr double kBandwidthLeast = 1e-3;

double normal_below(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

}  // namespace

double KernelDensity::coordinate(std::size_t i, double value) const {
  if (!space_->ordered(i)) return value;
  const auto& space = (*space_)[i];
  if (space.kind == SearchSpace::Kind::kChoice) return value / static_cast<double>(space.choices.size() - 1);
  return space_->unit_of(i, value);
}

void KernelDensity::observe(std::span<const Configuration> configurations, std::span<const double> weights, Rng& rng) {
  const std::size_t width = space_->size();
  const std::size_t count = configurations.size();
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  points_.resize(count * width);
  weights_.assign(weights.begin(), weights.end());
  for (auto& weight : weights_) weight /= total;
  for (std::size_t p = 0; p < count; ++p) {
    for (std::size_t i = 0; i < width; ++i) {
      const double value = configurations[p].values[i];
      points_[p * width + i] = coordinate(i, std::isnan(value) ? space_->value_at(i, rng.uniform()) : value);
    }
  }
  // As many points as would tell as much if all weighed the same (Kish, 1965).
  double squares = 0.0;
  for (const double weight : weights_) squares += weight * weight;
  const double effective = squares > 0.0 ? 1.0 / squares : 1.0;
  const double shrink = std::pow(effective, -1.0 / (4.0 + static_cast<double>(width)));
  bandwidths_.assign(width, kBandwidthLeast);
  for (std::size_t i = 0; i < width; ++i) {
    double mean = 0.0;
    double spread = 0.0;
    for (std::size_t p = 0; p < count; ++p) mean += weights_[p] * points_[p * width + i];
    for (std::size_t p = 0; p < count; ++p) {
      const double off = points_[p * width + i] - mean;
      spread += weights_[p] * off * off;
    }
    double bandwidth = 1.06 * std::sqrt(spread) * shrink;
    if (!space_->ordered(i)) {  // the share of a kernel that goes to the other choices
      const auto choices = static_cast<double>((*space_)[i].choices.size());
      bandwidth = std::min(bandwidth, (choices - 1.0) / choices);
    }
    bandwidths_[i] = std::max(bandwidth, kBandwidthLeast);
  }
}

double KernelDensity::log_density(const Configuration& configuration) const {
  const std::size_t width = space_->size();
  if (weights_.empty()) return 0.0;
  std::vector<double> logs(weights_.size());
  for (std::size_t p = 0; p < weights_.size(); ++p) {
    double sum = std::log(weights_[p]);
    for (std::size_t i = 0; i < width; ++i) {
      const double value = configuration.values[i];
      if (std::isnan(value)) continue;
      const double center = points_[p * width + i];
      const double at = coordinate(i, value);
      const double bandwidth = bandwidths_[i];
      if (space_->ordered(i)) {
        const double z = (at - center) / bandwidth;
        const double inside = normal_below((1.0 - center) / bandwidth) - normal_below(-center / bandwidth);
        sum += -0.5 * z * z - std::log(bandwidth * std::sqrt(2.0 * std::numbers::pi) * inside);
      } else {
        const auto choices = static_cast<double>((*space_)[i].choices.size());
        if (choices > 1.0) sum += std::log(at == center ? 1.0 - bandwidth : bandwidth / (choices - 1.0));
      }
    }
    logs[p] = sum;
  }
  const double most = *std::max_element(logs.begin(), logs.end());
  double total = 0.0;
  for (const double log : logs) total += std::exp(log - most);
  return most + std::log(total);
}

Configuration KernelDensity::sample(Rng& rng, double wider) const {
  const std::size_t width = space_->size();
  if (weights_.empty()) return space_->sample(rng);
  double rest = rng.uniform();
  std::size_t p = 0;
  while (p + 1 < weights_.size() && rest >= weights_[p]) rest -= weights_[p++];
  std::vector<double> unit(width);
  for (std::size_t i = 0; i < width; ++i) {
    const auto& space = (*space_)[i];
    const double center = points_[p * width + i];
    const auto choices = static_cast<double>(space.choices.size());
    if (space_->ordered(i)) {
      double at = -1.0;
      for (int tries = 0; tries < 64 && (at < 0.0 || at > 1.0); ++tries) {
        at = center + wider * bandwidths_[i] * normal(rng);
      }
      at = std::clamp(at, 0.0, 1.0);
      // Choices in order stand at equal distances; the unit coordinate gives each an equal part.
      if (space.kind == SearchSpace::Kind::kChoice) at = (std::round(at * (choices - 1.0)) + 0.5) / choices;
      unit[i] = at;
    } else {
      double choice = center;
      if (choices > 1.0 && rng.uniform() < std::min(wider * bandwidths_[i], 1.0)) {
        choice = static_cast<double>(rng.below(space.choices.size()));
      }
      unit[i] = (choice + 0.5) / choices;
    }
  }
  return space_->from_unit(unit);
}

}  // namespace freshet::tuning
