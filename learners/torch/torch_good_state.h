// TorchGoodState: what GoodState is to the native engine, for weights on a device: the way back when training goes
// wrong. Copies every tensor that a step moves, whole: on a device that costs less than to follow rows.
//
// Threads: the trainer.  Owns: the copies.  Failure: throws what LibTorch throws.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "learners/torch/torch_ema.h"
#include "learners/torch/torch_optimizer.h"

namespace freshet {

class TorchGoodState {
 public:
  // weights: the same tensors at every call. ema: null where there is none, at every call too.
  void mark(const std::vector<at::Tensor>& weights, const TorchOptimizer& optimizer, const TorchEma* ema);
  void restore(const std::vector<at::Tensor>& weights, TorchOptimizer& optimizer, TorchEma* ema);
  // Whether the weights and their moving average are within kSaneWeightMax.
  static bool sane(const std::vector<at::Tensor>& weights, const TorchEma* ema);

 private:
  std::vector<at::Tensor> kept_;
  std::int64_t optimizer_steps_ = 0;
  TorchEma::Progress ema_;
};

}  // namespace freshet
