// TabularNet: the linear, mlp and wide_deep models with a forward and a backward pass written out by hand over kept
// buffers. On the CPU a step allocates nothing once it has seen its largest mini-batch; on another device the dense
// part goes through LibTorch (DevicePass).
//
// Threads: the trainer.  Owns: parameters, activations and the gradients on their way back.
// Failure: see Model.
#pragma once

#include <memory>
#include <vector>

#include "learners/device.h"
#include "learners/models/device_pass.h"
#include "learners/models/model.h"
#include "learners/models/tabular_shape.h"

namespace freshet {

class TabularNet final : public Model {
 public:
  TabularNet(TabularShape shape, const ModelOptions& options);

  Task task() const override { return shape_->task; }
  std::uint32_t outputs() const override { return static_cast<std::uint32_t>(shape_->outputs); }
  Result<std::span<const float>> forward(std::span<const RowRange> rows) override;
  Status backward(std::span<const float> output_gradients) override;
  Parameters& parameters() override { return parameters_; }
  const Parameters& parameters() const override { return parameters_; }

  const std::shared_ptr<const TabularShape>& shape() const { return shape_; }
  TabularWeights weights() const;
  // From now on the dense part runs through LibTorch on `device`; embeddings stay on the CPU.
  void use_device(const Device& device);
  // Back to the initial weights of `seed`, as if newly made.
  void initialise(std::uint64_t seed, float embedding_scale);

 private:
  void backward_layers();
  void backward_wide();
  void scatter_rows(const float* input_gradients, std::size_t stride);

  std::shared_ptr<const TabularShape> shape_;
  std::unique_ptr<DevicePass> device_;  // null: the kernels of this CPU
  Parameters parameters_;
  TabularScratch scratch_;
  std::vector<std::uint32_t> rows_;       // [rows, categories] of the last forward
  std::vector<float> compact_outputs_;    // [rows, outputs]
  AlignedBuffer output_gradients_;        // [rows, output_stride]
  std::vector<AlignedBuffer> gradients_;  // a hidden layer each, [rows, stride]
  AlignedBuffer input_gradients_;         // [rows, round_up(categories * embedding)]
  AlignedBuffer transposed_;              // weights of one layer, [out, in]
};

}  // namespace freshet
