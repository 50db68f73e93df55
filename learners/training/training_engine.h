// TrainingEngine: where a learner's weights live and move: gradients, optimizer, averages, published copies. For the
// models over tables there are two: the native engine keeps the weights in host memory and moves them by this CPU's
// kernels; the LibTorch engine keeps them on a device. Both compute the same functions from the same initial weights
// and write the same bytes, so a state saved by one is continued by the other.
//
// Threads: the trainer; what is published may be used on any thread.
// Owns: weights, gradients, optimizer state, averages, published copies.
// Failure: a device that fails gives an error, after which only load() makes the engine usable; load() of bytes that do
// not fit does the same.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/encoded_batch.h"
#include "core/predictor.h"
#include "core/status.h"
#include "learners/models/model.h"
#include "learners/training/learner.h"
#include "learners/training/trained_weights.h"

namespace freshet {

class TrainingEngine : public TrainedWeights {
 public:
  virtual Model& model() = 0;
  virtual std::uint64_t parameter_count() const = 0;

  // One training step: clear the gradients, let a strategy add gradients through model(), look at their size, step.
  virtual Result<double> squared_gradient_norm() = 0;  // not finite where any gradient is not
  virtual Status step(float learning_rate) = 0;
  virtual Status end_round() = 0;

  // The way back: weights, optimizer state and moving average as they are now; whether weights and moving average are
  // finite and of a sane size, if they were at the mark; back to it.
  virtual Status mark_good() = 0;
  virtual Result<bool> sane() = 0;
  virtual Status restore_good() = 0;

  // An immutable copy of the weights that LearnerOptions::published names. `again`: as the state stands, without
  // bringing averages up to date, which is part of the state.
  virtual Result<std::shared_ptr<const Predictor>> publish(std::uint64_t version, bool again) = 0;
  // Where that failed: the weights that came last to host memory, the initial ones at first.
  virtual std::shared_ptr<const Predictor> publish_last(std::uint64_t version) = 0;

  // A version that this engine or another of its kind published, as bytes beside those of save(); and back, after
  // load().
  virtual Status save_published(const Predictor& version, ByteWriter& out) = 0;
  virtual Result<std::shared_ptr<const Predictor>> load_published(ByteReader& in) = 0;

  // Predictions for all rows under the training weights.
  virtual Status evaluate(const EncodedBatch& batch, Predictions& out) = 0;

  // See Learner::copy_weights() and take_weights().
  virtual Status copy_weights(std::vector<float>&) { return unsupported("this engine's weights cannot be averaged"); }
  virtual Status take_weights(std::span<const float>) {
    return unsupported("this engine's weights cannot be averaged");
  }
  // Writes a version that publish() or load_published() gave as a TorchScript file; `about` goes into it.
  virtual Status export_model(const std::string& path, std::string_view about, const Predictor& version);

  virtual Status save(ByteWriter& out) = 0;
  // seed, embedding_scale: of the initial weights, which rows that never moved still have.
  virtual Status load(ByteReader& in, std::uint64_t seed, float embedding_scale) = 0;
};

Result<std::unique_ptr<TrainingEngine>> make_native_engine(const LearnerOptions& options, const EncodedLayout& layout);

}  // namespace freshet
