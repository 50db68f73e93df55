// RoundSifting: the sifting of a learner's rounds: asks its Sifter, puts the kept rows together as mini-batches want
// them, and holds the moving average that `rho` compares with.
//
// Threads: the trainer.  Owns: sifter, room for the kept rows, the average; all but the room is part of a learner's
// state. Failure: create() refuses options out of bounds, and `rho` where the model cannot be copied.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "core/encoded_batch.h"
#include "core/status.h"
#include "learners/training/learner.h"
#include "learners/training/sifting.h"
#include "learners/training/strategy.h"
#include "learners/training/trained_weights.h"

namespace freshet {

class RoundSifting {
 public:
  // `weights` and `columns` (what the strategy stores) outlive it.
  static Result<std::unique_ptr<RoundSifting>> create(const LearnerOptions& options, const EncodedLayout& layout,
                                                      TrainedWeights& weights, std::span<const StoredColumn> columns);

  // See Learner::sift(). `steps`: of the round without sifting; `steps_so_far`: of the learner.
  Result<const KeptRows*> sift(const EncodedBatch& fresh, std::span<const float> replay_losses, std::size_t steps,
                               std::uint64_t steps_so_far, const Loss& loss);

  // The same round of the kept rows alone; valid until the next call.
  RoundInput gather(const RoundInput& input);
  // After it took its steps: what is to be stored goes to where it belongs, what was left out to the report.
  void finish(const RoundInput& input, std::size_t steps, RoundReport& report);
  // After every round, sifted or not: the learner took the steps from `first` on to before `end`.
  Status end_round(std::uint64_t first, std::uint64_t end);

  const SiftingTotals& totals() const { return sifter_.totals(); }
  bool resting() const { return sifter_.resting(); }

  Status save(ByteWriter& out) const;
  Status load(ByteReader& in);  // after the model's weights
  Status restart();             // as newly made, with the weights that there are now

 private:
  RoundSifting(Sifter sifter, std::span<const StoredColumn> columns, double ema_decay)
      : sifter_(std::move(sifter)), columns_(columns), ema_decay_(ema_decay) {}
  Status look_at(const EncodedBatch& fresh, const Loss& loss);

  Sifter sifter_;
  std::span<const StoredColumn> columns_;
  double ema_decay_;
  std::unique_ptr<WeightsCopy> average_;  // with rho
  std::vector<float> average_losses_;
  EncodedBatch rows_;
  std::vector<std::vector<float>> values_;  // what is to be stored with them
  std::vector<std::span<float>> views_;
};

}  // namespace freshet
