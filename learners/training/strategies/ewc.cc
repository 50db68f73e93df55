#include <algorithm>

#include "learners/training/strategies/part_losses.h"
#include "learners/training/strategies/plain_pass.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// Online elastic weight consolidation: each weight is pulled back to where it was, as strongly as the outputs depended
// on it there (Schwarz et al., "Progress & Compress: A scalable framework for continual learning", 2018, after
// Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks", 2017). No memory is needed.
//
//   mean loss of the fresh rows + lambda / 2 * sum of F * (weight - anchor)^2
//
// At the end of each `every_rounds`th round the anchor becomes the weights as they are, and F, the diagonal of the
// Fisher information, becomes decay * F + the mean of the squared gradients of single events: of `fisher_rows` of the
// round's events, evenly spread, with the labels that they have (the empirical Fisher information). That costs a
// forward and a backward pass for each of them.
class ElasticWeightConsolidation final : public Strategy {
 public:
  explicit ElasticWeightConsolidation(const EwcOptions& options) : options_(options) {}
  std::string_view name() const override { return "ewc"; }
  float replay_ratio() const override { return 0.0F; }
  Status attach(TrainedWeights& weights) override {
    weights_ = &weights;
    penalty_ = TRY(weights.penalty());
    return Status::ok();
  }

  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    const StepLoss sums = TRY(plain_pass(model, loss, {batch.fresh, {}}));
    if (anchored_) TRY(penalty_->add_gradients(options_.lambda));
    return sums;
  }

  Status end_round(Model& model, const Loss& loss, const RoundEnd& end) override {
    const std::size_t fresh = end.fresh.size();
    if ((end.round + 1) % options_.every_rounds != 0 || fresh == 0) return Status::ok();
    anchored_ = true;
    TRY(penalty_->scale_importance(options_.decay));
    const std::size_t rows = std::min<std::size_t>(options_.fisher_rows, fresh);
    for (std::size_t i = 0; i < rows; ++i) {
      const RowRange row =
          rows_of({end.fresh.batch, end.fresh.begin, end.fresh.end}, i * fresh / rows, i * fresh / rows + 1);
      weights_->clear_gradients();
      const auto outputs = TRY(model.forward({&row, 1}));
      const auto gradients = room(gradients_, outputs.size());
      part_loss(loss, row, outputs, 1.0F, gradients);
      // An event that breaks the model must not break the anchor for ever.
      if (!std::ranges::all_of(gradients, [](float value) { return std::isfinite(value); })) continue;
      TRY(model.backward(gradients));
      TRY(penalty_->add_squared_gradients(share_of(rows)));
    }
    weights_->clear_gradients();
    return penalty_->set_anchor();
  }

  Status save(ByteWriter& out) const override {
    out.put<std::uint8_t>(anchored_ ? 1 : 0);
    return anchored_ ? penalty_->save(out) : Status::ok();
  }
  Status load(ByteReader& in) override {
    anchored_ = in.get<std::uint8_t>() != 0;
    return anchored_ ? penalty_->load(in) : penalty_->clear();
  }

 private:
  EwcOptions options_;
  TrainedWeights* weights_ = nullptr;
  std::unique_ptr<QuadraticPenalty> penalty_;
  bool anchored_ = false;
  std::vector<float> gradients_;  // [1, outputs]
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_ewc(const StrategyOptions& options) {
  const EwcOptions& settings = options.settings.ewc;
  if (!(settings.lambda >= 0.0F && std::isfinite(settings.lambda))) {
    return invalid_argument("learning.ewc.lambda must be a number of 0 or more");
  }
  if (!(settings.decay >= 0.0F && settings.decay <= 1.0F)) {
    return invalid_argument("learning.ewc.decay must be between 0 and 1");
  }
  if (settings.fisher_rows == 0 || settings.every_rounds == 0) {
    return invalid_argument("learning.ewc.fisher_rows and every_rounds must be 1 or more");
  }
  return std::unique_ptr<Strategy>(std::make_unique<ElasticWeightConsolidation>(settings));
}

}  // namespace freshet::strategies
