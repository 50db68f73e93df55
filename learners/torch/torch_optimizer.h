// TorchOptimizer: an Optimizer's step on a device, by LibTorch's fused operations. Formulas, and what happens to rows
// that a step does not touch, are Optimizer's; an Optimizer in host memory is the image that is saved and loaded.
//
// Threads: the trainer.  Owns: the state on the device.  Failure: throws what LibTorch throws.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "learners/optim/optimizer.h"
#include "learners/torch/device_weights.h"

namespace freshet {

class TorchOptimizer {
 public:
  // Starts from the state of `image`, which outlives it.
  TorchOptimizer(Optimizer& image, const DeviceWeights& net);

  // touched: the rows whose gradients net.row_gradients() holds, [touched] int64.
  void step(const DeviceWeights& net, const at::Tensor& touched, float learning_rate);

  // What a step changes, beside the number of steps (Adam, AdamW).
  std::vector<at::Tensor> state_tensors() const;
  std::int64_t steps() const { return steps_; }
  void set_steps(std::int64_t steps) { steps_ = steps; }

  void upload_state();
  void download_state(std::span<const std::uint32_t> rows);

 private:
  struct Plane {
    at::Tensor dense;  // [dense_size]
    at::Tensor rows;   // [rows, stride]; undefined without a table
  };
  void step_adam(const DeviceWeights& net, const at::Tensor& touched, float learning_rate);

  Optimizer& image_;
  OptimizerOptions options_;
  at::Device device_;
  std::vector<Plane> planes_;
  std::int64_t steps_ = 0;  // Adam, AdamW
  at::Tensor step_count_;   // [] float32: what the fused operations read the number of the step from
  at::Tensor row_steps_;    // [rows] int64, Adam and AdamW
};

}  // namespace freshet
