#include <fmt/core.h>

#include "learners/training/strategies/plain_pass.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// Training from scratch on the memory, every `every_rounds`th round, in `passes` shuffled passes: initial weights, a
// fresh optimizer, a schedule that starts again. In the rounds between, the model stays as it is. Two strategies:
//
//   gdumb  GDumb: a greedy, class-balanced memory and nothing but training on it (Prabhu, Torr and Dokania, "GDumb: A
//          Simple Approach that Questions Our Progress in Continual Learning", 2020; without its CutMix). The memory's
//          policy `class_balanced` is its greedy sampler.
//   joint  retraining on everything so far, which forgetting is measured against: with the memory's policy `unbounded`.
//          With another policy it is retraining on what that memory holds.
//
// A round costs passes over the memory, so rounds should be long. Of the memory's events only a piece is in main memory
// at a time, beside 20 bytes for each (see RowFeed). While the memory is empty, the fresh events are trained on.
class Retraining final : public Strategy {
 public:
  Retraining(std::string_view name, const RetrainOptions& options) : name_(name), every_rounds_(options.every_rounds) {
    phase_.rows = RoundPhase::Rows::kMemory;
    phase_.passes = options.passes;
    phase_.anew = phase_.fresh_optimizer = true;
  }
  std::string_view name() const override { return name_; }
  float replay_ratio() const override { return 0.0F; }
  std::span<const RoundPhase> plan(std::uint64_t round) const override {
    return {&phase_, round % every_rounds_ == 0 ? 1U : 0U};
  }
  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    return plain_pass(model, loss, batch);
  }

 private:
  std::string_view name_;
  std::uint32_t every_rounds_;
  RoundPhase phase_;
};

Result<std::unique_ptr<Strategy>> make(std::string_view name, const RetrainOptions& options) {
  if (options.passes == 0 || options.every_rounds == 0) {
    return invalid_argument(fmt::format("learning.{}: passes and every_rounds must be 1 or more", name));
  }
  return std::unique_ptr<Strategy>(std::make_unique<Retraining>(name, options));
}

}  // namespace

Result<std::unique_ptr<Strategy>> make_gdumb(const StrategyOptions& options) {
  return make("gdumb", options.settings.gdumb);
}
Result<std::unique_ptr<Strategy>> make_joint(const StrategyOptions& options) {
  return make("joint", options.settings.joint);
}

}  // namespace freshet::strategies
