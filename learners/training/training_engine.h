// TrainingEngine: where a learner's weights live and move: gradients, optimizer, averages. The native engine keeps them
// in host memory and moves them by this CPU's kernels; the LibTorch engine keeps them on a device. Both compute the
// same functions from the same initial weights and write the same bytes, so a state saved by one is continued by the
// other.
//
// Threads: the trainer.  Owns: weights, gradients, optimizer state, averages.
// Failure: a device that fails gives an error, after which only load() makes the engine usable; load() of bytes that do
// not fit does the same.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/models/model.h"
#include "learners/models/tabular_shape.h"
#include "learners/training/learner.h"

namespace freshet {

class TrainingEngine {
 public:
  struct Publication {
    TabularWeights weights;                // raw or averaged, in host memory; valid until the next step
    std::span<const std::uint32_t> moved;  // rows of the table that may differ from the last publication's
  };

  virtual ~TrainingEngine() = default;

  virtual const std::shared_ptr<const TabularShape>& shape() const = 0;
  virtual Model& model() = 0;

  // One training step: clear, let a strategy add gradients through model(), look at their size, step.
  virtual void clear_gradients() = 0;
  virtual Result<double> squared_gradient_norm() = 0;  // not finite where any gradient is not
  virtual Status scale_gradients(float factor) = 0;
  virtual Status step(float learning_rate) = 0;
  virtual Status end_round() = 0;

  // The way back: weights, optimizer state and moving average as they are now; whether weights and moving average are
  // finite and of a sane size, if they were at the mark; back to it.
  virtual Status mark_good() = 0;
  virtual Result<bool> sane() = 0;
  virtual Status restore_good() = 0;

  // What is to be published (LearnerOptions::published), and the note that it was. `again`: as the state stands,
  // without bringing averages up to date, which is part of the state.
  virtual Result<Publication> publication(bool again) = 0;
  virtual void published() = 0;
  // The training weights in host memory; valid until the next step.
  virtual Result<TabularWeights> weights() = 0;

  virtual Status save(ByteWriter& out) = 0;
  // seed, embedding_scale: of the initial weights, which rows that never moved still have.
  virtual Status load(ByteReader& in, std::uint64_t seed, float embedding_scale) = 0;
};

Result<std::unique_ptr<TrainingEngine>> make_native_engine(const LearnerOptions& options, const EncodedLayout& layout);

}  // namespace freshet
