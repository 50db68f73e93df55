// Learner: a model that learns in rounds: fresh events in their order, joined by replayed ones, one optimizer step a
// mini-batch; and the published copies of its weights.
//
// Threads: the trainer, all methods; what publish() returns may be used on any thread.
// Owns: weights, gradients, optimizer state, averages, generator, published copies.
// Failure: a step whose loss or gradient is not finite is skipped and counted; after `restore_after` of them in a row,
// or where a round ends with weights that are not finite, weights, optimizer state and averages go back to the round's
// beginning: weights that are not finite are never published. load() of bytes that do not fit returns
// an error, after which only another load() makes the learner usable. A device that fails makes train_round() and
// save() fail; publish() then repeats the weights that came last to host memory, and the next train_round() tells why.
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
#include "learners/device.h"
#include "learners/training/learner_options.h"

namespace freshet {

struct StoredColumn;  // learners/training/strategy.h
class ReplayReader;   // learners/training/round_plan.h

struct RoundInput {
  const EncodedBatch* fresh = nullptr;   // rows [0, size) in order, held-out ones left out already
  const EncodedBatch* replay = nullptr;  // sampled rows; null or empty while there is no memory
  std::uint64_t round = 0;
  // Room for the loss of each replayed row before the step that trained on it; what is not reached stays as it is.
  std::span<float> replay_losses = {};
  // For a strategy that stores (Learner::stored_columns), a matrix for each column: what is stored with the replayed
  // rows, [replay->size(), width], where train_round() fills in rows that it has trained on as fresh ones by then
  // (their seqs say so); and room for what is to be stored with the fresh rows, [fresh->size(), width]. Without the
  // first nothing counts as stored, without the second nothing is written.
  std::span<const std::span<float>> stored = {};
  std::span<const std::span<float>> to_store = {};
  // The whole memory, where the round passes over it (Learner::reads_memory_in_pieces); null: `replay` is all of it.
  ReplayReader* memory = nullptr;
  // What Learner::sift() said of this round; `replay` then holds the kept rows alone. Null: all rows are trained on.
  const KeptRows* kept = nullptr;
  float rate_factor = 1.0F;  // of the learning rates of this round's steps
};

struct RoundReport {
  std::uint64_t steps = 0;          // steps taken, skipped ones not counted
  std::uint64_t samples_fresh = 0;  // fresh rows in those steps
  std::uint64_t samples_replayed = 0;
  std::uint64_t samples_considered = 0;  // by sifting, which kept some and left out the others; 0: it rested
  std::uint64_t samples_sifted_out = 0;
  std::uint64_t sifting_forwards = 0;    // forward passes of rows that choosing took
  std::uint64_t samples_unusable = 0;    // label or weight not usable: no part in the loss
  std::uint64_t skipped_non_finite = 0;  // steps skipped by the guard
  std::uint64_t restored = 0;            // times that the state went back to that of the round's beginning
  std::uint64_t clipped = 0;             // steps whose gradient was shortened
  double mean_loss = 0.0;                // weighted losses of fresh rows before their step, divided by samples_fresh
  double mean_replay_loss = 0.0;
  double learning_rate = 0.0;  // of the last step
};

class Learner {
 public:
  // On a GPU, weights, gradients, optimizer state and averages live there (see learners/torch/torch_engine.h).
  static Result<std::unique_ptr<Learner>> create(const LearnerOptions& options, const EncodedLayout& layout,
                                                 const Device& device);
  ~Learner();
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  // Which rows of the coming round are worth a step, by the losses of the fresh rows and those that are known of the
  // replayed ones (not finite: unknown). The caller may spare itself reading the replayed rows that are left out, and
  // gives the answer to train_round(); it is valid until the next call. Null: all rows, or no sifting.
  Result<const KeptRows*> sift(const EncodedBatch& fresh, std::span<const float> replay_losses);
  bool sifts() const;
  SiftingTotals sifting_totals() const;
  bool sifting_rests() const;  // it did not pay

  // Steps through the fresh rows in order, each trained on once, batch_size * (1 - replay_ratio) at a time; the
  // replayed rows are spread evenly over the steps, at most batch_size * replay_ratio each. Or as the strategy plans
  // the round (learners/training/round_plan.h).
  Result<RoundReport> train_round(const RoundInput& input);

  // A copy of the weights as they are now (raw, moving average or average of rounds, as configured).
  std::shared_ptr<const Predictor> publish(std::uint64_t version);
  // After load(): what the learner that was saved had published last, to the bit. Leaves the state as it is, where
  // publish() brings the moving average of some resting rows up to date.
  std::shared_ptr<const Predictor> republish(std::uint64_t version);

  // A version that this learner or another of the same model published, as bytes that load_published() of a learner in
  // the state of save() now turns back into it, to the bit. Between rounds, right after save() or load().
  Status save_published(const Predictor& version, ByteWriter& out) const;
  Result<std::shared_ptr<const Predictor>> load_published(ByteReader& in);

  // What the strategy stores with each event of the memory; of the model and the options alone.
  std::span<const StoredColumn> stored_columns() const;

  // How many replayed rows the next train_round() uses at most for this many fresh ones: a share of each step's rows,
  // or, where the strategy passes over the whole memory, as many as that holds.
  std::size_t replay_rows_for(std::size_t fresh_rows, std::size_t memory_rows = 0) const;
  // Whether the next round passes over the whole memory and wants it as RoundInput::memory.
  bool reads_memory_in_pieces() const;

  // Loss of each row (unweighted), and predictions, under the training weights.
  Result<std::vector<float>> losses(const EncodedBatch& batch);
  Status evaluate(const EncodedBatch& batch, Predictions& out);

  // Everything that the next round depends on: the loaded learner continues to the bit where the saved one would have
  // (same kernels; see cpu_capability()). To be called between rounds.
  Status save(ByteWriter& out) const;
  Status load(ByteReader& in);

  // The training weights, all of them floats in an order that the architecture fixes, and others in their place; what
  // is published begins anew with them. Integer buffers are left as they are. kUnsupported where the model's engine
  // does not offer it.
  Status copy_weights(std::vector<float>& to) const;
  Status take_weights(std::span<const float> weights);
  // Writes a version that it published as a TorchScript module, which Python loads: models of the architectures convnet
  // and torchscript. `about` is told in the file.
  Status export_model(const std::string& path, std::string_view about, const Predictor& version);

  std::uint64_t steps() const;
  std::uint64_t parameter_count() const;
  const LearnerOptions& options() const;

 private:
  class Impl;
  explicit Learner(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace freshet
