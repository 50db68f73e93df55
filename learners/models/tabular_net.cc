#include "learners/models/tabular_net.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

#include "core/rng.h"
#include "learners/models/kernels.h"
#include "learners/models/nearly_normal.h"

namespace freshet {

namespace {

float uniform(Rng& rng, float bound) { return bound * static_cast<float>(2.0 * rng.uniform() - 1.0); }

void initialise_matrix(Rng& rng, std::size_t rows, std::size_t columns, float* weight) {
  const float bound = 1.0F / std::sqrt(static_cast<float>(rows));
  const std::size_t stride = round_up(columns, kLanes);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) weight[i * stride + j] = uniform(rng, bound);
  }
}

void initialise_cross(const TabularShape& shape, Rng& rng, float* dense) {
  const CrossShape& cross = shape.cross;
  for (const auto& layer : cross.layers) {
    if (cross.rank > 0) initialise_matrix(rng, cross.width, cross.rank, dense + layer.down);
    initialise_matrix(rng, cross.rank > 0 ? cross.rank : cross.width, cross.width, dense + layer.up);
  }
  if (cross.parallel) initialise_matrix(rng, cross.width, shape.outputs, dense + cross.output);
}

}  // namespace

Result<std::unique_ptr<TabularNet>> make_tabular_net(const ModelOptions& options, const EncodedLayout& layout) {
  auto shape = TRY(TabularShape::make(options, layout));
  return std::make_unique<TabularNet>(std::move(shape), options);
}

TabularNet::TabularNet(TabularShape shape, const ModelOptions& options)
    : shape_(std::make_shared<const TabularShape>(std::move(shape))), initial_(options.initial) {
  parameters_.tensors = shape_->tensors;
  parameters_.dense.reset(shape_->dense_size);
  parameters_.dense_gradients.reset(shape_->dense_size);
  if (shape_->table_rows > 0) parameters_.table = RowTable(shape_->table_rows, shape_->table_width);
  if (options.recompute && !shape_->layers.empty()) scratch_.hidden.keep_segments(shape_->layers.size() - 1);
  hidden_layers_ = hidden_layers_of(*shape_);
  compact_hidden_.resize(hidden_layers_.size());
  initialise(options.seed, options.embedding_scale);
}

// Layers start uniform within initial_bounds(), cross layers always as kFanIn; embeddings nearly normal; the wide part
// and the biases of cross layers at zero, where a convex problem and a product may start. Embeddings do not depend on
// `initial`, whose every value draws as often: rows that never moved are not stored.
void TabularNet::initialise(std::uint64_t seed, float embedding_scale) {
  Rng rng(seed);
  parameters_.dense.zero();
  for (const auto& layer : shape_->layers) {
    const auto bounds = initial_bounds(initial_, layer.in, layer.out);
    float* weight = parameters_.dense.data() + layer.weight;
    for (std::size_t i = 0; i < layer.in; ++i) {
      for (std::size_t j = 0; j < layer.out; ++j) weight[i * layer.stride + j] = uniform(rng, bounds.weight);
    }
    for (std::size_t j = 0; j < layer.out; ++j) parameters_.dense.data()[layer.bias + j] = uniform(rng, bounds.bias);
  }
  if (shape_->cross.any()) initialise_cross(*shape_, rng, parameters_.dense.data());
  RowTable& table = parameters_.table;
  table.values().zero();
  for (std::size_t row = 0; row < table.rows(); ++row) {
    for (std::size_t e = 0; e < shape_->embedding; ++e) table.row(row)[e] = nearly_normal(rng, embedding_scale);
  }
  table.restore_used({});
}

TabularWeights TabularNet::weights() const {
  return {parameters_.dense.data(), parameters_.table.values().data(), parameters_.table.stride()};
}

Result<std::span<const float>> TabularNet::forward(std::span<const RowRange> rows) {
  TRY(check_rows(*shape_, rows));
  gather_input(*shape_, weights(), rows, scratch_);
  dense_forward(*shape_, parameters_.dense.data(), scratch_);
  add_wide_rows(*shape_, weights(), rows, scratch_);
  rows_.resize(std::max(rows_.size(), scratch_.rows * shape_->categories));
  std::uint32_t* to = rows_.data();
  for (const auto& range : rows) {
    const std::uint32_t* hashes = range.batch->hashes();
    for (std::size_t i = range.begin * shape_->categories; i < range.end * shape_->categories; ++i) {
      *to++ = shape_->row_of(hashes[i]);
    }
  }
  const std::size_t width = shape_->outputs;
  compact_outputs_.resize(std::max(compact_outputs_.size(), scratch_.rows * width));
  for (std::size_t i = 0; i < scratch_.rows; ++i) {
    std::copy_n(scratch_.outputs.data() + i * shape_->output_stride, width, compact_outputs_.data() + i * width);
  }
  return std::span<const float>(compact_outputs_.data(), scratch_.rows * width);
}

Result<std::span<const float>> TabularNet::hidden(std::size_t layer) {
  if (layer >= hidden_layers_.size()) return out_of_range(fmt::format("the model has no hidden layer {}", layer));
  const std::size_t width = hidden_layers_[layer].width;
  std::vector<float>& compact = compact_hidden_[layer];
  compact.resize(std::max(compact.size(), scratch_.rows * width));
  recompute_hidden(layer);
  const float* from = scratch_.hidden.layer(layer);
  for (std::size_t i = 0; i < scratch_.rows; ++i) {
    std::copy_n(from + i * shape_->layers[layer].stride, width, compact.data() + i * width);
  }
  return std::span<const float>(compact.data(), scratch_.rows * width);
}

Status TabularNet::backward_from_hidden(std::span<const float> output_gradients,
                                        std::span<const std::span<const float>> hidden_gradients) {
  TRY(check_hidden_gradients(*this, scratch_.rows, hidden_gradients));
  const std::size_t width = shape_->outputs;
  if (output_gradients.size() != scratch_.rows * width) abort_with("backward() without its forward()");
  if (scratch_.rows == 0) return Status::ok();
  // Padding columns of the gradients stay zero, and so do those of every product below.
  output_gradients_.reserve(scratch_.rows * shape_->output_stride);
  for (std::size_t i = 0; i < scratch_.rows; ++i) {
    std::copy_n(output_gradients.data() + i * width, width, output_gradients_.data() + i * shape_->output_stride);
  }
  if (shape_->table_rows > 0) parameters_.table.reserve_gradients(scratch_.rows * shape_->categories);
  const bool deep = !shape_->layers.empty();
  const std::size_t input_stride = shape_->cross.any() ? shape_->input_stride : round_up(shape_->embedded(), kLanes);
  input_gradients_.reserve(scratch_.rows * input_stride);
  if (shape_->wide) backward_wide();
  if (deep) backward_layers(hidden_gradients);
  if (shape_->cross.any()) backward_cross();
  if (shape_->categories > 0) scatter_rows(deep ? input_gradients_.data() : nullptr, input_stride);
  return Status::ok();
}

void TabularNet::backward_wide() {
  const Kernels& kernels = cpu_kernels();
  const std::size_t stride = shape_->output_stride;
  float* gradients = parameters_.dense_gradients.data();
  kernels.gemm({shape_->numbers, stride, scratch_.rows, scratch_.input.data() + shape_->embedded(), 1,
                shape_->input_stride, output_gradients_.data(), stride, gradients + shape_->wide_weight, stride,
                nullptr, true, false});
  kernels.column_sums(output_gradients_.data(), stride, scratch_.rows, stride, gradients + shape_->wide_bias, true);
}

void TabularNet::backward_layers(std::span<const std::span<const float>> hidden_gradients) {
  const Kernels& kernels = cpu_kernels();
  float* gradients = parameters_.dense_gradients.data();
  const std::size_t rows = scratch_.rows;
  float* above = output_gradients_.data();
  for (std::size_t l = shape_->layers.size(); l-- > 0;) {
    const TabularLayer& layer = shape_->layers[l];
    const bool first = l == 0;
    if (!first) recompute_hidden(l - 1);
    const auto [below, below_stride] = layer_input(*shape_, l, scratch_);
    const Gemm weights{
        layer.in,     layer.stride, rows, below, 1, below_stride, above, layer.stride, gradients + layer.weight,
        layer.stride, nullptr,      true, false};
    if (first && shape_->looks_for_zeros() && 2 * scratch_.sparse_rows >= rows) {
      kernels.gemm_nonzero(weights, scratch_.places.data());
    } else {
      kernels.gemm(weights);
    }
    kernels.column_sums(above, layer.stride, rows, layer.stride, gradients + layer.bias, true);
    // Of the input, only the embeddings need a gradient, and what was crossed.
    const bool crossed = first && shape_->cross.any();
    const std::size_t wanted = first && !crossed ? shape_->embedded() : layer.in;
    if (wanted == 0) return;
    const std::size_t stride = round_up(wanted, kLanes);
    transposed_.reserve(layer.out * stride);
    if (stride != wanted) std::fill_n(transposed_.data(), layer.out * stride, 0.0F);
    kernels.transpose(parameters_.dense.data() + layer.weight, layer.stride, wanted, layer.out, transposed_.data(),
                      stride);
    AlignedBuffer& below_gradients = crossed && !shape_->cross.parallel ? cross_gradients_.output : input_gradients_;
    AlignedBuffer& target = first ? below_gradients : gradients_[l % 2];
    target.reserve(rows * stride);
    kernels.gemm({rows, stride, layer.out, above, layer.stride, 1, transposed_.data(), stride, target.data(), stride,
                  nullptr, false, false});
    if (!first && !hidden_gradients.empty() && !hidden_gradients[l - 1].empty()) {
      const float* from = hidden_gradients[l - 1].data();
      for (std::size_t i = 0; i < rows; ++i, from += wanted) kernels.add(target.data() + i * stride, from, wanted);
    }
    if (!first) kernels.relu_mask(target.data(), below, rows * stride);
    above = target.data();
  }
}

// From the gradient of what the cross layers gave to that of their input, in input_gradients_.
void TabularNet::backward_cross() {
  const Kernels& kernels = cpu_kernels();
  const CrossShape& cross = shape_->cross;
  const std::size_t rows = scratch_.rows;
  float* gradients = parameters_.dense_gradients.data();
  if (cross.parallel) {
    const std::size_t stride = shape_->output_stride;
    kernels.gemm({cross.width, stride, rows, scratch_.cross.output(cross), 1, cross.stride, output_gradients_.data(),
                  stride, gradients + cross.output, stride, nullptr, true, false});
    transposed_.reserve(shape_->outputs * cross.stride);
    std::fill_n(transposed_.data(), shape_->outputs * cross.stride, 0.0F);
    kernels.transpose(parameters_.dense.data() + cross.output, stride, cross.width, shape_->outputs, transposed_.data(),
                      cross.stride);
    cross_gradients_.output.reserve(rows * cross.stride);
    kernels.gemm({rows, cross.stride, shape_->outputs, output_gradients_.data(), stride, 1, transposed_.data(),
                  cross.stride, cross_gradients_.output.data(), cross.stride, nullptr, false, false});
  } else {
    std::fill_n(input_gradients_.data(), rows * cross.stride, 0.0F);
  }
  cross_backward(cross, parameters_.dense.data(), gradients, rows, scratch_.input.data(), scratch_.cross,
                 cross_gradients_, input_gradients_.data());
}

// Makes the activations of `layer` hold again, from the last ones that were kept before it.
void TabularNet::recompute_hidden(std::size_t layer) {
  if (scratch_.hidden.holds(layer)) return;
  const std::size_t end = scratch_.hidden.segment_end(layer);
  for (std::size_t l = scratch_.hidden.segment_begin(layer); l < end; ++l) {
    hidden_forward(*shape_, parameters_.dense.data(), l, scratch_);
  }
}

// Adds each row's share to the gradients of the table rows it looked up: [embedding | wide part].
void TabularNet::scatter_rows(const float* input_gradients, std::size_t stride) {
  RowTable& table = parameters_.table;
  const std::size_t embedding = input_gradients == nullptr ? 0 : shape_->embedding;
  const std::size_t wide = shape_->wide ? shape_->outputs : 0;
  const std::uint32_t* row = rows_.data();
  for (std::size_t i = 0; i < scratch_.rows; ++i) {
    const float* __restrict deep = input_gradients + i * stride;
    const float* __restrict output = output_gradients_.data() + i * shape_->output_stride;
    for (std::size_t c = 0; c < shape_->categories; ++c, ++row) {
      float* __restrict gradient = table.gradient_of(*row);
      for (std::size_t e = 0; e < embedding; ++e) gradient[e] += deep[e];
      for (std::size_t k = 0; k < wide; ++k) gradient[shape_->embedding + k] += output[k];
      deep += embedding;
    }
  }
}

}  // namespace freshet
