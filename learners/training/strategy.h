// Strategy: how one mini-batch of fresh and replayed events becomes gradients. What a strategy needs beside the current
// weights (an older model, stored logits) is its own; the learner around it steps, averages, guards and publishes.
//
// Threads: the trainer.  Owns: its own state.  Failure: compute_gradients() passes on what the model refuses.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/models/model.h"
#include "learners/training/losses.h"
#include "learners/training/round_plan.h"
#include "learners/training/strategy_options.h"
#include "learners/training/trained_weights.h"

namespace freshet {

// What a strategy has stored with each event of the memory, beside the event: a row of floats, written when the event
// is trained on as a fresh one and handed back whenever it is replayed.
struct StoredColumn {
  std::string name;  // "logits", "hidden0"
  std::uint32_t width = 1;
};

// A stored row whose first value is not a number was never written: the event has been in the memory for less than a
// round, or its own step went wrong.
inline constexpr float kNeverStored = std::numeric_limits<float>::quiet_NaN();
inline bool is_stored(std::span<const float> row) { return !row.empty() && !std::isnan(row.front()); }

struct MiniBatch {
  RowRange fresh;
  RowRange replay;                  // may be empty; Strategy::candidates() times as many as are wanted
  std::size_t replay_rows_max = 0;  // replayed rows that a full mini-batch trains on
  float learning_rate = 0.0F;       // of the step to come
  // A matrix for each column that the strategy declares, in that order: [replay.size(), width], what is stored with the
  // replayed rows; and [fresh.size(), width], room for what is to be stored with the fresh ones, never stored as it
  // comes. The second is empty where nobody stores.
  std::span<const std::span<const float>> stored = {};
  std::span<const std::span<float>> to_store = {};
};

struct StepLoss {
  LossSum fresh;
  LossSum replay;  // of the rows trained on
};

struct RoundEnd {
  std::uint64_t round = 0;  // 0, 1, ...
  RowRange fresh;
};

class Strategy {
 public:
  static Result<std::unique_ptr<Strategy>> create(const StrategyOptions& options);
  static std::vector<std::string_view> names();  // of all that create() knows
  virtual ~Strategy() = default;

  virtual std::string_view name() const = 0;
  // Share of each mini-batch that is drawn from the replay memory, in [0, 1).
  virtual float replay_ratio() const = 0;
  // Called once, with the model that is to be trained, before everything below: refuses one that the strategy cannot
  // train, by the option that says so.
  virtual Status prepare(const Model& /*model*/) { return Status::ok(); }
  // Then, once: the weights that the strategy may copy and move; they outlive it.
  virtual Status attach(TrainedWeights& /*weights*/) { return Status::ok(); }

  // How round 0, 1, ... goes; without any phase it trains on nothing.
  virtual std::span<const RoundPhase> plan(std::uint64_t round) const;
  virtual Status begin_phase(std::uint64_t /*round*/, std::size_t /*phase*/) { return Status::ok(); }
  // With kStream: rows of the memory that a step is given for each one that it trains on, to choose from.
  virtual std::uint32_t candidates() const { return 1; }
  // What it has stored with each event of the memory.
  virtual std::span<const StoredColumn> columns() const { return {}; }
  // Adds the gradients of this mini-batch's loss to the model's parameters, whose gradients are clear.
  virtual Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) = 0;
  // After the optimizer moved the weights (not where the step was skipped); after the last step of a round.
  virtual Status after_step(Model& /*model*/) { return Status::ok(); }
  // The weights went back to the round's beginning, after steps that had spoilt them.
  virtual Status went_back() { return Status::ok(); }
  virtual Status end_round(Model& /*model*/, const Loss& /*loss*/, const RoundEnd& /*end*/) { return Status::ok(); }

  // Everything of its own that the next step depends on.
  virtual Status save(ByteWriter& /*out*/) const { return Status::ok(); }
  virtual Status load(ByteReader& /*in*/) { return Status::ok(); }
};

}  // namespace freshet
