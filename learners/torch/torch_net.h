// TorchNet: the linear, mlp, wide_deep and dcn models as LibTorch tensors on any device, with autograd for the backward
// pass. Function, layout and initial weights are TabularNet's: its Parameters are the image in host memory, which also
// knows the rows of the table that a step touched and that training ever moved; their gradients exist on the device
// alone.
//
// Threads: the trainer.  Owns: weights, gradients and activations on the device.
// Failure: see Model; functions that return no Status throw what LibTorch throws.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "learners/models/model.h"
#include "learners/models/tabular_net.h"
#include "learners/torch/device_weights.h"

namespace freshet {

struct TorchNetOptions {
  bool recompute = false;  // keep the activations of one hidden layer in several; see hidden_activations.h
  // Products of hidden and cross layers in bfloat16, forward and backward, the output layer's among them; weights, their
  // gradients, losses, the wide part and sums over features stay float32.
  bool bfloat16 = false;
};

class TorchNet final : public Model, public DeviceWeights {
 public:
  // Starts from the weights of `image`, which outlives it.
  TorchNet(TabularNet& image, const at::Device& device, const TorchNetOptions& options = {});

  Task task() const override { return shape_->task; }
  std::uint32_t outputs() const override { return static_cast<std::uint32_t>(shape_->outputs); }
  Result<std::span<const float>> forward(std::span<const RowRange> rows) override;
  Status backward(std::span<const float> output_gradients) override {
    return backward_from_hidden(output_gradients, {});
  }
  std::span<const HiddenLayer> hidden_layers() const override { return hidden_layers_; }
  Result<std::span<const float>> hidden(std::size_t layer) override;
  Status backward_from_hidden(std::span<const float> output_gradients,
                              std::span<const std::span<const float>> hidden_gradients) override;
  // Losses stay on the device: one wait for the whole step.
  Status loss_gradients(std::span<const RowRange> parts, const Loss& loss, std::span<LossSum> sums) override;

  void clear_gradients();
  double squared_gradient_norm();
  void scale_gradients(float factor);
  void gradients_changed() { squared_norm_.reset(); }  // by who has added to them from outside

  // Weights to and from the image; of the table, only the given rows come back.
  void upload_weights();
  void download_weights(std::span<const std::uint32_t> rows);

  const at::Tensor& dense() const override { return dense_; }
  const at::Tensor& dense_gradients() const override { return dense_gradients_; }
  const at::Tensor& table() const override { return table_; }
  const at::Tensor& row_gradients() const override { return row_gradients_; }
  const at::Device& device() const override { return device_; }

 private:
  struct Mean;  // what a mean of losses needs beside the outputs
  void gather(std::span<const RowRange> rows, Mean* mean);
  at::Tensor run();
  at::Tensor product(const at::Tensor& bias, const at::Tensor& x, const at::Tensor& weight) const;
  at::Tensor input() const;
  at::Tensor crossed(const at::Tensor& input) const;
  at::Tensor below_layers() const;
  at::Tensor through_hidden(at::Tensor x, std::size_t begin, std::size_t end, std::vector<at::Tensor>* each) const;
  at::Tensor segment_input(std::size_t segment) const;
  void backward_segments(const std::vector<at::Tensor>& hidden_gradients);
  void collect_row_gradients(const at::Tensor& slots);
  at::Tensor squared_norm() const;

  TabularNet& image_;
  std::shared_ptr<const TabularShape> shape_;
  at::Device device_;
  at::Tensor dense_, dense_gradients_, table_, row_gradients_;
  // Leaves of autograd: views of dense_ whose gradients are views of dense_gradients_.
  std::vector<at::Tensor> weights_, biases_;
  at::Tensor wide_weight_, wide_bias_;
  std::vector<at::Tensor> cross_down_, cross_up_, cross_biases_;
  at::Tensor cross_output_;
  bool bfloat16_ = false;
  std::size_t segment_ = 0;  // hidden layers of which the last one's activations are kept; 0: all are
  // Of the last forward():
  std::vector<std::uint32_t> row_of_lookup_;  // [rows, categories]
  std::size_t count_ = 0;
  at::Tensor numbers_;  // [rows, numbers]
  at::Tensor lookups_;  // [rows * categories, stride], a leaf
  std::vector<at::Tensor> segment_inputs_;  // of all segments but the first, leaves
  at::Tensor outputs_;                      // [rows, outputs]
  std::vector<HiddenLayer> hidden_layers_;
  std::vector<at::Tensor> hidden_;  // a hidden layer each, [rows, width]; of all but the last segment undefined
  std::vector<std::vector<float>> host_hidden_;
  std::vector<float> host_outputs_;
  std::optional<double> squared_norm_;  // of the gradients, where it was read along with the losses
};

}  // namespace freshet
