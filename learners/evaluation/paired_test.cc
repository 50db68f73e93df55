#include "learners/evaluation/paired_test.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace freshet {
namespace {

constexpr double kScale = 4;       // differences up to so many mean losses count in full
constexpr double kStakeMax = 0.5;  // of the fortune, on one event
constexpr double kPriorVariance = 0.25;
constexpr double kSmallestScale = 1e-9;

}  // namespace

PairedTest::PairedTest(double alpha) : threshold_(-std::log(alpha)) {}

void PairedTest::Bet::place(double stake, double outcome) {
  fortune += std::log1p(stake * outcome);
  highest = std::max(highest, fortune);
}

void PairedTest::add(std::span<const float> challenger, std::span<const float> incumbent,
                     std::span<const float> weights) {
  for (std::size_t i = 0; i < challenger.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    const double weight = weights[i];
    const double before = weight * static_cast<double>(incumbent[i]);
    double difference = weight * static_cast<double>(challenger[i]) - before;
    if (!std::isfinite(difference)) {
      const bool worse = !std::isfinite(challenger[i]);
      const bool better = !std::isfinite(incumbent[i]);
      difference = worse == better ? 0.0 : std::copysign(std::numeric_limits<double>::infinity(), worse ? 1.0 : -1.0);
    }
    // Everything that the bet on this row uses, but its outcome, comes from rows before it.
    const auto count = static_cast<double>(rows_);
    const double scale = rows_ == 0 ? 0.0 : std::max(kScale * incumbent_loss_ / count, kSmallestScale);
    const double share = scale > 0 ? std::clamp(difference / scale, -1.0, 1.0) : 0.0;
    if (rows_ >= kBurnInRows) {
      const double mean = shares_ / (count + 1);
      const double variance = (kPriorVariance + squares_) / (count + 1) - mean * mean;
      const double stake = std::min(std::abs(mean) / (variance + mean * mean), kStakeMax);
      (mean > 0 ? worse_ : better_).place(stake, mean > 0 ? share : -share);
    }
    ++rows_;
    shares_ += share;
    squares_ += share * share;
    difference_ += share * scale;
    incumbent_loss_ += std::isfinite(before) ? (scale > 0 ? std::min(before, kScale * scale) : before) : scale;
  }
}

double PairedTest::mean_difference() const { return rows_ == 0 ? 0.0 : difference_ / static_cast<double>(rows_); }

void PairedTest::clear() {
  rows_ = 0;
  incumbent_loss_ = difference_ = shares_ = squares_ = 0;
  worse_ = better_ = {};
}

void PairedTest::save(ByteWriter& out) const {
  out.put(rows_);
  for (const double value : {incumbent_loss_, difference_, shares_, squares_, worse_.fortune, worse_.highest,
                             better_.fortune, better_.highest}) {
    out.put(value);
  }
}

Status PairedTest::load(ByteReader& in) {
  rows_ = in.get<std::uint64_t>();
  for (double* value : {&incumbent_loss_, &difference_, &shares_, &squares_, &worse_.fortune, &worse_.highest,
                        &better_.fortune, &better_.highest}) {
    *value = in.get<double>();
  }
  return in.ok() ? Status::ok() : data_loss("a paired test is cut short");
}

}  // namespace freshet
