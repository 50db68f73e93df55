#include "learners/training/strategies/averaged_pair.h"

#include <algorithm>

#include <fmt/core.h>

#include "learners/training/strategies/distillation.h"

namespace freshet::strategies {

Status AveragedPair::check(const ClsErOptions& options, std::string_view strategy) {
  for (const float factor : {options.alpha, options.beta}) {
    if (factor >= 0.0F && std::isfinite(factor)) continue;
    return invalid_argument(fmt::format("learning.{}: weights of the loss must be numbers of 0 or more", strategy));
  }
  for (const float share :
       {options.stable_decay, options.plastic_decay, options.stable_probability, options.plastic_probability}) {
    if (share >= 0.0F && share <= 1.0F) continue;
    return invalid_argument(fmt::format("learning.{}: decays and probabilities must be between 0 and 1", strategy));
  }
  return Status::ok();
}

Status AveragedPair::attach(TrainedWeights& weights) {
  stable_ = TRY(weights.copy());
  plastic_ = TRY(weights.copy());
  return Status::ok();
}

Status AveragedPair::add_consistency(const Loss& loss, const RowRange& part, std::span<const float> outputs,
                                     float factor, std::span<float> gradients) {
  const std::size_t rows = part.size();
  if (rows == 0) return Status::ok();
  const std::size_t width = outputs.size() / rows;
  const auto stable = TRY(stable_->forward({&part, 1}));
  const auto plastic = TRY(plastic_->forward({&part, 1}));
  const auto targets = room(targets_, outputs.size());  // till then, room for gradients that nobody wants
  RowRange judged = part;
  judged.losses = room(stable_losses_, rows).data();
  part_loss(loss, judged, stable, 0.0F, targets);
  judged.losses = room(plastic_losses_, rows).data();
  part_loss(loss, judged, plastic, 0.0F, targets);
  for (std::size_t row = 0; row < rows; ++row) {
    const auto better = plastic_losses_[row] < stable_losses_[row] ? plastic : stable;
    std::ranges::copy(better.subspan(row * width, width), targets.begin() + static_cast<std::ptrdiff_t>(row * width));
  }
  add_squared_distance(part, outputs, targets, width, share_of(rows * width, factor), gradients);
  return Status::ok();
}

Status AveragedPair::went_back() {
  TRY(stable_->take());
  return plastic_->take();
}

Status AveragedPair::after_step() {
  ++steps_;
  const float ramp = 1.0F - 1.0F / (static_cast<float>(steps_) + 1.0F);
  // Both chances are drawn at every step, so that the one does not shift the other's.
  const bool moves_plastic = rng_.uniform() < static_cast<double>(options_.plastic_probability);
  const bool moves_stable = rng_.uniform() < static_cast<double>(options_.stable_probability);
  if (moves_plastic) TRY(plastic_->approach(1.0F - std::min(ramp, options_.plastic_decay)));
  if (moves_stable) TRY(stable_->approach(1.0F - std::min(ramp, options_.stable_decay)));
  return Status::ok();
}

Status AveragedPair::save(ByteWriter& out) const {
  out.put(steps_);
  for (const auto word : rng_.state()) out.put(word);
  TRY(stable_->save(out));
  return plastic_->save(out);
}

Status AveragedPair::load(ByteReader& in) {
  steps_ = in.get<std::uint64_t>();
  Rng::State state;
  for (auto& word : state) word = in.get<std::uint64_t>();
  rng_.set_state(state);
  TRY(stable_->load(in));
  return plastic_->load(in);
}

}  // namespace freshet::strategies
