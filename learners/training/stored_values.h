// StoredValues: what is stored with the events of a round, as each of its mini-batches sees it: the rows of a step,
// with those filled in that an earlier step of the same round has written.
//
// Threads: the trainer.  Owns: room for a view of each column. Borrows the matrices of RoundInput.
// Failure: begin_round() refuses matrices that do not fit.
#pragma once

#include <span>
#include <vector>

#include "core/status.h"
#include "learners/training/learner.h"
#include "learners/training/strategy.h"

namespace freshet {

class StoredValues {
 public:
  explicit StoredValues(std::span<const StoredColumn> columns);

  // `input` must outlive the round.
  Status begin_round(const RoundInput& input);
  // Sets stored and to_store of a mini-batch of the round, whose rows are known.
  void show(MiniBatch& batch);
  // After the strategy has written: a row with anything that is not finite was never stored.
  void check(const MiniBatch& batch) const;

 private:
  void fill_in(const MiniBatch& batch);

  std::span<const StoredColumn> columns_;
  const RoundInput* input_ = nullptr;
  std::vector<float> never_;  // in place of matrices that are not there
  std::vector<std::span<const float>> stored_;
  std::vector<std::span<float>> to_store_;
};

}  // namespace freshet
