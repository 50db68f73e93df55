#include "daemon/pipeline/frozen_baseline.h"

#include <span>

namespace freshet {

FrozenBaseline::FrozenBaseline(std::uint64_t after_events, const EvaluationOptions& options)
    : after_events_(after_events), frozen_weights_(options), frozen_whole_(options), live_(options) {}

Status FrozenBaseline::freeze(const std::shared_ptr<const Predictor>& served, const EventBatch& events,
                              const FeatureEncoder& encoder) {
  ByteWriter statistics;
  encoder.save(statistics);
  frozen_encoder_ = TRY(FeatureEncoder::create(encoder.schema().spec()));
  ByteReader in(statistics.buffer());
  TRY(frozen_encoder_->load(in).with_context("copying the feature statistics of the baseline"));
  frozen_rows_ = EncodedBatch(encoder.layout().dense(), encoder.layout().categorical(), events.capacity());
  frozen_ = served;
  return Status::ok();
}

Status FrozenBaseline::observe(std::uint64_t first_event, const std::shared_ptr<const Predictor>& served,
                               const EventBatch& events, const FeatureEncoder& encoder, const EncodedBatch& encoded,
                               std::size_t begin, const Predictions& live) {
  // The copy is taken behind a batch, so that no event of it is scored with statistics that know its label.
  if (frozen_ == nullptr) return first_event < after_events_ ? Status::ok() : freeze(served, events, encoder);
  const std::size_t rows = events.size();
  if (losses_.size() < rows) losses_.resize(rows);
  const std::span<const float> labels(encoded.labels.data() + begin, rows);
  const std::span<const float> weights(encoded.weights.data() + begin, rows);
  live_.add(live, labels, weights, served->version(), losses_);
  TRY(frozen_->predict(encoded, begin, begin + rows, predictions_));
  frozen_weights_.add(predictions_, labels, weights, frozen_->version(), losses_);
  frozen_encoder_->encode(events, 0, rows, frozen_rows_);
  TRY(frozen_->predict(frozen_rows_, 0, rows, predictions_));
  frozen_whole_.add(predictions_, labels, weights, frozen_->version(), losses_);
  return Status::ok();
}

BaselineReport FrozenBaseline::report() {
  if (frozen_ == nullptr) return {};
  return {true, frozen_weights_.report(), frozen_whole_.report(), live_.report()};
}

}  // namespace freshet
