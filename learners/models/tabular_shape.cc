#include "learners/models/tabular_shape.h"

#include <bit>

#include <fmt/core.h>

#include "learners/models/kernels.h"

namespace freshet {

namespace {

std::size_t add_tensor(TabularShape& shape, std::string name, std::size_t rows, std::size_t columns) {
  const std::size_t stride = round_up(columns, kLanes);
  const std::size_t offset = shape.dense_size;
  shape.tensors.push_back({std::move(name), offset, rows, columns, stride});
  shape.dense_size += rows * stride;
  return offset;
}

Status check_options(const ModelOptions& options, const EncodedLayout& layout) {
  constexpr std::uint32_t kWidest = 1U << 16;
  if (layout.dense() + layout.categorical() == 0) return invalid_argument("a model needs at least one feature");
  if (options.task == Task::kMulticlass && (options.classes < 2 || options.classes > kWidest)) {
    return invalid_argument(fmt::format("model.classes is {}; it must be between 2 and {}", options.classes, kWidest));
  }
  if (options.architecture == Architecture::kLinear && layout.categorical() == 0) return Status::ok();
  if (layout.categorical() > 0 && (!std::has_single_bit(options.embedding_rows) || options.embedding_rows > 1U << 28)) {
    return invalid_argument(
        fmt::format("model.embedding_rows is {}; it must be a power of two, at most 2^28", options.embedding_rows));
  }
  if (options.architecture == Architecture::kLinear) return Status::ok();
  if (layout.categorical() > 0 && (options.embedding_dim == 0 || options.embedding_dim > 4096)) {
    return invalid_argument(
        fmt::format("model.embedding_dim is {}; it must be between 1 and 4096", options.embedding_dim));
  }
  if (options.architecture == Architecture::kDcn) {
    const std::size_t width = layout.categorical() * std::size_t{options.embedding_dim} + layout.dense();
    if (options.cross_layers == 0 || options.cross_layers > 16) {
      return invalid_argument(
          fmt::format("model.cross_layers is {}; it must be between 1 and 16", options.cross_layers));
    }
    if (options.cross_rank >= width && options.cross_rank > 0) {
      return invalid_argument(
          fmt::format("model.cross_rank is {}; what is crossed has {} values a row, so it must be below that, or 0 for "
                      "the full rank",
                      options.cross_rank, width));
    }
    if (width > kWidest) {
      return invalid_argument(fmt::format("a dcn over {} values a row; at most {} can be crossed", width, kWidest));
    }
  }
  if (options.hidden.size() > 64) return invalid_argument("model.hidden names more than 64 layers");
  for (const auto width : options.hidden) {
    if (width == 0 || width > kWidest) {
      return invalid_argument(
          fmt::format("model.hidden has a layer of {}; it must be between 1 and {}", width, kWidest));
    }
  }
  return Status::ok();
}

void add_cross(TabularShape& shape, const ModelOptions& options) {
  CrossShape& cross = shape.cross;
  cross.width = shape.input;
  cross.stride = shape.input_stride;
  cross.rank = options.cross_rank;
  cross.rank_stride = round_up(cross.rank, kLanes);
  cross.parallel = options.cross == CrossPlace::kParallel;
  for (std::size_t l = 0; l < options.cross_layers; ++l) {
    CrossLayer layer;
    const std::string name = fmt::format("cross{}", l);
    if (cross.rank > 0) layer.down = add_tensor(shape, name + ".down", cross.width, cross.rank);
    layer.up = cross.rank > 0 ? add_tensor(shape, name + ".up", cross.rank, cross.width)
                              : add_tensor(shape, name + ".weight", cross.width, cross.width);
    layer.bias = add_tensor(shape, name + ".bias", 1, cross.width);
    cross.layers.push_back(layer);
  }
  if (cross.parallel) cross.output = add_tensor(shape, "cross_output.weight", cross.width, shape.outputs);
}

}  // namespace

Result<TabularShape> TabularShape::make(const ModelOptions& options, const EncodedLayout& layout) {
  TRY(check_options(options, layout));
  const bool deep = options.architecture != Architecture::kLinear;
  TabularShape shape;
  shape.task = options.task;
  shape.link = options.link;
  shape.outputs = options.task == Task::kMulticlass ? options.classes : 1;
  shape.output_stride = round_up(shape.outputs, kLanes);
  shape.numbers = layout.dense();
  shape.categories = layout.categorical();
  shape.embedding = deep ? options.embedding_dim : 0;
  shape.wide = options.architecture == Architecture::kLinear || options.architecture == Architecture::kWideDeep;
  shape.input = shape.embedded() + shape.numbers;
  shape.input_stride = round_up(shape.input, kLanes);
  if (options.architecture == Architecture::kDcn) add_cross(shape, options);
  if (deep) {
    std::size_t in = shape.input;
    for (std::size_t l = 0; l <= options.hidden.size(); ++l) {
      const bool last = l == options.hidden.size();
      const std::size_t out = last ? shape.outputs : options.hidden[l];
      TabularLayer layer{in, out, round_up(out, kLanes), 0, 0};
      const std::string name = last ? "output" : fmt::format("hidden{}", l);
      layer.weight = add_tensor(shape, name + ".weight", in, out);
      layer.bias = add_tensor(shape, name + ".bias", 1, out);
      shape.layers.push_back(layer);
      in = out;
    }
  }
  if (shape.wide) {
    shape.wide_weight = add_tensor(shape, "wide.weight", shape.numbers, shape.outputs);
    shape.wide_bias = add_tensor(shape, "wide.bias", 1, shape.outputs);
  }
  shape.table_rows = shape.categories > 0 ? options.embedding_rows : 0;
  shape.table_width = shape.embedding + (shape.wide ? shape.outputs : 0);
  return shape;
}

std::vector<HiddenLayer> hidden_layers_of(const TabularShape& shape) {
  std::vector<HiddenLayer> layers;
  for (std::size_t l = 0; l + 1 < shape.layers.size(); ++l) {
    layers.push_back({fmt::format("hidden{}", l), static_cast<std::uint32_t>(shape.layers[l].out)});
  }
  return layers;
}

void TabularScratch::prepare(const TabularShape& shape, std::size_t row_count) {
  rows = row_count;
  input.reserve(row_count * shape.input_stride);
  cross.prepare(shape.cross, row_count);
  hidden.prepare(shape, row_count);
  outputs.reserve(row_count * shape.output_stride);
  if (shape.looks_for_zeros() && places.size() < shape.input) places.resize(shape.input);
}

std::size_t TabularScratch::bytes() const {
  return (input.size() + outputs.size()) * sizeof(float) + cross.bytes() + hidden.bytes();
}

std::uint64_t TabularShape::parameter_count() const {
  std::uint64_t count = table_rows * table_width;
  for (const auto& tensor : tensors) count += tensor.rows * tensor.columns;
  return count;
}

Status check_rows(const TabularShape& shape, std::span<const RowRange> rows) {
  for (const auto& range : rows) {
    if (range.batch == nullptr || range.begin > range.end || range.end > range.batch->size()) {
      return out_of_range("rows outside of their batch");
    }
    if (range.batch->dense_width() != shape.numbers || range.batch->categorical_width() != shape.categories) {
      return invalid_argument(fmt::format("rows of {} numbers and {} categories for a model of {} and {}",
                                          range.batch->dense_width(), range.batch->categorical_width(), shape.numbers,
                                          shape.categories));
    }
  }
  return Status::ok();
}

namespace {

void gather_row(const TabularShape& shape, const TabularWeights& weights, const std::uint32_t* hashes,
                const float* numbers, float* __restrict input) {
  const std::size_t width = shape.embedding;
  for (std::size_t c = 0; c < shape.categories && width > 0; ++c) {
    const float* __restrict row = weights.table + shape.row_of(hashes[c]) * weights.table_stride;
    for (std::size_t e = 0; e < width; ++e) input[e] = row[e];
    input += width;
  }
  for (std::size_t d = 0; d < shape.numbers; ++d) input[d] = numbers[d];
}

}  // namespace

void gather_input(const TabularShape& shape, const TabularWeights& weights, std::span<const RowRange> rows,
                  TabularScratch& scratch) {
  scratch.prepare(shape, row_count(rows));
  float* input = scratch.input.data();
  for (const auto& range : rows) {
    for (std::size_t i = range.begin; i < range.end; ++i, input += shape.input_stride) {
      gather_row(shape, weights, range.batch->hashes() + i * shape.categories, range.batch->dense() + i * shape.numbers,
                 input);
    }
  }
}

LayerInput layer_input(const TabularShape& shape, std::size_t layer, const TabularScratch& scratch) {
  if (layer > 0) return {scratch.hidden.layer(layer - 1), shape.layers[layer - 1].stride};
  const bool crossed = shape.cross.any() && !shape.cross.parallel;
  return {crossed ? scratch.cross.output(shape.cross) : scratch.input.data(), shape.input_stride};
}

namespace {

// The first layer, without the products with zeros where a row has many. Each row decides for itself: its result does
// not depend on the rows beside it.
void first_layer(const Gemm& gemm, TabularScratch& scratch) {
  const Kernels& kernels = cpu_kernels();
  scratch.sparse_rows = 0;
  std::size_t waiting = 0;  // dense rows before row i that were not multiplied yet
  const auto multiply_waiting = [&](std::size_t i) {
    Gemm part = gemm;
    part.m = waiting;
    part.a += (i - waiting) * gemm.a_row;
    part.c += (i - waiting) * gemm.c_row;
    if (waiting > 0) kernels.gemm(part);
    waiting = 0;
  };
  for (std::size_t i = 0; i < gemm.m; ++i) {
    const float* a = gemm.a + i * gemm.a_row;
    const std::size_t count = kernels.nonzero(a, gemm.k, scratch.places.data());
    if (2 * count > gemm.k) {
      ++waiting;
      continue;
    }
    multiply_waiting(i);
    kernels.sparse_row(
        {gemm.n, count, a, scratch.places.data(), gemm.b, gemm.b_row, gemm.c + i * gemm.c_row, gemm.bias, gemm.relu});
    ++scratch.sparse_rows;
  }
  multiply_waiting(gemm.m);
}

void layer_forward(const TabularShape& shape, const float* dense, std::size_t l, float* to, TabularScratch& scratch) {
  const TabularLayer& layer = shape.layers[l];
  const LayerInput from = layer_input(shape, l, scratch);
  const bool relu = l + 1 < shape.layers.size();
  const Gemm gemm{scratch.rows, layer.stride, layer.in,     from.values,        from.stride, 1,   dense + layer.weight,
                  layer.stride, to,           layer.stride, dense + layer.bias, false,       relu};
  if (l == 0 && shape.looks_for_zeros()) {
    first_layer(gemm, scratch);
  } else {
    cpu_kernels().gemm(gemm);
  }
}

}  // namespace

void hidden_forward(const TabularShape& shape, const float* dense, std::size_t l, TabularScratch& scratch) {
  layer_forward(shape, dense, l, scratch.hidden.layer(l), scratch);
  scratch.hidden.computed(l);
}

void dense_forward(const TabularShape& shape, const float* dense, TabularScratch& scratch) {
  const Kernels& kernels = cpu_kernels();
  float* outputs = scratch.outputs.data();
  if (shape.cross.any()) cross_forward(shape.cross, dense, scratch.rows, scratch.input.data(), scratch.cross);
  if (!shape.layers.empty()) {
    const std::size_t last = shape.layers.size() - 1;
    for (std::size_t l = 0; l < last; ++l) hidden_forward(shape, dense, l, scratch);
    layer_forward(shape, dense, last, outputs, scratch);
  }
  if (shape.cross.parallel) {
    kernels.gemm({scratch.rows, shape.output_stride, shape.cross.width, scratch.cross.output(shape.cross),
                  shape.cross.stride, 1, dense + shape.cross.output, shape.output_stride, outputs, shape.output_stride,
                  nullptr, true, false});
  }
  if (!shape.wide) return;
  const bool after_deep = !shape.layers.empty();
  const float* bias = dense + shape.wide_bias;
  kernels.gemm({scratch.rows, shape.output_stride, shape.numbers, scratch.input.data() + shape.embedded(),
                shape.input_stride, 1, dense + shape.wide_weight, shape.output_stride, outputs, shape.output_stride,
                bias, after_deep, false});
  if (!after_deep) return;
  // Here the sum started from the deep part's outputs, so the bias is still missing.
  for (std::size_t i = 0; i < scratch.rows; ++i, outputs += shape.output_stride) {
    for (std::size_t k = 0; k < shape.outputs; ++k) outputs[k] += bias[k];
  }
}

void add_wide_rows(const TabularShape& shape, const TabularWeights& weights, std::span<const RowRange> rows,
                   TabularScratch& scratch) {
  if (!shape.wide) return;
  float* __restrict outputs = scratch.outputs.data();
  for (const auto& range : rows) {
    const std::uint32_t* hashes = range.batch->hashes() + range.begin * shape.categories;
    for (std::size_t i = range.begin; i < range.end; ++i, outputs += shape.output_stride) {
      for (std::size_t c = 0; c < shape.categories; ++c, ++hashes) {
        const float* __restrict part = weights.table + shape.row_of(*hashes) * weights.table_stride + shape.embedding;
        for (std::size_t k = 0; k < shape.outputs; ++k) outputs[k] += part[k];
      }
    }
  }
}

void tabular_forward(const TabularShape& shape, const TabularWeights& weights, std::span<const RowRange> rows,
                     TabularScratch& scratch) {
  gather_input(shape, weights, rows, scratch);
  dense_forward(shape, weights.dense, scratch);
  add_wide_rows(shape, weights, rows, scratch);
}

}  // namespace freshet
