#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "learners/training/strategies/part_losses.h"
#include "learners/training/strategies/plain_pass.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// Maximally interfered retrieval: of several events drawn for each one that is to be replayed, those are replayed whose
// loss would grow most by a step on the fresh events alone (Aljundi et al., "Online Continual Learning with Maximally
// Interfered Retrieval", 2019).
//
//   weights' = weights - learning rate * gradient of the mean loss of the fresh rows
//   replayed: those with the greatest loss under weights' less that under the weights, of equal ones the first drawn
//   then the mean loss of fresh and replayed rows together, as with plain replay
//
// The step is plain gradient descent at the current rate, whatever the optimizer does with gradients, and is taken by a
// copy: the weights stay to the bit. Each step costs two forward passes over the candidates and a copy of the dense
// weights more, and the candidates are read from the store.
class MaximallyInterfered final : public Strategy {
 public:
  MaximallyInterfered(float replay_ratio, const MirOptions& options) : replay_ratio_(replay_ratio), options_(options) {}
  std::string_view name() const override { return "mir"; }
  float replay_ratio() const override { return replay_ratio_; }
  std::uint32_t candidates() const override { return options_.candidates; }
  Status attach(TrainedWeights& weights) override {
    weights_ = &weights;
    ahead_ = TRY(weights.copy());
    return Status::ok();
  }

  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    if (batch.replay.size() <= batch.replay_rows_max) return plain_pass(model, loss, batch);
    const std::size_t replayed = batch.replay_rows_max;
    const std::size_t fresh = batch.fresh.size();
    StepLoss sums;
    TRY(model.loss_gradients({&batch.fresh, 1}, loss, {&sums.fresh, 1}));
    TRY(ahead_->take());
    TRY(ahead_->add_gradients(-batch.learning_rate));
    TRY(choose(model, loss, batch.replay, replayed));
    // The gradients of the fresh rows are there already, as those of their own mean.
    TRY(weights_->scale_gradients(share_of(fresh + replayed) * static_cast<float>(fresh)));
    const auto outputs = TRY(model.forward(chosen_));
    const auto gradients = room(gradients_, outputs.size());
    const std::size_t width = model.outputs();
    for (std::size_t i = 0; i < replayed; ++i) {
      sums.replay = sums.replay + part_loss(loss, chosen_[i], outputs.subspan(i * width, width),
                                            share_of(fresh + replayed), gradients.subspan(i * width, width));
    }
    TRY(model.backward(gradients));
    return sums;
  }

 private:
  Status choose(Model& model, const Loss& loss, const RowRange& candidates, std::size_t count) {
    const std::size_t rows = candidates.size();
    const auto unwanted = room(gradients_, rows * model.outputs());
    RowRange judged = candidates;
    judged.losses = room(before_, rows).data();
    part_loss(loss, judged, TRY(model.forward({&candidates, 1})), 0.0F, unwanted);
    judged.losses = room(after_, rows).data();
    part_loss(loss, judged, TRY(ahead_->forward({&candidates, 1})), 0.0F, unwanted);
    for (std::size_t i = 0; i < rows; ++i) {
      after_[i] -= before_[i];
      if (std::isnan(after_[i])) after_[i] = -std::numeric_limits<float>::infinity();
    }
    order_.resize(rows);
    std::iota(order_.begin(), order_.end(), 0U);
    const auto end = order_.begin() + static_cast<std::ptrdiff_t>(count);
    std::partial_sort(order_.begin(), end, order_.end(), [&](std::uint32_t a, std::uint32_t b) {
      return after_[a] != after_[b] ? after_[a] > after_[b] : a < b;
    });
    std::sort(order_.begin(), end);
    chosen_.clear();
    for (std::size_t i = 0; i < count; ++i) chosen_.push_back(rows_of(candidates, order_[i], order_[i] + 1));
    return Status::ok();
  }

  float replay_ratio_;
  MirOptions options_;
  TrainedWeights* weights_ = nullptr;
  std::unique_ptr<WeightsCopy> ahead_;  // made anew at each step: nothing to save
  std::vector<float> before_, after_;   // losses of the candidates
  std::vector<std::uint32_t> order_;
  std::vector<RowRange> chosen_;  // a row each
  std::vector<float> gradients_;  // [chosen, outputs]
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_mir(const StrategyOptions& options) {
  if (options.settings.mir.candidates == 0) return invalid_argument("learning.mir.candidates must be 1 or more");
  return std::unique_ptr<Strategy>(std::make_unique<MaximallyInterfered>(options.replay_ratio, options.settings.mir));
}

}  // namespace freshet::strategies
