#include "daemon/pipeline/frozen_baseline.h"

#include <span>

namespace freshet {

FrozenBaseline::FrozenBaseline(std::uint64_t after_events, const EvaluationOptions& options)
    : after_events_(after_events), frozen_evaluation_(options), live_evaluation_(options) {}

Status FrozenBaseline::observe(std::uint64_t first_event, const std::shared_ptr<const Predictor>& served,
                               const EncodedBatch& batch, std::size_t begin, std::size_t end, const Predictions& live) {
  if (frozen_ == nullptr) {
    if (first_event < after_events_) return Status::ok();
    frozen_ = served;
  }
  TRY(frozen_->predict(batch, begin, end, predictions_));
  const std::size_t rows = end - begin;
  if (losses_.size() < rows) losses_.resize(rows);
  const std::span<const float> labels(batch.labels.data() + begin, rows);
  const std::span<const float> weights(batch.weights.data() + begin, rows);
  frozen_evaluation_.add(predictions_, labels, weights, frozen_->version(), losses_);
  live_evaluation_.add(live, labels, weights, served->version(), losses_);
  return Status::ok();
}

}  // namespace freshet
