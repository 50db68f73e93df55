#include "learners/training/state_average.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "learners/device.h"

namespace freshet {

Result<StateAverage> StateAverage::create(const LearnerOptions& options, const EncodedLayout& layout) {
  // On the CPU, wherever the states come from: both engines read each other's.
  return StateAverage(TRY(Learner::create(options, layout, Device{})));
}

Status StateAverage::add(std::string_view state) {
  const std::uint64_t steps_before = learner_->steps();
  ByteReader in(state);
  TRY(learner_->load(in));
  if (count_ > 0 && learner_->steps() < steps_before) {
    return invalid_argument(fmt::format("a state after {} steps follows one after {}: the oldest goes first",
                                        learner_->steps(), steps_before));
  }
  std::swap(weights_, before_);
  TRY(learner_->copy_weights(weights_));
  if (!std::ranges::all_of(weights_, [](float weight) { return std::isfinite(weight); })) {
    return failed_precondition("it has weights that are not finite");
  }
  if (count_ == 0) {
    sum_.assign(weights_.size(), 0.0F);
    differs_.assign(weights_.size(), 0);
  }
  if (weights_.size() != sum_.size()) {
    return failed_precondition(
        fmt::format("it has {} weights, the state before it {}: another architecture", weights_.size(), sum_.size()));
  }
  for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += weights_[i];
  for (std::size_t i = 0; count_ > 0 && i < sum_.size(); ++i) {
    if (weights_[i] != before_[i]) differs_[i] = 1;
  }
  ++count_;
  return Status::ok();
}

Result<std::unique_ptr<Learner>> StateAverage::take() {
  if (count_ == 0) return invalid_argument("an average of no state");
  const auto count = static_cast<float>(count_);
  // A weight that is everywhere the same stays it to the bit, so that rows that never moved are known by it.
  for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] = differs_[i] != 0 ? sum_[i] / count : weights_[i];
  TRY(learner_->take_weights(sum_));
  count_ = 0;
  return std::move(learner_);
}

}  // namespace freshet
