#include "learners/training/strategies/plain_pass.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// Fresh events alone: the baseline that forgets.
class FineTune final : public Strategy {
 public:
  std::string_view name() const override { return "finetune"; }
  float replay_ratio() const override { return 0.0F; }
  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    return plain_pass(model, loss, {batch.fresh, {}});
  }
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_fine_tune(const StrategyOptions& /*options*/) {
  return std::unique_ptr<Strategy>(std::make_unique<FineTune>());
}

}  // namespace freshet::strategies
