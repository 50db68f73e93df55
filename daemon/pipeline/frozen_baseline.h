// FrozenBaseline: what users have today, for comparison. At `evaluation.baseline_after_events` the served model is kept
// as it is, and from then on both it and the live model are scored on the same events. Frozen are the weights; the
// feature statistics stay live, which flatters the baseline.
//
// Threads: ingest thread only.  Owns: the frozen predictor and two evaluations.
// Failure: a prediction that fails ends the comparison; it never stops the pipeline.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/predictor.h"
#include "learners/evaluation/progressive_evaluation.h"

namespace freshet {

class FrozenBaseline {
 public:
  FrozenBaseline(std::uint64_t after_events, const EvaluationOptions& options);

  // Rows [begin, end) of `batch`, whose live predictions are `live`, are events number `first_event` and on.
  Status observe(std::uint64_t first_event, const std::shared_ptr<const Predictor>& served, const EncodedBatch& batch,
                 std::size_t begin, std::size_t end, const Predictions& live);

  bool frozen() const { return frozen_ != nullptr; }
  EvaluationReport frozen_report() { return frozen_evaluation_.report(); }
  EvaluationReport live_report() { return live_evaluation_.report(); }

 private:
  std::uint64_t after_events_;
  std::shared_ptr<const Predictor> frozen_;
  Predictions predictions_;
  std::vector<float> losses_;
  ProgressiveEvaluation frozen_evaluation_;
  ProgressiveEvaluation live_evaluation_;
};

}  // namespace freshet
