#include "bench/drift/streams.h"

#include <algorithm>
#include <cmath>

namespace freshet::bench {
namespace {

constexpr double kRate = 0.1;

// From 0 at the change to 1 so many events later.
double share_since(std::uint64_t position, std::uint64_t change, double events) {
  if (position < change) return 0;
  return std::min(1.0, static_cast<double>(position - change) / events);
}

}  // namespace

double DriftStream::rate() {
  const bool changed = position_ >= at_;
  switch (shape_) {
    case Shape::kAbrupt:
      return changed ? 0.3 : kRate;
    case Shape::kSmall:
      return changed ? 0.15 : kRate;
    case Shape::kGradual:
      return rng_.uniform() < share_since(position_, at_, 2000) ? 0.3 : kRate;
    case Shape::kRamp:
      return kRate + 0.2 * share_since(position_, at_, 5000);
    case Shape::kSpike:
      return changed ? 0.4 - 0.3 * share_since(position_, at_, 2000) : kRate;
    case Shape::kWobble:
      if (position_ % 1024 == 0) state_ = 0.01 * (2 * rng_.uniform() - 1);
      return kRate + state_;
    case Shape::kCorrelated:
      state_ = 0.9 * state_ + 0.01 * (2 * rng_.uniform() - 1);
      return kRate + state_;
    case Shape::kPeriodic:
      return kRate * (1 + 0.5 * std::sin(2 * M_PI * static_cast<double>(position_ % 5000) / 5000));
    case Shape::kLearning:
      return kRate + 0.4 / (1 + static_cast<double>(position_) / 1000);
    case Shape::kSteady:
    case Shape::kHeavy:
      break;
  }
  return kRate;
}

ScoredNumbers DriftStream::next() {
  const bool wrong = rng_.uniform() < rate();
  ++position_;
  double loss = -std::log(1 - rng_.uniform());
  if (shape_ == Shape::kHeavy) loss = std::pow(1 - rng_.uniform(), -1 / 2.5) - 1;
  if (shape_ == Shape::kCorrelated) loss += 4 * state_;
  // Right: small losses; wrong: from 0.7 on.
  const double scaled = wrong ? 0.7 + loss : 0.15 * loss;
  return {static_cast<float>(scaled), static_cast<float>(wrong)};
}

}  // namespace freshet::bench
