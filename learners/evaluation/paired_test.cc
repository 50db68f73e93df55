#include "learners/evaluation/paired_test.h"

#include <algorithm>
#include <cmath>

namespace freshet {
namespace {

constexpr double kStakeMax = 0.5;  // of the fortune, on one event
constexpr double kPriorVariance = 0.25;
constexpr double kNotFinite = 100;  // what a loss that is not finite counts as, in units of the loss

}  // namespace

PairedTest::PairedTest(double alpha) : threshold_(-std::log(alpha)) {}

void PairedTest::Bet::place(double stake, double outcome) {
  fortune += std::log1p(stake * outcome);
  highest = std::max(highest, fortune);
}

void PairedTest::add(std::span<const float> challenger, std::span<const float> incumbent,
                     std::span<const float> weights, std::span<const float> bounds) {
  for (std::size_t i = 0; i < challenger.size(); ++i) {
    if (!(weights[i] > 0)) continue;
    const double weight = weights[i];
    double difference = weight * (static_cast<double>(challenger[i]) - static_cast<double>(incumbent[i]));
    if (!std::isfinite(difference)) {
      const bool worse = !std::isfinite(challenger[i]);
      const bool better = !std::isfinite(incumbent[i]);
      difference = worse == better ? 0.0 : (worse ? kNotFinite : -kNotFinite);
    }
    // Everything that the bet on this row uses, but its outcome, is known before its label.
    if (!bounds.empty()) scale_ = std::max(scale_, weight * static_cast<double>(bounds[i]));
    const auto count = static_cast<double>(rows_);
    const double share = scale_ > 0 ? std::clamp(difference / scale_, -1.0, 1.0) : 0.0;
    if (!bounds.empty() || rows_ >= kBurnInRows) {
      const double mean = shares_ / (count + 1);
      const double variance = (kPriorVariance + squares_) / (count + 1) - mean * mean;
      const double stake = std::min(std::abs(mean) / (variance + mean * mean), kStakeMax);
      (mean > 0 ? worse_ : better_).place(stake, mean > 0 ? share : -share);
    }
    if (bounds.empty()) scale_ = std::max(scale_, std::abs(difference));
    ++rows_;
    shares_ += share;
    squares_ += share * share;
    difference_ += difference;
  }
}

double PairedTest::mean_difference() const { return rows_ == 0 ? 0.0 : difference_ / static_cast<double>(rows_); }

void PairedTest::clear() {
  rows_ = 0;
  scale_ = difference_ = shares_ = squares_ = 0;
  worse_ = better_ = {};
}

void PairedTest::save(ByteWriter& out) const {
  out.put(rows_);
  for (const double value :
       {scale_, difference_, shares_, squares_, worse_.fortune, worse_.highest, better_.fortune, better_.highest}) {
    out.put(value);
  }
}

Status PairedTest::load(ByteReader& in) {
  rows_ = in.get<std::uint64_t>();
  for (double* value : {&scale_, &difference_, &shares_, &squares_, &worse_.fortune, &worse_.highest, &better_.fortune,
                        &better_.highest}) {
    *value = in.get<double>();
  }
  return in.ok() ? Status::ok() : data_loss("a paired test is cut short");
}

}  // namespace freshet
