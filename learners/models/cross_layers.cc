#include "learners/models/cross_layers.h"

#include <algorithm>

#include "learners/models/kernels.h"

namespace freshet {

namespace {

void reserve_each(std::vector<AlignedBuffer>& buffers, std::size_t count, std::size_t size) {
  if (buffers.size() < count) buffers.resize(count);
  for (std::size_t l = 0; l < count; ++l) buffers[l].reserve(size);
}

// target (+)= gradient, [rows, columns], times the transposed weights, [inputs, columns].
void back_through(const float* gradient, std::size_t rows, std::size_t columns, std::size_t column_stride,
                  const float* weights, std::size_t inputs, std::size_t stride, float* target, bool accumulate,
                  AlignedBuffer& transposed) {
  const Kernels& kernels = cpu_kernels();
  transposed.reserve(columns * stride);
  if (stride != inputs) std::fill_n(transposed.data(), columns * stride, 0.0F);
  kernels.transpose(weights, column_stride, inputs, columns, transposed.data(), stride);
  kernels.gemm({rows, stride, columns, gradient, column_stride, 1, transposed.data(), stride, target, stride, nullptr,
                accumulate, false});
}

// weight_gradients += transposed inputs times gradient.
void add_weight_gradients(const float* inputs, std::size_t input_stride, std::size_t input_width, std::size_t rows,
                          const float* gradient, std::size_t stride, float* weight_gradients) {
  cpu_kernels().gemm({input_width, stride, rows, inputs, 1, input_stride, gradient, stride, weight_gradients, stride,
                      nullptr, true, false});
}

}  // namespace

void CrossScratch::prepare(const CrossShape& shape, std::size_t rows) {
  if (!shape.any()) return;
  reserve_each(products, shape.layers.size(), rows * shape.stride);
  reserve_each(factors, shape.layers.size(), rows * shape.stride);
  if (shape.rank > 0) reserve_each(low, shape.layers.size(), rows * shape.rank_stride);
}

std::size_t CrossScratch::bytes() const {
  std::size_t floats = 0;
  for (const auto* buffers : {&low, &factors, &products}) {
    for (const auto& buffer : *buffers) floats += buffer.size();
  }
  return floats * sizeof(float);
}

void cross_forward(const CrossShape& shape, const float* dense, std::size_t rows, const float* input,
                   CrossScratch& scratch) {
  const Kernels& kernels = cpu_kernels();
  const float* x = input;
  for (std::size_t l = 0; l < shape.layers.size(); ++l) {
    const CrossLayer& layer = shape.layers[l];
    const float* from = x;
    std::size_t from_width = shape.width;
    std::size_t from_stride = shape.stride;
    if (shape.rank > 0) {
      float* low = scratch.low[l].data();
      kernels.gemm({rows, shape.rank_stride, shape.width, x, shape.stride, 1, dense + layer.down, shape.rank_stride,
                    low, shape.rank_stride, nullptr, false, false});
      from = low;
      from_width = shape.rank;
      from_stride = shape.rank_stride;
    }
    float* factor = scratch.factors[l].data();
    float* product = scratch.products[l].data();
    kernels.gemm({rows, shape.stride, from_width, from, from_stride, 1, dense + layer.up, shape.stride, factor,
                  shape.stride, dense + layer.bias, false, false});
    kernels.cross(input, factor, x, product, rows * shape.stride);
    x = product;
  }
}

void cross_backward(const CrossShape& shape, const float* dense, float* dense_gradients, std::size_t rows,
                    const float* input, const CrossScratch& scratch, CrossGradients& gradients, float* input_gradient) {
  const Kernels& kernels = cpu_kernels();
  const std::size_t size = rows * shape.stride;
  gradients.factor.reserve(size);
  if (shape.rank > 0) gradients.low.reserve(rows * shape.rank_stride);
  float* arriving = gradients.output.data();  // of x_{l+1}, then of x_l
  float* factor = gradients.factor.data();
  for (std::size_t l = shape.layers.size(); l-- > 0;) {
    const CrossLayer& layer = shape.layers[l];
    const float* x = l == 0 ? input : scratch.products[l - 1].data();
    kernels.cross_backward(arriving, input, scratch.factors[l].data(), factor, input_gradient, size);
    kernels.column_sums(factor, shape.stride, rows, shape.stride, dense_gradients + layer.bias, true);
    if (shape.rank == 0) {
      add_weight_gradients(x, shape.stride, shape.width, rows, factor, shape.stride, dense_gradients + layer.up);
      back_through(factor, rows, shape.width, shape.stride, dense + layer.up, shape.width, shape.stride, arriving, true,
                   gradients.transposed);
      continue;
    }
    float* low = gradients.low.data();
    add_weight_gradients(scratch.low[l].data(), shape.rank_stride, shape.rank, rows, factor, shape.stride,
                         dense_gradients + layer.up);
    back_through(factor, rows, shape.width, shape.stride, dense + layer.up, shape.rank, shape.rank_stride, low, false,
                 gradients.transposed);
    add_weight_gradients(x, shape.stride, shape.width, rows, low, shape.rank_stride, dense_gradients + layer.down);
    back_through(low, rows, shape.rank, shape.rank_stride, dense + layer.down, shape.width, shape.stride, arriving,
                 true, gradients.transposed);
  }
  kernels.add(input_gradient, arriving, size);
}

}  // namespace freshet
