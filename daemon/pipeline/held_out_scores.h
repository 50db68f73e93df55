// HeldOutScores: the progressive evaluation of held-out events alone: what training never sees, predicted by the
// model that is served when they come.
//
// HeldOutComparison: two models on the same stored held-out events.
//
// Threads: ingest thread only.  Owns: an evaluation. It is not part of the state: after a restart it begins anew.
// Failure: none.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/encoded_batch.h"
#include "core/predictor.h"
#include "learners/evaluation/progressive_evaluation.h"

namespace freshet {

struct HeldOutComparison {
  std::string set;  // "gating" or "forgetting"; empty: no held-out event is stored
  std::uint64_t events = 0;
  std::vector<MetricValue> served;
  std::vector<MetricValue> candidate;
  double loss_difference = 0;        // mean over the events of the candidate's loss minus the served model's
  double loss_difference_error = 0;  // its standard error, events taken as independent
};

class HeldOutScores {
 public:
  explicit HeldOutScores(const EvaluationOptions& options) : evaluation_(options) {}

  // held_out: of each of the batch's rows, not 0 where it is held out; the rows are [begin, begin + size) of `encoded`.
  void observe(std::span<const std::uint8_t> held_out, const Predictions& predictions, const EncodedBatch& encoded,
               std::size_t begin, std::uint64_t model_version);

  EvaluationReport report() { return evaluation_.report(); }

 private:
  ProgressiveEvaluation evaluation_;
  Predictions chosen_;
  std::vector<float> labels_, weights_, losses_;
};

}  // namespace freshet
