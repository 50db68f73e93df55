#include "learners/training/strategy.h"

#include <algorithm>
#include <array>

#include <fmt/core.h>

namespace freshet {

namespace {

// One pass over fresh and replayed rows together, with the mean of their weighted losses.
class PlainPass {
 public:
  Result<StepLoss> run(Model& model, const Loss& loss, const MiniBatch& batch) {
    const std::array<RowRange, 2> parts = {batch.fresh, batch.replay};
    const auto rows = std::span<const RowRange>(parts.data(), batch.replay.size() > 0 ? 2 : 1);
    const std::size_t count = row_count(rows);
    const auto outputs = TRY(model.forward(rows));
    gradients_.resize(std::max(gradients_.size(), outputs.size()));
    const float scale = count > 0 ? 1.0F / static_cast<float>(count) : 0.0F;
    StepLoss step;
    std::size_t row = 0;
    for (const auto& part : rows) {
      LossSum& sum = &part == rows.data() ? step.fresh : step.replay;
      const std::size_t size = part.size();
      const std::size_t width = model.outputs();
      if (size == 0) continue;
      sum = loss.evaluate(outputs.subspan(row * width, size * width),
                          std::span<const float>(part.batch->labels).subspan(part.begin, size),
                          std::span<const float>(part.batch->weights).subspan(part.begin, size), scale, {},
                          std::span<float>(gradients_).subspan(row * width, size * width));
      row += size;
    }
    TRY(model.backward(std::span<const float>(gradients_).first(outputs.size())));
    return step;
  }

 private:
  std::vector<float> gradients_;
};

// Experience replay: each mini-batch joins fresh events with events drawn from the memory, all weighing the same
// (Chaudhry et al., "On Tiny Episodic Memories in Continual Learning", 2019).
class ExperienceReplay final : public Strategy {
 public:
  explicit ExperienceReplay(float replay_ratio) : replay_ratio_(replay_ratio) {}
  std::string_view name() const override { return "er"; }
  float replay_ratio() const override { return replay_ratio_; }
  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    return pass_.run(model, loss, batch);
  }
  void after_step(Model& /*model*/) override {}
  void end_round(Model& /*model*/) override {}
  void save(ByteWriter& /*out*/) const override {}
  Status load(ByteReader& /*in*/) override { return Status::ok(); }

 private:
  float replay_ratio_;
  PlainPass pass_;
};

// Fresh events alone: the baseline that forgets.
class FineTune final : public Strategy {
 public:
  std::string_view name() const override { return "finetune"; }
  float replay_ratio() const override { return 0.0F; }
  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    return pass_.run(model, loss, {batch.fresh, {}});
  }
  void after_step(Model& /*model*/) override {}
  void end_round(Model& /*model*/) override {}
  void save(ByteWriter& /*out*/) const override {}
  Status load(ByteReader& /*in*/) override { return Status::ok(); }

 private:
  PlainPass pass_;
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
