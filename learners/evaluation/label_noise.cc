#include "learners/evaluation/label_noise.h"

#include <algorithm>
#include <cmath>

namespace freshet {
namespace {

constexpr double kInitialCurvature = 20;  // what the initial share weighs
constexpr double kMemoryRows = 1000;      // the share forgets over about so many

}  // namespace

void LabelNoise::flatten(std::span<const float> losses, std::span<float> flattened) {
  const double blind = 1.0 / static_cast<double>(classes_);
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const auto loss = static_cast<double>(losses[i]);
    const double p = std::isfinite(loss) ? std::exp(-loss) : 0.0;
    const double mixed = (1.0 - share_) * p + share_ * blind;
    flattened[i] = static_cast<float>(-std::log(mixed));
    const double slope = (blind - p) / mixed;  // of the logarithm of the likelihood
    curvature_ += slope * slope - curvature_ / kMemoryRows;
    share_ = std::clamp(share_ + slope / (kInitialCurvature + curvature_), 1e-4, 0.999);
    ++rows_;
  }
}

void LabelNoise::clear() {
  rows_ = 0;
  share_ = kInitialShare;
  curvature_ = 0;
}

void LabelNoise::save(ByteWriter& out) const {
  out.put(rows_);
  out.put(share_);
  out.put(curvature_);
}

Status LabelNoise::load(ByteReader& in) {
  rows_ = in.get<std::uint64_t>();
  share_ = in.get<double>();
  curvature_ = in.get<double>();
  return in.ok() ? Status::ok() : data_loss("a watch for label noise is cut short");
}

}  // namespace freshet
