// ModelComparison: two models on the same events, as PairedTest wants them: the loss of each event under both, and by
// how much these could differ, whatever the event's label were.
//
// Threads: one owner.  Owns: the results of the last compare().  Failure: passes on what a model refuses.
#pragma once

#include <span>
#include <vector>

#include "core/encoded_batch.h"
#include "core/predictor.h"
#include "core/status.h"
#include "learners/training/losses.h"

namespace freshet {

class ModelComparison {
 public:
  ModelComparison(Task task, const LossOptions& loss) : task_(task), loss_(loss) {}

  // Rows [begin, rows.size()).
  Status compare(const Predictor& challenger, const Predictor& incumbent, const EncodedBatch& rows, std::size_t begin);

  std::span<const float> challenger_losses() const { return challenger_losses_; }
  std::span<const float> incumbent_losses() const { return incumbent_losses_; }
  // Of each row the largest difference of the two losses over all classes; empty for a regression, whose labels know no
  // bounds.
  std::span<const float> bounds() const { return bounds_; }
  // The same, the incumbent flattened towards uniform by `share` (LabelNoise).
  void flattened_bounds(double share, std::vector<float>& bounds) const;

 private:
  Task task_;
  LossOptions loss_;
  void find_bounds(double share, std::vector<float>& bounds) const;
  Predictions challenger_;
  Predictions incumbent_;
  std::vector<float> challenger_losses_;
  std::vector<float> incumbent_losses_;
  std::vector<float> bounds_;
};

}  // namespace freshet
