// Optimizer: one step along the gradients. Dense weights move as torch.optim moves them; of the embedding table only
// the rows that the step touched move, so that the cost of a step does not grow with the table.
//
// What "only the touched rows" means for a row that a step does not touch:
//   SGD      without momentum: nothing. With momentum: its momentum waits, and so does its weight decay.
//   Adagrad  nothing (its sum of squares would not have changed either); its weight decay waits.
//   Adam,    its moments and weight decay wait, and its bias correction counts the steps of this row alone.
//   AdamW
//
// Threads: the trainer.  Owns: its state, as long as the weights.  Failure: create() refuses options out of bounds;
// load() refuses the state of another optimizer or shape. SGD's momentum may be switched on (it starts at zero) or off.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/models/parameters.h"

namespace freshet {

enum class OptimizerKind : std::uint8_t { kSgd, kAdamW, kAdagrad, kAdam };  // stored as these numbers
Result<OptimizerKind> parse_optimizer(std::string_view name);
std::string_view optimizer_name(OptimizerKind kind);

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kAdagrad;
  float weight_decay = 0.0F;         // decoupled for AdamW (Loshchilov and Hutter, 2019), else added to the gradient
  float momentum = 0.0F;             // SGD
  bool nesterov = false;             // SGD
  float beta1 = 0.9F;                // Adam (Kingma and Ba, 2015), AdamW
  float beta2 = 0.999F;              // Adam, AdamW
  float epsilon = 0.0F;              // 0: 1e-8 (Adam, AdamW), 1e-10 (Adagrad)
  float initial_accumulator = 0.0F;  // Adagrad (Duchi et al., 2011)
};

// Where an optimizer keeps its state, for an engine that moves it on a device and saves and loads it through here.
struct OptimizerState {
  struct Plane {
    std::span<float> dense;  // a value for each dense weight
    std::span<float> rows;   // and for each weight of the table
  };
  std::vector<Plane> planes;           // SGD: momentum, if any; Adam, AdamW: first and second moment; Adagrad: sums
  std::uint64_t* steps = nullptr;      // Adam, AdamW
  std::span<std::uint32_t> row_steps;  // Adam, AdamW: of each row
};

class Optimizer {
 public:
  static Result<std::unique_ptr<Optimizer>> create(const OptimizerOptions& options, const Parameters& parameters);
  virtual ~Optimizer() = default;

  virtual OptimizerKind kind() const = 0;
  virtual const OptimizerOptions& options() const = 0;  // with the defaults filled in
  virtual OptimizerState state() = 0;
  // Moves the weights along their gradients; the gradients stay.
  virtual void step(Parameters& parameters, float learning_rate) = 0;
  // As if newly made.
  virtual void reset() = 0;
  virtual void save(ByteWriter& out, const Parameters& parameters) const = 0;
  // After `parameters` were loaded: their used rows are the rows stored.
  virtual Status load(ByteReader& in, const Parameters& parameters) = 0;
};

}  // namespace freshet
