// TabularNet: the linear, mlp, wide_deep and dcn models with a forward and a backward pass written out by hand over
// kept buffers: a step allocates nothing once it has seen its largest mini-batch.
//
// Threads: the trainer.  Owns: parameters, activations and the gradients on their way back.
// Failure: see Model.
#pragma once

#include <memory>
#include <vector>

#include "learners/models/model.h"
#include "learners/models/parameters.h"
#include "learners/models/tabular_shape.h"

namespace freshet {

class TabularNet final : public Model {
 public:
  TabularNet(TabularShape shape, const ModelOptions& options);

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
  Status loss_gradients(std::span<const RowRange> parts, const Loss& loss, std::span<LossSum> sums) override {
    return host_loss_gradients(*this, parts, loss, sums, loss_gradients_);
  }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }

  const std::shared_ptr<const TabularShape>& shape() const { return shape_; }
  TabularWeights weights() const;
  // Activations held for backward().
  std::size_t activation_bytes() const { return scratch_.bytes(); }
  // Back to the initial weights of `seed`, as if newly made.
  void initialise(std::uint64_t seed, float embedding_scale);

 private:
  void backward_layers(std::span<const std::span<const float>> hidden_gradients);
  void backward_cross();
  void recompute_hidden(std::size_t layer);
  void backward_wide();
  void scatter_rows(const float* input_gradients, std::size_t stride);

  std::shared_ptr<const TabularShape> shape_;
  InitialWeights initial_;
  Parameters parameters_;
  TabularScratch scratch_;
  std::vector<std::uint32_t> rows_;     // [rows, categories] of the last forward
  std::vector<float> compact_outputs_;  // [rows, outputs]
  std::vector<HiddenLayer> hidden_layers_;
  std::vector<std::vector<float>> compact_hidden_;  // a hidden layer each, [rows, width]; where it was asked for
  std::vector<float> loss_gradients_;               // [rows, outputs]
  AlignedBuffer output_gradients_;                  // [rows, output_stride]
  AlignedBuffer gradients_[2];                      // of one hidden layer and the next, [rows, stride]
  AlignedBuffer input_gradients_;  // [rows, round_up(categories * embedding)], of a dcn [rows, input_stride]
  CrossGradients cross_gradients_;
  AlignedBuffer transposed_;  // weights of one layer, [out, in]
};

}  // namespace freshet
