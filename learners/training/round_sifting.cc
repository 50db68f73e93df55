#include "learners/training/round_sifting.h"

#include <algorithm>
#include <utility>

#include "learners/training/averaging.h"

namespace freshet {

namespace {

constexpr std::size_t kBlockRows = 128;  // looked at together: their activations stay in cache

// Weights of the layers, which every row goes through.
std::uint64_t layer_weights(const ModelOptions& model, const EncodedLayout& layout) {
  std::uint64_t inputs = layout.dense() + static_cast<std::uint64_t>(layout.categorical()) * model.embedding_dim;
  std::uint64_t weights = 0;
  if (model.architecture != Architecture::kLinear) {
    for (const auto width : model.hidden) weights += std::exchange(inputs, width) * width;
  }
  return weights + inputs * (model.task == Task::kMulticlass ? model.classes : 1);
}

}  // namespace

Result<std::unique_ptr<RoundSifting>> RoundSifting::create(const LearnerOptions& options, const EncodedLayout& layout,
                                                           TrainedWeights& weights,
                                                           std::span<const StoredColumn> columns) {
  const auto costs = sifting_costs(layer_weights(options.model, layout), layout.dense() + layout.categorical());
  std::unique_ptr<RoundSifting> sifting(
      new RoundSifting(TRY(Sifter::create(options.sifting, costs)), columns, options.ema_decay));
  if (options.sifting.kind == SiftingKind::kRho) {
    sifting->average_ = TRY(weights.copy().with_context("learning.sifting.kind: rho"));
    TRY(sifting->average_->take());
  }
  return sifting;
}

Status RoundSifting::look_at(const EncodedBatch& fresh, const Loss& loss) {
  average_losses_.resize(fresh.size());
  for (std::size_t begin = 0; begin < fresh.size(); begin += kBlockRows) {
    const RowRange range{&fresh, begin, std::min(begin + kBlockRows, fresh.size())};
    const auto outputs = TRY(average_->forward({&range, 1}));
    loss.evaluate(outputs, std::span(fresh.labels).subspan(begin, range.size()),
                  std::span(fresh.weights).subspan(begin, range.size()), 1.0F,
                  std::span(average_losses_).subspan(begin, range.size()), {});
  }
  return Status::ok();
}

Result<const KeptRows*> RoundSifting::sift(const EncodedBatch& fresh, std::span<const float> replay_losses,
                                           std::size_t steps, std::uint64_t steps_so_far, const Loss& loss) {
  if (!sifter_.begin_round(steps_so_far, fresh.size() + replay_losses.size())) return nullptr;
  if (average_) TRY(look_at(fresh, loss));
  return &sifter_.choose(std::span(fresh.losses).first(fresh.size()), replay_losses, steps, average_losses_);
}

RoundInput RoundSifting::gather(const RoundInput& input) {
  const EncodedBatch& fresh = *input.fresh;
  const KeptRows& kept = *input.kept;
  if (rows_.capacity() < fresh.size()) {
    rows_ = EncodedBatch(fresh.dense_width(), fresh.categorical_width(), fresh.capacity());
  }
  rows_.resize(kept.fresh.size());
  for (std::size_t i = 0; i < kept.fresh.size(); ++i) rows_.take_row(fresh, kept.fresh[i], i);
  for (std::size_t i = 0; i < kept.fresh_factors.size(); ++i) rows_.weights[i] *= kept.fresh_factors[i];
  values_.resize(input.to_store.size());
  for (std::size_t c = 0; c < values_.size(); ++c) values_[c].resize(kept.fresh.size() * columns_[c].width);
  views_.assign(values_.begin(), values_.end());
  RoundInput gathered = input;
  gathered.fresh = &rows_;
  gathered.to_store = views_;
  return gathered;
}

void RoundSifting::finish(const RoundInput& input, std::size_t steps, RoundReport& report) {
  const SiftingTotals before = sifter_.totals();
  sifter_.end_round(steps);
  const SiftingTotals& after = sifter_.totals();
  report.samples_considered = after.considered - before.considered;
  report.samples_sifted_out = after.left_out - before.left_out;
  report.sifting_forwards = after.looked_at - before.looked_at;
  // Of what was left out nothing is stored.
  for (std::size_t c = 0; c < values_.size(); ++c) {
    const std::size_t width = columns_[c].width;
    std::ranges::fill(input.to_store[c], kNeverStored);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      std::copy_n(values_[c].data() + i * width, width, input.to_store[c].data() + input.kept->fresh[i] * width);
    }
  }
}

// Once a round is enough: the average is looked at between rounds alone.
Status RoundSifting::end_round(std::uint64_t first, std::uint64_t end) {
  if (!average_ || first == end) return Status::ok();
  double keep = 1.0;
  for (std::uint64_t step = first; step < end; ++step) keep *= Ema::decay_at(step + 1, ema_decay_);
  return average_->approach(static_cast<float>(1.0 - keep));
}

Status RoundSifting::save(ByteWriter& out) const {
  sifter_.save(out);
  return average_ ? average_->save(out) : Status::ok();
}

Status RoundSifting::load(ByteReader& in) {
  TRY(sifter_.load(in));
  // With another kind of sifting there was no average.
  return average_ && !in.at_end() ? average_->load(in) : Status::ok();
}

Status RoundSifting::restart() {
  sifter_.restart();
  return average_ ? average_->take() : Status::ok();
}

}  // namespace freshet
