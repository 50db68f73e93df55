#include "learners/training/strategies/plain_pass.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

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

 private:
  float replay_ratio_;
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_experience_replay(const StrategyOptions& options) {
  return std::unique_ptr<Strategy>(std::make_unique<ExperienceReplay>(options.replay_ratio));
}

}  // namespace freshet::strategies
