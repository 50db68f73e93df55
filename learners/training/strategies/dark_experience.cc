#include <array>

#include <fmt/core.h>

#include "learners/training/strategies/part_losses.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// Dark experience replay: with an event, the memory keeps what the model said of it when it was fresh, and a replayed
// event pulls the model's outputs back there (Buzzega, Boschi, Porrello, Abati and Calderara, "Dark Experience for
// General Continual Learning: a Strong, Simple Baseline", 2020).
//
//   der     mean loss of the fresh rows + alpha * mean over replayed rows and outputs of (output - stored)^2
//   der_pp  the same + beta * mean loss of replayed rows
//
// The outputs are logits, of a regression the value itself. The paper's code draws the rows of the two replay terms of
// DER++ apart. Here all replayed rows serve both, unless `two_draws` gives either term its half of them: one forward
// pass less, and both terms have more rows. A row counts with its event's weight in every term; a row of which nothing
// is stored yet has distance 0.
class DarkExperience final : public Strategy {
 public:
  DarkExperience(std::string_view name, float replay_ratio, const DerPpOptions& options)
      : name_(name), replay_ratio_(replay_ratio), options_(options) {}

  std::string_view name() const override { return name_; }
  float replay_ratio() const override { return replay_ratio_; }
  Status prepare(const Model& model) override {
    columns_.front() = {"logits", model.outputs()};
    return Status::ok();
  }
  std::span<const StoredColumn> columns() const override { return columns_; }

  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    const std::array<RowRange, 2> parts = {batch.fresh, batch.replay};
    const std::size_t replayed = batch.replay.size();
    const auto outputs = TRY(model.forward(std::span(parts).first(replayed > 0 ? 2 : 1)));
    const std::size_t width = model.outputs();
    const std::size_t fresh = batch.fresh.size();
    const auto gradients = room(gradients_, outputs.size());
    if (!batch.to_store.empty()) std::ranges::copy(outputs.first(fresh * width), batch.to_store.front().begin());

    StepLoss sums;
    sums.fresh = part_loss(loss, batch.fresh, outputs.first(fresh * width), share_of(fresh), gradients);
    // Rows [0, far) have the distance to what is stored, rows [near, replayed) the label loss. The loss of every row is
    // wanted, for what watches losses.
    const std::size_t far = options_.two_draws ? replayed / 2 : replayed;
    const std::size_t near = options_.two_draws ? far : 0;
    const auto replay_outputs = outputs.subspan(fresh * width);
    const auto replay_gradients = gradients.subspan(fresh * width);
    const auto label_loss = [&](std::size_t begin, std::size_t end, float scale) {
      const std::size_t floats = (end - begin) * width;
      return part_loss(loss, rows_of(batch.replay, begin, end), replay_outputs.subspan(begin * width, floats), scale,
                       replay_gradients.subspan(begin * width, floats));
    };
    sums.replay = label_loss(0, near, 0.0F) + label_loss(near, replayed, share_of(replayed - near, options_.beta));
    pull_back(batch, far, replay_outputs, replay_gradients);
    TRY(model.backward(gradients));
    return sums;
  }

 private:
  void pull_back(const MiniBatch& batch, std::size_t rows, std::span<const float> outputs,
                 std::span<float> gradients) const {
    if (batch.stored.empty()) return;
    const std::size_t width = columns_.front().width;
    const float scale = share_of(rows * width, 2.0F * options_.alpha);
    for (std::size_t row = 0; row < rows; ++row) {
      const auto stored = batch.stored.front().subspan(row * width, width);
      if (!is_stored(stored)) continue;
      const float factor = scale * usable_weight(batch.replay.batch->weights[batch.replay.begin + row]);
      const float* output = outputs.data() + row * width;
      float* gradient = gradients.data() + row * width;
      for (std::size_t k = 0; k < width; ++k) gradient[k] += factor * (output[k] - stored[k]);
    }
  }

  std::string_view name_;
  float replay_ratio_;
  DerPpOptions options_;
  std::array<StoredColumn, 1> columns_;
  std::vector<float> gradients_;  // [rows, outputs]
};

Result<std::unique_ptr<Strategy>> make(std::string_view name, float replay_ratio, const DerPpOptions& options) {
  for (const float factor : {options.alpha, options.beta}) {
    if (factor >= 0.0F && std::isfinite(factor)) continue;
    return invalid_argument(fmt::format("learning.{}: alpha and beta must be numbers of 0 or more", name));
  }
  return std::unique_ptr<Strategy>(std::make_unique<DarkExperience>(name, replay_ratio, options));
}

}  // namespace

Result<std::unique_ptr<Strategy>> make_der(const StrategyOptions& options) {
  return make("der", options.replay_ratio, {options.settings.der.alpha, 0.0F, false});
}

Result<std::unique_ptr<Strategy>> make_der_pp(const StrategyOptions& options) {
  return make("der_pp", options.replay_ratio, options.settings.der_pp);
}

}  // namespace freshet::strategies
