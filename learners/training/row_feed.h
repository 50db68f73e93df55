// RowFeed: the mini-batches of a phase that passes over whole sets of rows, in an order shuffled anew for each pass.
// Rows of the memory are read a piece at a time (kPieceRows, or one mini-batch where that is more).
//
// Threads: the trainer.  Owns: the order of the rows and the pieces. Borrows the round's input.
// Failure: next() passes on what reading the memory gives.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/rng.h"
#include "learners/training/learner.h"
#include "learners/training/round_plan.h"
#include "learners/training/strategy.h"

namespace freshet {

class RowFeed {
 public:
  static constexpr std::size_t kPieceRows = 8192;

  // `input.memory` or else `input.replay` is the memory. batch_rows: of a mini-batch, of both kinds together.
  void begin(const RoundInput& input, const RoundPhase& phase, std::size_t batch_rows, Rng& rng);
  // False where the phase is over; the batch stays valid until the next call.
  Result<bool> next(MiniBatch& batch, Rng& rng);

 private:
  void shuffle(Rng& rng);
  // Rows of either kind before a step: each step has as many of both together, to one, and its share of either.
  std::size_t rows_before(std::size_t step) const { return step * (fresh_.size() + memory_.size()) / steps_; }
  std::size_t fresh_before(std::size_t step) const {
    return rows_before(step) * fresh_.size() / (fresh_.size() + memory_.size());
  }
  std::size_t memory_before(std::size_t step) const { return rows_before(step) - fresh_before(step); }
  Status read_piece();
  void give_back_losses();

  const RoundInput* input_ = nullptr;
  std::size_t batch_rows_ = 1;
  std::vector<std::uint32_t> fresh_;   // rows in the order of this pass
  std::vector<std::uint32_t> memory_;  // likewise
  std::size_t passes_left_ = 0;
  std::size_t steps_ = 0;                           // of a pass
  std::size_t step_ = 0;                            // next one of this pass
  std::size_t piece_end_ = 0;                       // step that the piece ends before
  std::size_t piece_fresh_ = 0, piece_memory_ = 0;  // where the piece begins
  std::size_t piece_memory_end_ = 0;
  EncodedBatch fresh_piece_, memory_piece_;
  std::vector<float> losses_;  // of the rows of the memory in the piece
};

}  // namespace freshet
