#include "learners/training/strategy.h"

#include <array>
#include <span>

#include <fmt/core.h>

namespace freshet {

namespace {

// One pass over fresh and replayed rows together, with the mean of their weighted losses.
Result<StepLoss> plain_pass(Model& model, const Loss& loss, const MiniBatch& batch) {
  const std::array<RowRange, 2> parts = {batch.fresh, batch.replay};
  std::array<LossSum, 2> sums;
  const std::size_t count = batch.replay.size() > 0 ? 2 : 1;
  TRY(model.loss_gradients(std::span(parts).first(count), loss, std::span(sums).first(count)));
  return StepLoss{sums[0], sums[1]};
}

// Experience replay: each mini-batch joins fresh events with events drawn from the memory, all weighing the same
// (Chaudhry et al., "On Tiny Episodic Memories in Continual Learning", 2019).
class ExperienceReplay final : public Strategy {
 public:
  explicit ExperienceReplay(float replay_ratio) : replay_ratio_(replay_ratio) {}
  std::string_view name() const override { return "er"; }
  float replay_ratio() const override { return replay_ratio_; }
  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    return plain_pass(model, loss, batch);
  }
  void after_step(Model& /*model*/) override {}
  void end_round(Model& /*model*/) override {}
  void save(ByteWriter& /*out*/) const override {}
  Status load(ByteReader& /*in*/) override { return Status::ok(); }

 private:
  float replay_ratio_;
};

// Fresh events alone: the baseline that forgets.
class FineTune final : public Strategy {
 public:
  std::string_view name() const override { return "finetune"; }
  float replay_ratio() const override { return 0.0F; }
  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    return plain_pass(model, loss, {batch.fresh, {}});
  }
  void after_step(Model& /*model*/) override {}
  void end_round(Model& /*model*/) override {}
  void save(ByteWriter& /*out*/) const override {}
  Status load(ByteReader& /*in*/) override { return Status::ok(); }
};

}  // namespace

Result<std::unique_ptr<Strategy>> Strategy::create(const StrategyOptions& options) {
  if (!(options.replay_ratio >= 0.0F && options.replay_ratio < 1.0F)) {
    return invalid_argument(fmt::format("the replay ratio is {}; it must be in [0, 1)", options.replay_ratio));
  }
  std::unique_ptr<Strategy> strategy;
  if (options.kind == "er") strategy = std::make_unique<ExperienceReplay>(options.replay_ratio);
  if (options.kind == "finetune") strategy = std::make_unique<FineTune>();
  if (strategy == nullptr) {
    return invalid_argument(fmt::format("no strategy \"{}\"; there are er and finetune", options.kind));
  }
  return strategy;
}

}  // namespace freshet
