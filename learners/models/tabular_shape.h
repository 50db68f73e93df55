// TabularShape: where the weights of a linear, mlp, wide_deep or dcn model lie, and the forward pass over weights laid
// out so. Training, published snapshots and averaged weights all go through this one forward pass.
//
//   deep:  x = [embedding of each category | numbers] -> hidden layers with ReLU -> outputs
//   wide:  numbers * wide_weight + wide_bias + sum over categories of their row's wide part
// linear has the wide part, mlp the deep part, wide_deep adds both (Cheng et al., 2016). dcn is an mlp whose hidden
// layers stand on cross layers, or beside them: then the outputs are linear in both (cross_layers.h). All categories
// share one table of rows, found by hash; a row holds [embedding | wide part].
//
// Threads: immutable once made; `tabular_forward` may run on many threads, each with its own scratch.
// Owns: sizes only.  Failure: make() refuses options that make no model.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/predictor.h"
#include "learners/models/aligned_buffer.h"
#include "learners/models/cross_layers.h"
#include "learners/models/hidden_activations.h"
#include "learners/models/model.h"
#include "learners/models/parameters.h"

namespace freshet {

struct TabularLayer {
  std::size_t in = 0;
  std::size_t out = 0;
  std::size_t stride = 0;  // of a row of the weights, [in, out], and of the activations, [rows, out]
  std::size_t weight = 0;  // offsets into the dense weights
  std::size_t bias = 0;
};

inline constexpr std::size_t kSparseNumbers = 128;

struct TabularShape {
  static Result<TabularShape> make(const ModelOptions& options, const EncodedLayout& layout);

  Task task = Task::kBinary;
  OutputLink link = OutputLink::kIdentity;
  std::size_t outputs = 1;
  std::size_t output_stride = 0;
  std::size_t numbers = 0;  // dense values a row
  std::size_t categories = 0;
  std::size_t embedding = 0;  // 0 without a deep part
  bool wide = false;
  std::size_t input = 0;  // categories * embedding + numbers
  std::size_t input_stride = 0;
  std::vector<TabularLayer> layers;  // the hidden ones and the output; empty without a deep part
  CrossShape cross;                  // without layers but for a dcn
  std::size_t wide_weight = 0;
  std::size_t wide_bias = 0;
  std::size_t dense_size = 0;
  std::size_t table_rows = 0;  // 0 where there are no categories
  std::size_t table_width = 0;
  std::vector<DenseTensor> tensors;

  std::uint64_t parameter_count() const;
  std::size_t embedded() const { return categories * embedding; }
  // Whether the input may have so many zeros that looking for them can pay: it does from about half of a row on, where
  // the row is not short. Embeddings are never zero, nor is what cross layers make of the input.
  bool looks_for_zeros() const {
    const bool plain = !cross.any() || cross.parallel;
    return !layers.empty() && plain && numbers >= kSparseNumbers && numbers >= embedded();
  }
  std::uint32_t row_of(std::uint32_t hash) const { return hash & static_cast<std::uint32_t>(table_rows - 1); }
};

// Activations of one mini-batch; grows to the largest one seen.
struct TabularScratch {
  std::size_t rows = 0;
  AlignedBuffer input;  // [rows, input_stride]
  CrossScratch cross;
  HiddenActivations hidden;
  AlignedBuffer outputs;         // [rows, output_stride]
  std::vector<unsigned> places;  // [input], of what is not zero in a row; empty where nobody looks
  std::size_t sparse_rows = 0;   // of the last forward pass: rows whose input was mostly zeros
  std::size_t bytes() const;
  void prepare(const TabularShape& shape, std::size_t row_count);
};

// Weights as they lie in Parameters or in a snapshot of them.
struct TabularWeights {
  const float* dense = nullptr;
  const float* table = nullptr;
  std::size_t table_stride = 0;
};

std::vector<HiddenLayer> hidden_layers_of(const TabularShape& shape);

Status check_rows(const TabularShape& shape, std::span<const RowRange> rows);
// The three parts of the forward pass: embeddings and numbers into scratch.input; the dense layers from there to
// scratch.outputs; the wide part of the looked-up rows added to the outputs.
void gather_input(const TabularShape& shape, const TabularWeights& weights, std::span<const RowRange> rows,
                  TabularScratch& scratch);
void dense_forward(const TabularShape& shape, const float* dense, TabularScratch& scratch);
// One of the hidden layers, again, from what came into it.
void hidden_forward(const TabularShape& shape, const float* dense, std::size_t layer, TabularScratch& scratch);
// What comes into layer l: its activations and their stride.
struct LayerInput {
  const float* values = nullptr;
  std::size_t stride = 0;
};
LayerInput layer_input(const TabularShape& shape, std::size_t layer, const TabularScratch& scratch);
void add_wide_rows(const TabularShape& shape, const TabularWeights& weights, std::span<const RowRange> rows,
                   TabularScratch& scratch);
void tabular_forward(const TabularShape& shape, const TabularWeights& weights, std::span<const RowRange> rows,
                     TabularScratch& scratch);

}  // namespace freshet
