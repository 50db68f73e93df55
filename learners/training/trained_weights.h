// TrainedWeights: what a strategy may do with the weights themselves, beside adding gradients: keep copies of them and
// compute under a copy, hold weights near where they were, go back, begin again. The engine behind it tells every copy
// before rows of the embedding table move, so that a copy costs a step what the dense weights and the rows of that step
// cost, never the table.
//
// Threads: the trainer.  Owns: nothing; a copy belongs to who asked for it and must not outlive the engine.
// Failure: an engine whose models cannot be copied refuses with kUnsupported; a device that fails gives an error.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "core/bytes.h"
#include "core/rng.h"
#include "core/status.h"
#include "learners/models/model.h"

namespace freshet {

// The weights at another time, or their moving average. Memory: as the weights and their table.
class WeightsCopy {
 public:
  virtual ~WeightsCopy() = default;
  // Becomes the weights as they are now: O(dense weights).
  virtual Status take() = 0;
  // Moves by `share` of its distance to the weights, as an exponential moving average does: O(dense weights), rows of
  // the table are caught up when they are needed.
  virtual Status approach(float share) = 0;
  // Adds `factor` times the gradients that the model holds now: a step that the model itself does not take.
  virtual Status add_gradients(float factor) = 0;
  // Outputs of all rows, as Model::forward gives them, in memory of its own; valid until its next forward().
  virtual Result<std::span<const float>> forward(std::span<const RowRange> rows) = 0;
  // Of the table, only rows that moved since take(). load() belongs after that of the model's weights.
  virtual Status save(ByteWriter& out) const = 0;
  virtual Status load(ByteReader& in) = 0;
};

// Holds weights near an anchor, each as strongly as it mattered: strength / 2 * sum of importance * (weight -
// anchor)^2. A row of the table that a step does not touch waits with its pull.
class QuadraticPenalty {
 public:
  virtual ~QuadraticPenalty() = default;
  virtual Status clear() = 0;  // as newly made: nothing is of importance
  virtual Status scale_importance(float factor) = 0;
  // importance += factor * (the gradients that the model holds now)^2
  virtual Status add_squared_gradients(float factor) = 0;
  virtual Status set_anchor() = 0;  // the weights as they are now
  // Adds the penalty's gradients to those that the model holds, of the dense weights and the rows with gradients.
  virtual Status add_gradients(float strength) = 0;
  virtual Status save(ByteWriter& out) const = 0;
  virtual Status load(ByteReader& in) = 0;
};

class TrainedWeights {
 public:
  virtual ~TrainedWeights() = default;

  // The gradients that the model holds.
  virtual void clear_gradients() = 0;
  virtual Status scale_gradients(float factor) = 0;

  virtual Result<std::unique_ptr<WeightsCopy>> copy() { return refusal(); }
  virtual Result<std::unique_ptr<QuadraticPenalty>> penalty() { return refusal(); }

  // These move weights outside of a step, on all rows of the table that ever moved. The weights become those of a copy
  // (made by copy()), or the initial ones, with which averages begin anew; the optimizer forgets what it has gathered;
  // weights become factor * weight + noise of that deviation (Ash and Adams, "On Warm-Starting Neural Network
  // Training", 2020).
  virtual Status restore(WeightsCopy& /*copy*/) { return refusal(); }
  virtual Status begin_anew() { return refusal(); }
  virtual Status reset_optimizer() { return refusal(); }
  virtual Status shrink_and_perturb(float /*factor*/, float /*deviation*/, Rng& /*rng*/) { return refusal(); }

 private:
  static Status refusal() { return unsupported("this kind of model keeps no copies of its weights"); }
};

}  // namespace freshet
