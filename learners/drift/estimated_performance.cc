#include "learners/drift/estimated_performance.h"

#include <algorithm>
#include <cmath>

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 1;
constexpr double kProbabilityMin = 1e-7;  // of a loss

bool is_probability(float value) { return value >= 0 && value <= 1; }

std::size_t bin_of(float probability) {
  const auto bin = static_cast<std::size_t>(static_cast<double>(probability) * EstimatedPerformance::kBins);
  return std::min(bin, EstimatedPerformance::kBins - 1);
}

}  // namespace

void EstimatedPerformance::add_labelled(float probability, bool positive) {
  if (!is_probability(probability)) return;
  ++labelled_events_;
  Labelled& bin = labelled_[bin_of(probability)];
  const double kept = std::pow(decay_, static_cast<double>(labelled_events_ - bin.touched));
  bin.touched = labelled_events_;
  bin.weight = bin.weight * kept + 1;
  bin.positives = bin.positives * kept + (positive ? 1 : 0);
}

void EstimatedPerformance::add_unlabelled(float probability) {
  if (!is_probability(probability)) return;
  Unlabelled& bin = unlabelled_[bin_of(probability)];
  const double p = std::clamp(static_cast<double>(probability), kProbabilityMin, 1 - kProbabilityMin);
  ++bin.count;
  bin.sum += static_cast<double>(probability);
  bin.loss_if_positive -= std::log(p);
  bin.loss_if_negative -= std::log1p(-p);
}

std::array<double, EstimatedPerformance::kBins> EstimatedPerformance::calibration() const {
  struct Pool {
    double weight = 0;
    double positives = 0;
    std::size_t first = 0;
    std::size_t last = 0;
  };
  std::array<Pool, kBins> pools;
  std::size_t count = 0;
  for (std::size_t b = 0; b < kBins; ++b) {
    if (!(labelled_[b].weight > 0)) continue;
    const double kept = std::pow(decay_, static_cast<double>(labelled_events_ - labelled_[b].touched));
    pools[count++] = {labelled_[b].weight * kept, labelled_[b].positives * kept, b, b};
    // A pool whose share is below that of the one before joins it.
    for (; count > 1; --count) {
      Pool& before = pools[count - 2];
      const Pool& newest = pools[count - 1];
      if (newest.positives * before.weight >= before.positives * newest.weight) break;
      before = {before.weight + newest.weight, before.positives + newest.positives, before.first, newest.last};
    }
  }
  std::array<double, kBins> shares{};
  shares.fill(-1);
  for (std::size_t pool = 0; pool < count; ++pool) {
    const double share = pools[pool].positives / pools[pool].weight;
    for (std::size_t b = pools[pool].first; b <= pools[pool].last; ++b) shares[b] = share;
  }
  return shares;
}

double EstimatedPerformance::calibrated(float probability) const {
  const double share = calibration()[bin_of(probability)];
  return share < 0 ? static_cast<double>(probability) : share;
}

PerformanceEstimate EstimatedPerformance::estimate() const {
  const auto shares = calibration();
  PerformanceEstimate estimate;
  double right = 0;
  double loss = 0;
  for (std::size_t b = 0; b < kBins; ++b) {
    const Unlabelled& bin = unlabelled_[b];
    if (bin.count == 0) continue;
    const auto count = static_cast<double>(bin.count);
    const double share = shares[b] < 0 ? bin.sum / count : shares[b];
    const bool positive = !binary_ || b >= kBins / 2;  // what is predicted
    estimate.events += bin.count;
    right += count * (positive ? share : 1 - share);
    loss += share * bin.loss_if_positive + (1 - share) * bin.loss_if_negative;
  }
  if (estimate.events == 0) return estimate;
  estimate.accuracy = right / static_cast<double>(estimate.events);
  estimate.log_loss = loss / static_cast<double>(estimate.events);
  return estimate;
}

void EstimatedPerformance::save(ByteWriter& out) const {
  out.put(kFormat);
  out.put(labelled_events_);
  for (const Labelled& bin : labelled_) {
    out.put(bin.weight);
    out.put(bin.positives);
    out.put(bin.touched);
  }
  for (const Unlabelled& bin : unlabelled_) {
    out.put(bin.count);
    out.put(bin.sum);
    out.put(bin.loss_if_positive);
    out.put(bin.loss_if_negative);
  }
}

Status EstimatedPerformance::load(ByteReader& in) {
  bool sound = in.get<std::uint32_t>() == kFormat;
  labelled_events_ = in.get<std::uint64_t>();
  for (Labelled& bin : labelled_) {
    bin.weight = in.get<double>();
    bin.positives = in.get<double>();
    bin.touched = in.get<std::uint64_t>();
    sound = sound && bin.positives >= 0 && bin.positives <= bin.weight && bin.touched <= labelled_events_;
  }
  for (Unlabelled& bin : unlabelled_) {
    bin.count = in.get<std::uint64_t>();
    bin.sum = in.get<double>();
    bin.loss_if_positive = in.get<double>();
    bin.loss_if_negative = in.get<double>();
    sound = sound && bin.sum >= 0 && bin.loss_if_positive >= 0 && bin.loss_if_negative >= 0;
  }
  if (sound && in.ok()) return Status::ok();
  labelled_events_ = 0;
  labelled_ = {};
  unlabelled_ = {};
  return data_loss("the stored calibration of predictions is damaged");
}

}  // namespace freshet
