#include <fmt/core.h>

#include "learners/training/strategies/distillation.h"
#include "learners/training/strategies/part_losses.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// Learning without forgetting: fresh events are learnt while the outputs on them are held to those of an older model,
// so that no memory is needed (Li and Hoiem, "Learning without Forgetting", 2016).
//
//   mean over fresh rows of loss + alpha * T^2 * KL(softmax(older / T) || softmax(output / T))
//
// The older model is the one of the end of a round: of every round, or of each `every_rounds`th. The first rounds,
// before there is one, have the loss alone. Each step costs a forward pass more.
class LearningWithoutForgetting final : public Strategy {
 public:
  explicit LearningWithoutForgetting(const LwfOptions& options) : options_(options) {}
  std::string_view name() const override { return "lwf"; }
  float replay_ratio() const override { return 0.0F; }
  Status attach(TrainedWeights& weights) override {
    older_ = TRY(weights.copy());
    return Status::ok();
  }

  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    const RowRange& fresh = batch.fresh;
    const auto outputs = TRY(model.forward({&fresh, 1}));
    const auto gradients = room(gradients_, outputs.size());
    const float share = share_of(fresh.size());
    StepLoss sums;
    sums.fresh = part_loss(loss, fresh, outputs, share, gradients);
    if (has_older_) {
      const auto before = TRY(older_->forward({&fresh, 1}));
      add_distillation(model.task(), fresh, outputs, before, model.outputs(), options_.temperature,
                       options_.alpha * share, gradients);
    }
    TRY(model.backward(gradients));
    return sums;
  }

  Status end_round(Model& /*model*/, const Loss& /*loss*/, const RoundEnd& end) override {
    if ((end.round + 1) % options_.every_rounds != 0) return Status::ok();
    has_older_ = true;
    return older_->take();
  }

  Status save(ByteWriter& out) const override {
    out.put<std::uint8_t>(has_older_ ? 1 : 0);
    return has_older_ ? older_->save(out) : Status::ok();
  }
  Status load(ByteReader& in) override {
    has_older_ = in.get<std::uint8_t>() != 0;
    return has_older_ ? older_->load(in) : Status::ok();
  }

 private:
  LwfOptions options_;
  std::unique_ptr<WeightsCopy> older_;
  bool has_older_ = false;
  std::vector<float> gradients_;  // [rows, outputs]
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_lwf(const StrategyOptions& options) {
  const LwfOptions& settings = options.settings.lwf;
  if (!(settings.alpha >= 0.0F && std::isfinite(settings.alpha))) {
    return invalid_argument("learning.lwf.alpha must be a number of 0 or more");
  }
  if (!(settings.temperature > 0.0F && std::isfinite(settings.temperature))) {
    return invalid_argument("learning.lwf.temperature must be above 0");
  }
  if (settings.every_rounds == 0) return invalid_argument("learning.lwf.every_rounds must be 1 or more");
  return std::unique_ptr<Strategy>(std::make_unique<LearningWithoutForgetting>(settings));
}

}  // namespace freshet::strategies
