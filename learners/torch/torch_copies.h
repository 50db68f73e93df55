// TorchCopies: copies and penalties of a TorchNet's weights on its device (see TrainedWeights). Which rows of the table
// a copy keeps, and how far they lag, is noted in host memory, as NativeCopies does; both write the same bytes.
//
// Threads: the trainer.  Owns: nothing; knows the copies that live, to tell them before rows move.
// Failure: what LibTorch throws becomes an error in copies and penalties; functions that return no Status throw it.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "learners/torch/torch_net.h"
#include "learners/training/trained_weights.h"

namespace freshet {

class TorchCopy;

class TorchCopies {
 public:
  // net and image outlive it, and it outlives the copies. `image` knows the rows that a step touched.
  TorchCopies(TorchNet& net, TabularNet& image) : net_(net), image_(image) {}
  TorchCopies(const TorchCopies&) = delete;
  TorchCopies& operator=(const TorchCopies&) = delete;

  std::unique_ptr<WeightsCopy> copy();
  std::unique_ptr<QuadraticPenalty> penalty();

  // Before these rows of the table move.
  void before_move(std::span<const std::uint32_t> rows);
  // The rows that restore() will move, and the restoring itself.
  static std::span<const std::uint32_t> rows_of(const WeightsCopy& copy);
  static void restore(WeightsCopy& copy);

 private:
  friend class TorchCopy;
  TorchNet& net_;
  TabularNet& image_;
  std::vector<TorchCopy*> copies_;
};

}  // namespace freshet
