// NativeCopies: copies and penalties of a TabularNet's weights in host memory, and the moves of its weights outside of
// a step (see TrainedWeights).
//
// Threads: the trainer.  Owns: nothing; knows the copies that live, to tell them before rows move.
// Failure: as TrainedWeights.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "learners/models/tabular_net.h"
#include "learners/training/trained_weights.h"

namespace freshet {

class NativeCopy;

class NativeCopies {
 public:
  // `net` outlives it, and it outlives the copies.
  explicit NativeCopies(TabularNet& net) : net_(net) {}
  NativeCopies(const NativeCopies&) = delete;
  NativeCopies& operator=(const NativeCopies&) = delete;

  std::unique_ptr<WeightsCopy> copy();
  std::unique_ptr<QuadraticPenalty> penalty();

  // Before these rows of the table move.
  void before_move(std::span<const std::uint32_t> rows);
  // The rows that restore() will move, and the restoring itself.
  static std::span<const std::uint32_t> rows_of(const WeightsCopy& copy);
  static void restore(WeightsCopy& copy);

 private:
  friend class NativeCopy;
  TabularNet& net_;
  std::vector<NativeCopy*> copies_;
};

// The initial weights of `seed` for all rows; those that ever moved count as changed.
void begin_anew(TabularNet& net, std::uint64_t seed, float embedding_scale);
// The dense weights and the rows that ever moved.
void shrink_and_perturb(Parameters& parameters, float factor, float deviation, Rng& rng);

}  // namespace freshet
