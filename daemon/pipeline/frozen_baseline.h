// FrozenBaseline: what users have today, for comparison. After `after_events` the served model is kept as it is, and
// from then on it and the live model are scored on the same events. Two copies are kept: one whose weights alone are
// frozen while its feature statistics stay live, and one that is frozen whole, as a model is that a nightly job
// exported.
//
// Threads: ingest thread only.  Owns: the frozen predictor and encoder, and three evaluations. It is not part of the
// state: after a restart the comparison begins anew.
// Failure: what the frozen model or encoder refuses is passed on.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/predictor.h"
#include "learners/evaluation/progressive_evaluation.h"
#include "learners/features/feature_encoder.h"

namespace freshet {

struct BaselineReport {
  bool frozen = false;
  EvaluationReport frozen_weights;  // live feature statistics
  EvaluationReport frozen_whole;
  EvaluationReport live;  // the served model on the same events
};

class FrozenBaseline {
 public:
  FrozenBaseline(std::uint64_t after_events, const EvaluationOptions& options);

  // The rows of `events`, encoded in rows [begin, begin + size) of `encoded`, with live predictions `live`, are events
  // number `first_event` and on. `encoder` has learnt from them already.
  Status observe(std::uint64_t first_event, const std::shared_ptr<const Predictor>& served, const EventBatch& events,
                 const FeatureEncoder& encoder, const EncodedBatch& encoded, std::size_t begin,
                 const Predictions& live);

  BaselineReport report();

 private:
  Status freeze(const std::shared_ptr<const Predictor>& served, const EventBatch& events,
                const FeatureEncoder& encoder);

  std::uint64_t after_events_;
  std::shared_ptr<const Predictor> frozen_;
  std::unique_ptr<FeatureEncoder> frozen_encoder_;
  EncodedBatch frozen_rows_;
  Predictions predictions_;
  std::vector<float> losses_;
  ProgressiveEvaluation frozen_weights_;
  ProgressiveEvaluation frozen_whole_;
  ProgressiveEvaluation live_;
};

}  // namespace freshet
