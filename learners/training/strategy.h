// Strategy: how one mini-batch of fresh and replayed events becomes gradients. What a strategy needs beside the current
// weights (an older model, stored logits) is its own; the learner around it steps, averages, guards and publishes.
//
// Threads: the trainer.  Owns: its own state.  Failure: compute_gradients() passes on what the model refuses.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/models/model.h"
#include "learners/training/losses.h"

namespace freshet {

struct MiniBatch {
  RowRange fresh;
  RowRange replay;  // may be empty
};

struct StepLoss {
  LossSum fresh;
  LossSum replay;
};

struct StrategyOptions {
  std::string_view kind = "er";
  float replay_ratio = 0.5F;  // share of each mini-batch that is replayed
};

class Strategy {
 public:
  static Result<std::unique_ptr<Strategy>> create(const StrategyOptions& options);
  static std::vector<std::string_view> names();  // of all that create() knows
  virtual ~Strategy() = default;

  virtual std::string_view name() const = 0;
  // Share of each mini-batch that is drawn from the replay memory, in [0, 1).
  virtual float replay_ratio() const = 0;
  // Adds the gradients of this mini-batch's loss to the model's parameters, whose gradients are clear.
  virtual Result<StepLoss> compute_gradients(Model& model, const Loss& loss, const MiniBatch& batch) = 0;
  // After the optimizer moved the weights; after the last step of a round.
  virtual void after_step(Model& /*model*/) {}
  virtual void end_round(Model& /*model*/) {}

  // Everything of its own that the next step depends on.
  virtual void save(ByteWriter& /*out*/) const {}
  virtual Status load(ByteReader& /*in*/) { return Status::ok(); }
};

}  // namespace freshet
