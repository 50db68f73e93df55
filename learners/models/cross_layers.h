// Cross layers: the part of a deep and cross network that multiplies features with each other, one degree more with
// each layer (Wang et al., 2021, "DCN V2: Improved deep & cross network"):
//
//   x_{l+1} = x_0 * (x_l W_l + b_l) + x_l        elementwise product, x_0 = [embeddings | numbers]
//
// W_l is a full matrix, or V_l U_l of a low rank. A row's bits do not depend on the batch it comes in.
//
// Threads: pure functions over the caller's room, which a thread has for itself.  Owns: CrossScratch its activations.
// Failure: none; TabularShape::make refuses what cannot be crossed.
#pragma once

#include <cstddef>
#include <vector>

#include "learners/models/aligned_buffer.h"

namespace freshet {

struct CrossLayer {
  std::size_t down = 0;  // offset of V, [width, rank]; only of a low rank
  std::size_t up = 0;    // of U, [rank, width]; of W, [width, width], where the rank is full
  std::size_t bias = 0;  // of b, [width]
};

struct CrossShape {
  std::size_t width = 0;   // of x_0
  std::size_t stride = 0;  // of its rows, and of the rows of W and U
  std::size_t rank = 0;    // 0: full
  std::size_t rank_stride = 0;
  bool parallel = false;   // beside the hidden layers; else below them
  std::size_t output = 0;  // offset of the weights from x_L to the outputs, [width, outputs], where parallel
  std::vector<CrossLayer> layers;
  bool any() const { return !layers.empty(); }
};

// Activations of one mini-batch; grows to the largest one seen.
struct CrossScratch {
  std::vector<AlignedBuffer> low;       // x_l V_l of each layer, [rows, rank_stride]; only of a low rank
  std::vector<AlignedBuffer> factors;   // x_l W_l + b_l of each layer, [rows, stride]
  std::vector<AlignedBuffer> products;  // x_{l+1} of each layer, [rows, stride]
  void prepare(const CrossShape& shape, std::size_t rows);
  const float* output(const CrossShape& shape) const { return products[shape.layers.size() - 1].data(); }
  std::size_t bytes() const;
};

// Room for gradients on their way back.
struct CrossGradients {
  AlignedBuffer output;      // of x_L, [rows, stride]: set by the caller, used up
  AlignedBuffer factor;      // [rows, stride]
  AlignedBuffer low;         // [rows, rank_stride]
  AlignedBuffer transposed;  // weights of one layer
};

// From `input`, x_0 [rows, stride], to scratch.output(shape); scratch is prepared.
void cross_forward(const CrossShape& shape, const float* dense, std::size_t rows, const float* input,
                   CrossScratch& scratch);

// Adds the gradients of the layers' weights to `dense_gradients`, and that of x_0 to `input_gradient`, [rows, stride].
void cross_backward(const CrossShape& shape, const float* dense, float* dense_gradients, std::size_t rows,
                    const float* input, const CrossScratch& scratch, CrossGradients& gradients, float* input_gradient);

}  // namespace freshet
