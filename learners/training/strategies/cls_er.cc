#include <array>

#include "learners/training/strategies/averaged_pair.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// CLS-ER: replay beside two moving averages of the model, a stable and a plastic one; outputs on replayed events are
// held to those of the better of the two (see AveragedPair).
//
//   mean loss of fresh rows + alpha * mean loss of replayed rows
//     + beta * mean over replayed rows and outputs of (output - the average's)^2
//
// The paper predicts with the stable average; here serving.weights says what is served, which has an average of its
// own. Each step costs two forward passes over the replayed rows more, and memory for two copies of the weights.
class ClsEr final : public Strategy {
 public:
  ClsEr(float replay_ratio, const ClsErOptions& options, std::uint64_t seed)
      : replay_ratio_(replay_ratio), options_(options), averages_(options, seed) {}
  std::string_view name() const override { return "cls_er"; }
  float replay_ratio() const override { return replay_ratio_; }
  Status attach(TrainedWeights& weights) override { return averages_.attach(weights); }

  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    const std::array<RowRange, 2> parts = {batch.fresh, batch.replay};
    const auto outputs = TRY(model.forward(std::span(parts).first(batch.replay.size() > 0 ? 2 : 1)));
    const std::size_t fresh = batch.fresh.size() * model.outputs();
    const auto gradients = room(gradients_, outputs.size());
    StepLoss sums;
    sums.fresh = part_loss(loss, batch.fresh, outputs.first(fresh), share_of(batch.fresh.size()), gradients);
    sums.replay = part_loss(loss, batch.replay, outputs.subspan(fresh), share_of(batch.replay.size(), options_.alpha),
                            gradients.subspan(fresh));
    TRY(averages_.add_consistency(loss, batch.replay, outputs.subspan(fresh), options_.beta, gradients.subspan(fresh)));
    TRY(model.backward(gradients));
    return sums;
  }
  Status after_step(Model& /*model*/) override { return averages_.after_step(); }
  Status went_back() override { return averages_.went_back(); }
  Status save(ByteWriter& out) const override { return averages_.save(out); }
  Status load(ByteReader& in) override { return averages_.load(in); }

 private:
  float replay_ratio_;
  ClsErOptions options_;
  AveragedPair averages_;
  std::vector<float> gradients_;  // [rows, outputs]
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_cls_er(const StrategyOptions& options) {
  TRY(AveragedPair::check(options.settings.cls_er, "cls_er"));
  return std::unique_ptr<Strategy>(
      std::make_unique<ClsEr>(options.replay_ratio, options.settings.cls_er, options.seed));
}

}  // namespace freshet::strategies
