#include "learners/drift/confirmation.h"

#include <algorithm>
#include <cmath>

namespace freshet {

Confirmation::Confirmation(const Baseline& baseline, ChangeDirection direction, std::uint64_t position,
                           std::uint64_t not_before)
    : before_(baseline.events),
      long_run_variance_(baseline.long_run_variance),
      alarm_(position),
      change_(position + 1 - std::min(baseline.events_since, position + 1)),
      not_before_(not_before),
      direction_(direction) {}

double Confirmation::deviations() const {
  if (after_.count < 2) return 0;
  const double error =
      std::sqrt(long_run_variance_ / before_.count + std::max(long_run_variance_, after_.variance()) / after_.count);
  const double moved = after_.mean - before_.mean;
  if (error > 0) return moved / error;
  // Constants before and after: any difference is beyond doubt.
  return moved == 0 ? 0 : std::copysign(1e9, moved);
}

Verdict Confirmation::add(std::uint64_t position, double value, const ConfirmationOptions& options) {
  after_.add(value);
  const auto count = static_cast<std::uint64_t>(after_.count);
  if (count % BlockHistory::kBlockEvents != 0 || position < not_before_) return Verdict::kWaiting;
  if (count >= options.least_events) {
    const double apart = deviations();
    const bool counts = direction_ == ChangeDirection::kBoth || (direction_ == ChangeDirection::kRise) == (apart > 0);
    const double moved = std::fabs(after_.mean - before_.mean);
    if (counts && std::fabs(apart) >= options.deviations && moved >= options.effect * std::sqrt(before_.variance())) {
      return Verdict::kConfirmed;
    }
  }
  const bool late = position >= std::max(alarm_, not_before_) + options.within_events;
  return late ? Verdict::kDismissed : Verdict::kWaiting;
}

void Confirmation::save(ByteWriter& out) const {
  before_.save(out);
  after_.save(out);
  out.put(long_run_variance_);
  out.put(alarm_);
  out.put(change_);
  out.put(not_before_);
  out.put(direction_);
}

bool Confirmation::load(ByteReader& in) {
  const bool sound = before_.load(in) && after_.load(in);
  long_run_variance_ = in.get<double>();
  alarm_ = in.get<std::uint64_t>();
  change_ = in.get<std::uint64_t>();
  not_before_ = in.get<std::uint64_t>();
  direction_ = in.get<ChangeDirection>();
  return sound && in.ok() && long_run_variance_ >= 0 && direction_ <= ChangeDirection::kBoth;
}

}  // namespace freshet
