#include <array>

#include "learners/training/strategies/part_losses.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// POD-ER: experience replay that also holds the hidden layers to what they were: with an event, the memory keeps the
// activations of every hidden layer from when it was fresh (pooled outputs distillation: Douillard, Cord, Ollion,
// Robert and Valle, "PODNet: Pooled Outputs Distillation for Small-Tasks Incremental Learning", 2020, with a memory of
// activations in place of the paper's old model, as in the library Renate).
//
//   mean loss of fresh and replayed rows together
//     + alpha * mean over replayed rows and layers of |h / |h| - s / |s||^2
//
// with h the activations now and s the stored ones: the distance of the paper's flat layers. A row counts with its
// event's weight; one of which nothing is stored yet, or whose activations are all zero, has distance 0.
class PooledDistillation final : public Strategy {
 public:
  PooledDistillation(float replay_ratio, const PodErOptions& options)
      : replay_ratio_(replay_ratio), options_(options) {}
  std::string_view name() const override { return "pod_er"; }
  float replay_ratio() const override { return replay_ratio_; }

  Status prepare(const Model& model) override {
    for (const HiddenLayer& layer : model.hidden_layers()) columns_.push_back({layer.name, layer.width});
    if (columns_.empty()) {
      return invalid_argument(
          "pod_er stores hidden layers and this model shows none; take an architecture with model.hidden, or another "
          "strategy");
    }
    hidden_gradients_.resize(columns_.size());
    hidden_views_.resize(columns_.size());
    return Status::ok();
  }
  std::span<const StoredColumn> columns() const override { return columns_; }

  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    const std::array<RowRange, 2> parts = {batch.fresh, batch.replay};
    const std::size_t replayed = batch.replay.size();
    const auto outputs = TRY(model.forward(std::span(parts).first(replayed > 0 ? 2 : 1)));
    const std::size_t fresh = batch.fresh.size() * model.outputs();
    const auto gradients = room(gradients_, outputs.size());
    const float scale = share_of(batch.fresh.size() + replayed);
    StepLoss sums;
    sums.fresh = part_loss(loss, batch.fresh, outputs.first(fresh), scale, gradients.first(fresh));
    sums.replay = part_loss(loss, batch.replay, outputs.subspan(fresh), scale, gradients.subspan(fresh));
    for (std::size_t layer = 0; layer < columns_.size(); ++layer) TRY(hold_layer(model, batch, layer));
    TRY(model.backward_from_hidden(gradients, hidden_views_));
    return sums;
  }

 private:
  Status hold_layer(Model& model, const MiniBatch& batch, std::size_t layer) {
    const auto hidden = TRY(model.hidden(layer));
    const std::size_t width = columns_[layer].width;
    const std::size_t fresh = batch.fresh.size() * width;
    if (!batch.to_store.empty()) std::ranges::copy(hidden.first(fresh), batch.to_store[layer].begin());
    const auto gradients = room(hidden_gradients_[layer], hidden.size());
    std::ranges::fill(gradients, 0.0F);
    hidden_views_[layer] = gradients;
    if (batch.stored.empty()) return Status::ok();
    const float scale = share_of(batch.replay.size() * columns_.size(), 2.0F * options_.alpha);
    for (std::size_t row = 0; row < batch.replay.size(); ++row) {
      const float factor = scale * usable_weight(batch.replay.batch->weights[batch.replay.begin + row]);
      pull_back(hidden.subspan(fresh + row * width, width), batch.stored[layer].subspan(row * width, width), factor,
                gradients.subspan(fresh + row * width, width));
    }
    return Status::ok();
  }

  // With u = h / |h| and t = s / |s|, half the gradient of |u - t|^2 in h is ((t . u) u - t) / |h|.
  static void pull_back(std::span<const float> now, std::span<const float> stored, float factor,
                        std::span<float> gradient) {
    if (!is_stored(stored)) return;
    float own = 0.0F;
    float other = 0.0F;
    float product = 0.0F;
    for (std::size_t k = 0; k < now.size(); ++k) {
      own += now[k] * now[k];
      other += stored[k] * stored[k];
      product += now[k] * stored[k];
    }
    constexpr float kSmallest = 1e-12F;  // squared: below it a direction is noise
    if (!(own > kSmallest && other > kSmallest)) return;
    const float along = factor * product / (own * std::sqrt(own * other));
    const float towards = factor / std::sqrt(own * other);
    for (std::size_t k = 0; k < now.size(); ++k) gradient[k] = along * now[k] - towards * stored[k];
  }

  float replay_ratio_;
  PodErOptions options_;
  std::vector<StoredColumn> columns_;                 // a hidden layer each
  std::vector<float> gradients_;                      // [rows, outputs]
  std::vector<std::vector<float>> hidden_gradients_;  // a layer each, [rows, width]
  std::vector<std::span<const float>> hidden_views_;
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_pod_er(const StrategyOptions& options) {
  const PodErOptions& settings = options.settings.pod_er;
  if (!(settings.alpha >= 0.0F && std::isfinite(settings.alpha))) {
    return invalid_argument("learning.pod_er.alpha must be a number of 0 or more");
  }
  return std::unique_ptr<Strategy>(std::make_unique<PooledDistillation>(options.replay_ratio, settings));
}

}  // namespace freshet::strategies
