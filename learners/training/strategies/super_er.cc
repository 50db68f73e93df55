#include <array>

#include "learners/training/strategies/averaged_pair.h"
#include "learners/training/strategies/distillation.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// Super-ER, as the library Renate puts it together: the terms of DER++ (Buzzega et al., 2020) and CLS-ER (Arani et al.,
// 2022) at once, over a model that is shrunk and perturbed now and then (Ash and Adams, "On Warm-Starting Neural
// Network Training", 2020).
//
//   mean loss of fresh rows + beta * mean loss of replayed rows
//     + alpha * mean over replayed rows and outputs of (output - stored output)^2
//     + cls_beta * mean over replayed rows and outputs of (output - the better average's)^2
//   and, before every `shrink_every_rounds`th round but the first, weights := shrink * weights + normal noise (sigma)
//
// Renate shrinks at each of its updates, which are whole tasks long. Costs are those of CLS-ER, and the stored outputs.
class SuperEr final : public Strategy {
 public:
  SuperEr(float replay_ratio, const SuperErOptions& options, std::uint64_t seed)
      : replay_ratio_(replay_ratio), options_(options), averages_(options.cls, seed), rng_(seed ^ kSeedMix) {}
  std::string_view name() const override { return "super_er"; }
  float replay_ratio() const override { return replay_ratio_; }
  Status prepare(const Model& model) override {
    columns_.front() = {"logits", model.outputs()};
    return Status::ok();
  }
  std::span<const StoredColumn> columns() const override { return columns_; }
  Status attach(TrainedWeights& weights) override {
    weights_ = &weights;
    return averages_.attach(weights);
  }

  Status begin_phase(std::uint64_t round, std::size_t /*phase*/) override {
    if (round == 0 || round % options_.shrink_every_rounds != 0) return Status::ok();
    return weights_->shrink_and_perturb(options_.shrink, options_.sigma, rng_);
  }

  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    const std::array<RowRange, 2> parts = {batch.fresh, batch.replay};
    const auto outputs = TRY(model.forward(std::span(parts).first(batch.replay.size() > 0 ? 2 : 1)));
    const std::size_t width = model.outputs();
    const std::size_t fresh = batch.fresh.size() * width;
    if (!batch.to_store.empty()) std::ranges::copy(outputs.first(fresh), batch.to_store.front().begin());
    const auto gradients = room(gradients_, outputs.size());
    const auto replay_outputs = outputs.subspan(fresh);
    const auto replay_gradients = gradients.subspan(fresh);
    StepLoss sums;
    sums.fresh = part_loss(loss, batch.fresh, outputs.first(fresh), share_of(batch.fresh.size()), gradients);
    sums.replay =
        part_loss(loss, batch.replay, replay_outputs, share_of(batch.replay.size(), options_.beta), replay_gradients);
    pull_back(batch, width, replay_outputs, replay_gradients);
    TRY(averages_.add_consistency(loss, batch.replay, replay_outputs, options_.cls.beta, replay_gradients));
    TRY(model.backward(gradients));
    return sums;
  }
  Status after_step(Model& /*model*/) override { return averages_.after_step(); }
  Status went_back() override { return averages_.went_back(); }

  Status save(ByteWriter& out) const override {
    for (const auto word : rng_.state()) out.put(word);
    return averages_.save(out);
  }
  Status load(ByteReader& in) override {
    Rng::State state;
    for (auto& word : state) word = in.get<std::uint64_t>();
    rng_.set_state(state);
    return averages_.load(in);
  }

 private:
  static constexpr std::uint64_t kSeedMix = 0x7375706572000001;

  void pull_back(const MiniBatch& batch, std::size_t width, std::span<const float> outputs,
                 std::span<float> gradients) const {
    if (batch.stored.empty()) return;
    const float scale = share_of(batch.replay.size() * width, options_.alpha);
    for (std::size_t row = 0; row < batch.replay.size(); ++row) {
      const auto stored = batch.stored.front().subspan(row * width, width);
      if (!is_stored(stored)) continue;
      add_squared_distance(rows_of(batch.replay, row, row + 1), outputs.subspan(row * width, width), stored, width,
                           scale, gradients.subspan(row * width, width));
    }
  }

  float replay_ratio_;
  SuperErOptions options_;
  AveragedPair averages_;
  Rng rng_;  // of the noise
  TrainedWeights* weights_ = nullptr;
  std::array<StoredColumn, 1> columns_;
  std::vector<float> gradients_;  // [rows, outputs]
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_super_er(const StrategyOptions& options) {
  const SuperErOptions& settings = options.settings.super_er;
  TRY(AveragedPair::check(settings.cls, "super_er"));
  for (const float factor : {settings.alpha, settings.beta, settings.sigma}) {
    if (factor >= 0.0F && std::isfinite(factor)) continue;
    return invalid_argument("learning.super_er: alpha, beta and sigma must be numbers of 0 or more");
  }
  if (!(settings.shrink > 0.0F && settings.shrink <= 1.0F)) {
    return invalid_argument("learning.super_er.shrink must be above 0 and at most 1");
  }
  if (settings.shrink_every_rounds == 0) {
    return invalid_argument("learning.super_er.shrink_every_rounds must be 1 or more");
  }
  return std::unique_ptr<Strategy>(std::make_unique<SuperEr>(options.replay_ratio, settings, options.seed));
}

}  // namespace freshet::strategies
