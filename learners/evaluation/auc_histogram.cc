#include "learners/evaluation/auc_histogram.h"

#include <cmath>

namespace freshet {

void AucHistogram::merge(const AucHistogram& other) {
  for (std::uint32_t b = other.lowest_; b <= other.highest_ && b < kBins; ++b) {
    bins_[b][0] += other.bins_[b][0];
    bins_[b][1] += other.bins_[b][1];
  }
  lowest_ = std::min(lowest_, other.lowest_);
  highest_ = std::max(highest_, other.highest_);
}

void AucHistogram::clear() {
  for (std::uint32_t b = lowest_; b <= highest_ && b < kBins; ++b) bins_[b] = {};
  lowest_ = kBins;
  highest_ = 0;
}

std::optional<double> AucHistogram::auc() const {
  double negatives = 0;  // below the current bin
  double positives = 0;
  double area = 0;
  for (std::uint32_t b = lowest_; b <= highest_ && b < kBins; ++b) {
    area += bins_[b][1] * (negatives + 0.5 * bins_[b][0]);
    negatives += bins_[b][0];
    positives += bins_[b][1];
  }
  if (!(negatives > 0 && positives > 0)) return std::nullopt;
  return area / (negatives * positives);
}

std::optional<double> AucHistogram::error_bound() const {
  double negatives = 0;
  double positives = 0;
  double tied = 0;
  for (std::uint32_t b = lowest_; b <= highest_ && b < kBins; ++b) {
    tied += bins_[b][0] * bins_[b][1];
    negatives += bins_[b][0];
    positives += bins_[b][1];
  }
  if (!(negatives > 0 && positives > 0)) return std::nullopt;
  return 0.5 * tied / (negatives * positives);
}

void AucHistogram::save(ByteWriter& out) const {
  std::uint32_t used = 0;
  for (std::uint32_t b = lowest_; b <= highest_ && b < kBins; ++b) {
    if (bins_[b][0] != 0 || bins_[b][1] != 0) ++used;
  }
  out.put(used);
  for (std::uint32_t b = lowest_; b <= highest_ && b < kBins; ++b) {
    if (bins_[b][0] == 0 && bins_[b][1] == 0) continue;
    out.put(static_cast<std::uint16_t>(b));
    out.put(bins_[b][0]);
    out.put(bins_[b][1]);
  }
}

Status AucHistogram::load(ByteReader& in) {
  clear();
  const auto used = in.get<std::uint32_t>();
  if (used > kBins) return data_loss("more AUC bins than there are");
  for (std::uint32_t i = 0; i < used && in.ok(); ++i) {
    const std::uint32_t b = in.get<std::uint16_t>();
    const auto negatives = in.get<double>();
    const auto positives = in.get<double>();
    if (!(negatives >= 0 && positives >= 0 && std::isfinite(negatives) && std::isfinite(positives))) {
      return data_loss("an AUC bin holds an impossible weight");
    }
    bins_[b] = {negatives, positives};
    lowest_ = std::min(lowest_, b);
    highest_ = std::max(highest_, b);
  }
  return in.ok() ? Status::ok() : data_loss("AUC bins are cut short");
}

}  // namespace freshet
