#include "learners/evaluation/model_comparison.h"

#include <algorithm>
#include <cmath>

#include "learners/evaluation/losses.h"

namespace freshet {
namespace {

float log_of(float probability) { return std::log(std::clamp(probability, kProbabilityMin, 1.0F)); }

}  // namespace

Status ModelComparison::compare(const Predictor& challenger, const Predictor& incumbent, const EncodedBatch& rows,
                                std::size_t begin) {
  const std::size_t count = rows.size() - begin;
  const std::span<const float> labels = std::span(rows.labels).subspan(begin, count);
  TRY(challenger.predict(rows, begin, rows.size(), challenger_));
  TRY(incumbent.predict(rows, begin, rows.size(), incumbent_));
  challenger_losses_.resize(count);
  incumbent_losses_.resize(count);
  per_sample_losses(task_, challenger_, labels, challenger_losses_, loss_);
  per_sample_losses(task_, incumbent_, labels, incumbent_losses_, loss_);
  bounds_.clear();
  if (task_ != Task::kRegression) find_bounds(0, bounds_);
  return Status::ok();
}

void ModelComparison::flattened_bounds(double share, std::vector<float>& bounds) const { find_bounds(share, bounds); }

void ModelComparison::find_bounds(double share, std::vector<float>& bounds) const {
  const std::size_t width = challenger_.width;
  const float blind = 1.0F / static_cast<float>(std::max<std::size_t>(2, width));
  const auto part = static_cast<float>(share);
  const auto gap = [&](float challenger, float incumbent) {
    return std::abs(log_of(challenger) - log_of((1.0F - part) * incumbent + part * blind));
  };
  bounds.assign(challenger_.rows, 0.0F);
  for (std::size_t row = 0; row < challenger_.rows; ++row) {
    for (std::size_t i = row * width; i < (row + 1) * width; ++i) {
      const float a = challenger_.values[i];
      const float b = incumbent_.values[i];
      bounds[row] = std::max(bounds[row], gap(a, b));
      if (width == 1) bounds[row] = std::max(bounds[row], gap(1.0F - a, 1.0F - b));
    }
  }
}

}  // namespace freshet
