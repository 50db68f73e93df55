// DeviceWeights: the weights of a model and their gradients as tensors on a device, for the optimizer and the moving
// average there, which need not know what kind of model they are of.
//
// Threads: the trainer.  Owns: nothing by itself.  Failure: none.
#pragma once

#include <ATen/core/Tensor.h>

namespace freshet {

class DeviceWeights {
 public:
  virtual ~DeviceWeights() = default;
  virtual const at::Device& device() const = 0;
  virtual const at::Tensor& dense() const = 0;            // [dense_size]
  virtual const at::Tensor& dense_gradients() const = 0;  // [dense_size]
  virtual const at::Tensor& table() const = 0;            // [rows, stride]; undefined without categories
  virtual const at::Tensor& row_gradients() const = 0;    // [touched, stride]; undefined if none
};

}  // namespace freshet
