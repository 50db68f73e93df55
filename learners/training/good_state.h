// GoodState: the way back when training goes wrong: weights, optimizer state and moving average as they were at the
// last mark(), which is the beginning of a round. Dense values are copied at the mark; a row of the table is kept when
// a step is about to move it for the first time since, so that the cost is that of the rows which move.
//
// Threads: the trainer.  Owns: what it keeps; borrows what it goes back to, which must outlive it.
// Failure: none.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "learners/models/parameters.h"
#include "learners/optim/optimizer.h"
#include "learners/training/averaging.h"

namespace freshet {

// Beyond it products of weights and activations overflow, before the weights themselves do.
inline constexpr float kSaneWeightMax = 1e15F;

class GoodState {
 public:
  GoodState(Parameters& parameters, Optimizer& optimizer, Ema* ema);

  void mark();
  // Before these rows move, or are caught up by the moving average.
  void before_move(std::span<const std::uint32_t> rows);
  // Rows that moved since the mark, each once.
  std::span<const std::uint32_t> moved() const { return rows_; }
  // Whether the dense weights and those rows, and the moving average of both, are within kSaneWeightMax.
  bool sane() const;
  void restore();

 private:
  template <typename Visit>
  void each_row_array(const Visit& visit) const;

  Parameters& parameters_;
  Ema* ema_;
  OptimizerState optimizer_;
  std::vector<float> dense_;             // weights, optimizer planes, moving average
  std::vector<std::uint32_t> epoch_of_;  // of each row of the table: when it was kept last
  std::uint32_t epoch_ = 0;
  std::vector<std::uint32_t> rows_;
  std::vector<float> values_;  // of each of rows_: weights, optimizer planes, moving average
  std::vector<std::uint32_t> row_steps_;
  std::vector<double> row_log_products_;
  std::uint64_t optimizer_steps_ = 0;
  std::uint64_t ema_steps_ = 0;
  double ema_log_product_ = 0.0;
};

}  // namespace freshet
