#include <array>

#include "learners/training/strategies/part_losses.h"
#include "learners/training/strategies/plain_pass.h"
#include "learners/training/strategies/strategies.h"

namespace freshet::strategies {

namespace {

// Offline experience replay, as in the library Renate: a round is whole, shuffled passes over its fresh events and the
// whole memory of earlier ones, both spread evenly over the steps.
//
//   w * mean loss of fresh rows + (1 - w) * mean loss of the memory's rows
//
// With `fresh_weight` 0, w is the fresh events' share of all: every event weighs the same. A round costs passes over
// the memory; of its events only a piece is in main memory at a time, beside 20 bytes for each (see RowFeed).
class OfflineReplay final : public Strategy {
 public:
  explicit OfflineReplay(const OfflineErOptions& options) : options_(options) {
    phase_.rows = RoundPhase::Rows::kBoth;
    phase_.passes = options.passes;
  }
  std::string_view name() const override { return "offline_er"; }
  float replay_ratio() const override { return 0.0F; }
  std::span<const RoundPhase> plan(std::uint64_t /*round*/) const override { return {&phase_, 1}; }

  Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) override {
    const bool by_numbers = options_.fresh_weight == 0.0F;
    if (by_numbers || batch.fresh.size() == 0 || batch.replay.size() == 0) return plain_pass(model, loss, batch);
    const std::array<RowRange, 2> parts = {batch.fresh, batch.replay};
    const auto outputs = TRY(model.forward(parts));
    const std::size_t fresh = batch.fresh.size() * model.outputs();
    const auto gradients = room(gradients_, outputs.size());
    StepLoss sums;
    sums.fresh = part_loss(loss, batch.fresh, outputs.first(fresh), share_of(batch.fresh.size(), options_.fresh_weight),
                           gradients);
    sums.replay = part_loss(loss, batch.replay, outputs.subspan(fresh),
                            share_of(batch.replay.size(), 1.0F - options_.fresh_weight), gradients.subspan(fresh));
    TRY(model.backward(gradients));
    return sums;
  }

 private:
  OfflineErOptions options_;
  RoundPhase phase_;
  std::vector<float> gradients_;  // [rows, outputs]
};

}  // namespace

Result<std::unique_ptr<Strategy>> make_offline_er(const StrategyOptions& options) {
  const OfflineErOptions& settings = options.settings.offline_er;
  if (settings.passes == 0) return invalid_argument("learning.offline_er.passes must be 1 or more");
  if (!(settings.fresh_weight >= 0.0F && settings.fresh_weight <= 1.0F)) {
    return invalid_argument("learning.offline_er.fresh_weight must be between 0 and 1");
  }
  return std::unique_ptr<Strategy>(std::make_unique<OfflineReplay>(settings));
}

}  // namespace freshet::strategies
