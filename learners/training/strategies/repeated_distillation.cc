#include <array>

#include "learners/training/strategies/distillation.h"
#include "learners/training/strategies/part_losses.h"
#include "learners/training/strategies/plain_pass.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// Repeated distillation, as in the library Renate (after Zhang et al., "Class-incremental Learning via Deep Model
// Consolidation", 2020): each round trains an expert on the fresh events alone, then makes one model of the two.
//
//   1. the expert: from the model as it is, `expert_passes` over the fresh rows, the label loss
//   2. consolidation: from the model as it was, `passes` over the fresh rows and the whole memory of earlier ones, the
//      mean over rows of T^2 * KL(softmax(teacher / T) || softmax(output / T)), where the expert teaches the fresh rows
//      and the older model those of the memory
//
// Either begins with a fresh optimizer. Memory for two copies of the weights; a round costs passes over the memory,
// each with a forward pass more. Of its events only a piece is in main memory at a time (see RowFeed). A moving average
// of the weights would take in the expert's, so it is refused by the configuration.
class RepeatedDistillation final : public Strategy {
 public:
  explicit RepeatedDistillation(const RepeatedDistillationOptions& options) : options_(options) {
    phases_[0].rows = RoundPhase::Rows::kFresh;
    phases_[0].passes = options.expert_passes;
    phases_[1].rows = RoundPhase::Rows::kBoth;
    phases_[1].passes = options.passes;
    phases_[0].fresh_optimizer = phases_[1].fresh_optimizer = true;
  }
  std::string_view name() const override { return "repeated_distillation"; }
  float replay_ratio() const override { return 0.0F; }
  Status attach(TrainedWeights& weights) override {
    weights_ = &weights;
    older_ = TRY(weights.copy());
    expert_ = TRY(weights.copy());
    return Status::ok();
  }
  std::span<const RoundPhase> plan(std::uint64_t /*round*/) const override { return phases_; }

  // Both copies are made anew in each round: nothing to save.
  Status begin_phase(std::uint64_t /*round*/, std::size_t phase) override {
    consolidates_ = phase == 1;
    if (!consolidates_) return older_->take();
    TRY(expert_->take());
    return weights_->restore(*older_);
  }

  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    if (!consolidates_) return plain_pass(model, loss, batch);
    const std::array<RowRange, 2> parts = {batch.fresh, batch.replay};
    const auto outputs = TRY(model.forward(parts));
    const auto gradients = room(gradients_, outputs.size());
    const std::size_t fresh = batch.fresh.size() * model.outputs();
    // The label loss is measured, not learnt from.
    StepLoss sums;
    sums.fresh = part_loss(loss, batch.fresh, outputs.first(fresh), 0.0F, gradients);
    sums.replay = part_loss(loss, batch.replay, outputs.subspan(fresh), 0.0F, gradients.subspan(fresh));
    std::ranges::fill(gradients, 0.0F);
    const float share = share_of(batch.fresh.size() + batch.replay.size());
    if (batch.fresh.size() > 0) {
      add_distillation(model.task(), batch.fresh, outputs.first(fresh), TRY(expert_->forward({&batch.fresh, 1})),
                       model.outputs(), options_.temperature, share, gradients);
    }
    if (batch.replay.size() > 0) {
      add_distillation(model.task(), batch.replay, outputs.subspan(fresh), TRY(older_->forward({&batch.replay, 1})),
                       model.outputs(), options_.temperature, share, gradients.subspan(fresh));
    }
    TRY(model.backward(gradients));
    return sums;
  }

 private:
  RepeatedDistillationOptions options_;
  std::array<RoundPhase, 2> phases_;
  TrainedWeights* weights_ = nullptr;
  std::unique_ptr<WeightsCopy> older_, expert_;
  bool consolidates_ = false;
  std::vector<float> gradients_;  // [rows, outputs]
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_repeated_distillation(const StrategyOptions& options) {
  const RepeatedDistillationOptions& settings = options.settings.repeated_distillation;
  if (settings.passes == 0 || settings.expert_passes == 0) {
    return invalid_argument("learning.repeated_distillation: passes and expert_passes must be 1 or more");
  }
  if (!(settings.temperature > 0.0F && std::isfinite(settings.temperature))) {
    return invalid_argument("learning.repeated_distillation.temperature must be above 0");
  }
  return std::unique_ptr<Strategy>(std::make_unique<RepeatedDistillation>(settings));
}

}  // namespace freshet::strategies
