// DevicePass: the forward and backward pass of a TabularNet's dense part by LibTorch's operations, on a GPU or (to
// test it) on the CPU. The weights stay in host memory, where optimizer, averages and checkpoints are the same for
// every device: they travel to the device and their gradients back at each step. That pays for wide layers and large
// mini-batches only.
//
// Threads: the trainer.  Owns: copies of weights and activations on the device.
// Failure: what LibTorch throws (no memory left, device lost) becomes a Status; weights and gradients stay as they
// were.
#pragma once

#include <memory>

#include "core/status.h"
#include "learners/device.h"
#include "learners/models/tabular_shape.h"

namespace freshet {

class DevicePass {
 public:
  DevicePass(std::shared_ptr<const TabularShape> shape, const Device& device);
  ~DevicePass();
  DevicePass(const DevicePass&) = delete;
  DevicePass& operator=(const DevicePass&) = delete;

  // From scratch.input, already gathered, to scratch.outputs, without the wide part of the table's rows.
  Status forward(const float* dense, TabularScratch& scratch);
  // For the rows of the last forward(): adds to `dense_gradients` and writes `input_gradients`, [rows, input_row] of
  // which the first categories * embedding columns. output_gradients: [rows, output_stride].
  Status backward(float* output_gradients, float* dense_gradients, float* input_gradients, std::size_t input_row);

 private:
  struct Tensors;
  std::shared_ptr<const TabularShape> shape_;
  std::unique_ptr<Tensors> tensors_;
};

}  // namespace freshet
