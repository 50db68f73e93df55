// Kernels: the inner loops of the built-in models on the CPU, compiled once for each instruction set and chosen at run
// time, so that one binary is portable and fast.
//
// Every output element is one chain of multiply-adds in a fixed order. A row's result therefore does not depend on the
// batch it comes in, and all instruction sets with fused multiply-add (avx2, avx512) give the same bits.
//
// Threads: pure functions.  Owns: nothing.  Failure: none; the caller answers for sizes. Only plain types stand here:
// the files compiled for newer instruction sets must not emit inline functions that older machines could be given.
#pragma once

#include <cstddef>

namespace freshet {

// Matrices that `gemm` writes have rows of a multiple of this many floats; weights are stored padded with zeros.
inline constexpr std::size_t kLanes = 16;
constexpr std::size_t round_up(std::size_t size, std::size_t step) { return (size + step - 1) / step * step; }

// c[i, j] = start + sum over p, in order, of a[i, p] * b[p, j], for i < m, j < n, p < k. n is a multiple of kLanes.
// start is c[i, j] if `accumulate`, else bias[j] if there is one, else 0. `relu` clamps the result at 0.
struct Gemm {
  std::size_t m, n, k;
  const float* a;  // element (i, p) at a[i * a_row + p * a_column]
  std::size_t a_row, a_column;
  const float* b;  // element (p, j) at b[p * b_row + j]
  std::size_t b_row;
  float* c;  // element (i, j) at c[i * c_row + j]
  std::size_t c_row;
  const float* bias;
  bool accumulate;
  bool relu;
};

struct SgdStep {
  float learning_rate, momentum, weight_decay;
  bool nesterov;
};
struct AdamStep {
  float learning_rate, beta1, beta2, epsilon, weight_decay;
  float step_size;        // learning rate / (1 - beta1^t)
  float root_correction;  // sqrt(1 - beta2^t)
};
struct AdagradStep {
  float learning_rate, epsilon, weight_decay;
};

// One row of a product whose left side has many zeros: c[j] = start + sum over e < count, in order, of
// a[places[e]] * b[places[e], j], j < n. With the places of all that is not zero, in order, these are gemm's bits: a
// factor of zero adds nothing (but for weights that are not finite, and where a sum begins at -0). n, bias and relu as
// in Gemm.
struct SparseRow {
  std::size_t n, count;
  const float* a;
  const unsigned* places;
  const float* b;  // element (p, j) at b[p * b_row + j]
  std::size_t b_row;
  float* c;
  const float* bias;
  bool relu;
};

struct Kernels {
  const char* name;
  void (*gemm)(const Gemm& gemm);
  // The places of what is not zero (a NaN is not), ascending; returns how many there are.
  std::size_t (*nonzero)(const float* values, std::size_t size, unsigned* places);
  void (*sparse_row)(const SparseRow& row);
  // gemm() without its products with a factor of zero, for the gradients of weights below which many activations are
  // zero: a_row is 1, `accumulate` is true, neither bias nor relu. `masks` is room for m numbers.
  void (*gemm_nonzero)(const Gemm& gemm, unsigned* masks);
  // target[j, i] = source[i, j] for i < rows, j < columns.
  void (*transpose)(const float* source, std::size_t source_row, std::size_t rows, std::size_t columns, float* target,
                    std::size_t target_row);
  void (*add)(float* target, const float* source, std::size_t size);
  void (*scale)(float* target, float factor, std::size_t size);
  // gradient = 0 where activation is not above 0.
  void (*relu_mask)(float* gradient, const float* activation, std::size_t size);
  // sums[j] (+)= sum over i of matrix[i * row + j], j < columns.
  void (*column_sums)(const float* matrix, std::size_t row, std::size_t rows, std::size_t columns, float* sums,
                      bool accumulate);
  // Of a cross layer: to = input * factor + x, where input is that of the first layer.
  void (*cross)(const float* input, const float* factor, const float* x, float* to, std::size_t size);
  // The way back, from the gradient of `to`: factor_gradient = gradient * input, input_gradient += gradient * factor.
  void (*cross_backward)(const float* gradient, const float* input, const float* factor, float* factor_gradient,
                         float* input_gradient, std::size_t size);
  float (*squared_sum)(const float* values, std::size_t size);
  // values = target + keep * (values - target)
  void (*blend)(float* values, const float* target, float keep, std::size_t size);
  // One optimizer step over `size` weights; the state arrays are as long as the weights. Formulas: torch.optim's.
  void (*sgd)(const SgdStep& step, float* weights, const float* gradients, float* momentum, std::size_t size);
  // adam adds the weight decay to the gradient, adamw takes it from the weights.
  void (*adam)(const AdamStep& step, float* weights, const float* gradients, float* first, float* second,
               std::size_t size);
  void (*adamw)(const AdamStep& step, float* weights, const float* gradients, float* first, float* second,
                std::size_t size);
  void (*adagrad)(const AdagradStep& step, float* weights, const float* gradients, float* sums, std::size_t size);
};

extern const Kernels kPortableKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

// The fastest set that this CPU runs; the same one at every call.
const Kernels& cpu_kernels();
bool cpu_runs(const Kernels& kernels);

}  // namespace freshet
