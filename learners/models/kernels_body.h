// The kernels themselves, included by one source file for each instruction set, which defines
// FRESHET_KERNELS (name of the table), FRESHET_KERNELS_NAME, FRESHET_VECTOR_FLOATS, FRESHET_ROWS_1, _2 and _4: how
// many rows of c are held in registers beside 1, 2 or 4 vectors of columns. No other header may be included here
// (see kernels.h).
//
// Threads: pure functions.  Owns: nothing.  Failure: none.
#include "learners/models/kernels.h"

namespace freshet {
namespace {

constexpr std::size_t kVectorFloats = FRESHET_VECTOR_FLOATS;
using Vector = float __attribute__((vector_size(kVectorFloats * sizeof(float))));
using Unaligned = float __attribute__((vector_size(kVectorFloats * sizeof(float)), aligned(4), may_alias));

inline Vector load(const float* from) { return *reinterpret_cast<const Unaligned*>(from); }
inline void store(float* to, Vector value) { *reinterpret_cast<Unaligned*>(to) = value; }

// Rows [i, i + kRows) and columns [j, j + kVectors vectors) of c, held in registers over the whole sum.
template <std::size_t kRows, std::size_t kVectors>
inline void block(const Gemm& gemm, std::size_t i, std::size_t j) {
  Vector sums[kRows][kVectors];
  float* c = gemm.c + i * gemm.c_row + j;
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) {
      sums[r][v] = gemm.accumulate        ? load(c + r * gemm.c_row + v * kVectorFloats)
                   : gemm.bias != nullptr ? load(gemm.bias + j + v * kVectorFloats)
                                          : Vector{};
    }
  }
  const float* a = gemm.a + i * gemm.a_row;
  const float* b = gemm.b + j;
  const std::size_t a_row = gemm.a_row;
  const std::size_t a_column = gemm.a_column;
  const std::size_t b_row = gemm.b_row;
  const std::size_t k = gemm.k;
  for (std::size_t p = 0; p < k; ++p) {
    Vector column[kVectors];
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) column[v] = load(b + v * kVectorFloats);
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kRows; ++r) {
      const float factor = a[r * a_row];
#pragma GCC unroll 16
      for (std::size_t v = 0; v < kVectors; ++v) sums[r][v] += factor * column[v];
    }
    a += a_column;
    b += b_row;
  }
  const Vector zero{};
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) {
      Vector sum = sums[r][v];
      // A NaN stays a NaN here: it must reach the guard of the training step.
      if (gemm.relu) sum = sum < zero ? zero : sum;
      store(c + r * gemm.c_row + v * kVectorFloats, sum);
    }
  }
}

template <std::size_t kRows, std::size_t kVectors>
inline void last_rows(const Gemm& gemm, std::size_t i, std::size_t j) {
  if (i == gemm.m) return;
  if constexpr (kRows > 1) {
    if (gemm.m - i < kRows) return last_rows<kRows - 1, kVectors>(gemm, i, j);
  }
  block<kRows, kVectors>(gemm, i, j);
}

template <std::size_t kRows, std::size_t kVectors>
void panel(const Gemm& gemm, std::size_t j) {
  std::size_t i = 0;
  for (; i + kRows <= gemm.m; i += kRows) block<kRows, kVectors>(gemm, i, j);
  last_rows<kRows, kVectors>(gemm, i, j);
}

void gemm(const Gemm& gemm) {
  std::size_t j = 0;
  for (; j + 4 * kVectorFloats <= gemm.n; j += 4 * kVectorFloats) {
#if FRESHET_ROWS_4 > 0
    panel<FRESHET_ROWS_4, 4>(gemm, j);
#else
    panel<FRESHET_ROWS_2, 2>(gemm, j);
    panel<FRESHET_ROWS_2, 2>(gemm, j + 2 * kVectorFloats);
#endif
  }
  if (j + 2 * kVectorFloats <= gemm.n) {
    panel<FRESHET_ROWS_2, 2>(gemm, j);
    j += 2 * kVectorFloats;
  }
  if (j < gemm.n) panel<FRESHET_ROWS_1, 1>(gemm, j);
}

// A bit for each lane that is not zero.
inline unsigned lanes_not_zero(Vector values) {
#if FRESHET_VECTOR_FLOATS == 16
  constexpr int kUnequalOrUnordered = 4;
  constexpr int kCurrentRounding = 4;
  unsigned short lanes = __builtin_ia32_cmpps512_mask(values, Vector{}, kUnequalOrUnordered, 0xFFFF, kCurrentRounding);
  // gcc 12 spills a mask as two bytes and may read it back as four. Through a general register it cannot.
  asm("" : "+r"(lanes));
  return lanes;
#elif FRESHET_VECTOR_FLOATS == 8
  return static_cast<unsigned>(__builtin_ia32_movmskps256(reinterpret_cast<Vector>(values != Vector{})));
#else
  unsigned lanes = 0;
  for (unsigned l = 0; l < kVectorFloats; ++l) lanes |= static_cast<unsigned>(values[l] != 0.0F) << l;
  return lanes;
#endif
}

std::size_t nonzero(const float* values, std::size_t size, unsigned* places) {
  std::size_t count = 0;
  std::size_t i = 0;
  for (; i + kVectorFloats <= size; i += kVectorFloats) {
    for (unsigned lanes = lanes_not_zero(load(values + i)); lanes != 0; lanes &= lanes - 1) {
      places[count++] = static_cast<unsigned>(i) + static_cast<unsigned>(__builtin_ctz(lanes));
    }
  }
  for (; i < size; ++i) {
    if (values[i] != 0.0F) places[count++] = static_cast<unsigned>(i);
  }
  return count;
}

// Columns [j, j + kVectors vectors) of the row.
template <std::size_t kVectors>
void sparse_columns(const SparseRow& row, std::size_t j) {
  Vector sums[kVectors];
#pragma GCC unroll 16
  for (std::size_t v = 0; v < kVectors; ++v) {
    sums[v] = row.bias != nullptr ? load(row.bias + j + v * kVectorFloats) : Vector{};
  }
  const float* a = row.a;
  const float* b = row.b + j;
  for (std::size_t e = 0; e < row.count; ++e) {
    const std::size_t place = row.places[e];
    const float factor = a[place];
    const float* from = b + place * row.b_row;
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) sums[v] += factor * load(from + v * kVectorFloats);
  }
  const Vector zero{};
#pragma GCC unroll 16
  for (std::size_t v = 0; v < kVectors; ++v) {
    Vector sum = sums[v];
    if (row.relu) sum = sum < zero ? zero : sum;
    store(row.c + j + v * kVectorFloats, sum);
  }
}

// Row i of the gradient, columns [j, j + kVectors vectors): the rows of a batch that `mask` names, from row p on.
template <std::size_t kVectors>
void masked_columns(const Gemm& gemm, std::size_t i, std::size_t j, std::size_t p, unsigned mask) {
  float* c = gemm.c + i * gemm.c_row + j;
  Vector sums[kVectors];
#pragma GCC unroll 16
  for (std::size_t v = 0; v < kVectors; ++v) sums[v] = load(c + v * kVectorFloats);
  const float* a = gemm.a + i + p * gemm.a_column;
  const float* b = gemm.b + p * gemm.b_row + j;
  for (; mask != 0; mask &= mask - 1) {
    const auto place = static_cast<std::size_t>(__builtin_ctz(mask));
    const float factor = a[place * gemm.a_column];
    const float* from = b + place * gemm.b_row;
#pragma GCC unroll 16
    for (std::size_t v = 0; v < kVectors; ++v) sums[v] += factor * load(from + v * kVectorFloats);
  }
#pragma GCC unroll 16
  for (std::size_t v = 0; v < kVectors; ++v) store(c + v * kVectorFloats, sums[v]);
}

constexpr std::size_t kPanelVectors = 8;
using SparseColumns = void (*)(const SparseRow& row, std::size_t j);
constexpr SparseColumns kSparseColumns[kPanelVectors] = {sparse_columns<1>, sparse_columns<2>, sparse_columns<3>,
                                                         sparse_columns<4>, sparse_columns<5>, sparse_columns<6>,
                                                         sparse_columns<7>, sparse_columns<8>};
using MaskedColumns = void (*)(const Gemm& gemm, std::size_t i, std::size_t j, std::size_t p, unsigned mask);
constexpr MaskedColumns kMaskedColumns[kPanelVectors] = {masked_columns<1>, masked_columns<2>, masked_columns<3>,
                                                         masked_columns<4>, masked_columns<5>, masked_columns<6>,
                                                         masked_columns<7>, masked_columns<8>};

constexpr std::size_t panel_vectors(std::size_t columns) {
  const std::size_t vectors = columns / kVectorFloats;
  return vectors < kPanelVectors ? vectors : kPanelVectors;
}

void sparse_row(const SparseRow& row) {
  for (std::size_t j = 0; j < row.n;) {
    const std::size_t vectors = panel_vectors(row.n - j);
    kSparseColumns[vectors - 1](row, j);
    j += vectors * kVectorFloats;
  }
}

void gemm_nonzero(const Gemm& gemm, unsigned* __restrict masks) {
  constexpr std::size_t kMaskRows = 32;
  for (std::size_t p = 0; p < gemm.k; p += kMaskRows) {
    const std::size_t rows = gemm.k - p < kMaskRows ? gemm.k - p : kMaskRows;
    for (std::size_t i = 0; i < gemm.m; ++i) masks[i] = 0;
    for (std::size_t r = 0; r < rows; ++r) {
      const float* __restrict a = gemm.a + (p + r) * gemm.a_column;
      for (std::size_t i = 0; i < gemm.m; ++i) masks[i] |= (a[i] != 0.0F ? 1U : 0U) << r;
    }
    for (std::size_t i = 0; i < gemm.m; ++i) {
      if (masks[i] == 0) continue;
      for (std::size_t j = 0; j < gemm.n;) {
        const std::size_t vectors = panel_vectors(gemm.n - j);
        kMaskedColumns[vectors - 1](gemm, i, j, p, masks[i]);
        j += vectors * kVectorFloats;
      }
    }
  }
}

void transpose(const float* source, std::size_t source_row, std::size_t rows, std::size_t columns, float* target,
               std::size_t target_row) {
  constexpr std::size_t kTile = 16;
  for (std::size_t i = 0; i < rows; i += kTile) {
    const std::size_t i_end = i + kTile < rows ? i + kTile : rows;
    for (std::size_t j = 0; j < columns; ++j) {
      for (std::size_t r = i; r < i_end; ++r) target[j * target_row + r] = source[r * source_row + j];
    }
  }
}

void add(float* __restrict target, const float* __restrict source, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) target[i] += source[i];
}

void scale(float* target, float factor, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) target[i] *= factor;
}

void relu_mask(float* __restrict gradient, const float* __restrict activation, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) gradient[i] = activation[i] > 0.0F ? gradient[i] : 0.0F;
}

void column_sums(const float* __restrict matrix, std::size_t row, std::size_t rows, std::size_t columns,
                 float* __restrict sums, bool accumulate) {
  if (!accumulate) {
    for (std::size_t j = 0; j < columns; ++j) sums[j] = 0.0F;
  }
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) sums[j] += matrix[i * row + j];
  }
}

void cross(const float* __restrict input, const float* __restrict factor, const float* __restrict x,
           float* __restrict to, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) to[i] = input[i] * factor[i] + x[i];
}

void cross_backward(const float* __restrict gradient, const float* __restrict input, const float* __restrict factor,
                    float* __restrict factor_gradient, float* __restrict input_gradient, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    factor_gradient[i] = gradient[i] * input[i];
    input_gradient[i] += gradient[i] * factor[i];
  }
}

// Sixteen partial sums whatever the vector width, so that every instruction set adds in the same order.
float squared_sum(const float* values, std::size_t size) {
  float parts[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) parts[l] += values[i + l] * values[i + l];
  }
  for (std::size_t l = 0; i + l < size; ++l) parts[l] += values[i + l] * values[i + l];
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t l = 0; l < half; ++l) parts[l] += parts[l + half];
  }
  return parts[0];
}

void blend(float* __restrict values, const float* __restrict target, float keep, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) values[i] = target[i] + keep * (values[i] - target[i]);
}

void sgd(const SgdStep& step, float* __restrict weights, const float* __restrict gradients, float* __restrict momentum,
         std::size_t size) {
  const SgdStep s = step;
  if (s.momentum == 0.0F) {
    for (std::size_t i = 0; i < size; ++i) {
      weights[i] -= s.learning_rate * (gradients[i] + s.weight_decay * weights[i]);
    }
    return;
  }
  const float own = s.nesterov ? 1.0F : 0.0F;
  const float carried = s.nesterov ? s.momentum : 1.0F;
  for (std::size_t i = 0; i < size; ++i) {
    const float gradient = gradients[i] + s.weight_decay * weights[i];
    momentum[i] = s.momentum * momentum[i] + gradient;
    weights[i] -= s.learning_rate * (own * gradient + carried * momentum[i]);
  }
}

void adam(const AdamStep& step, float* __restrict weights, const float* __restrict gradients, float* __restrict first,
          float* __restrict second, std::size_t size) {
  const AdamStep s = step;
  for (std::size_t i = 0; i < size; ++i) {
    const float gradient = gradients[i] + s.weight_decay * weights[i];
    first[i] += (1.0F - s.beta1) * (gradient - first[i]);
    second[i] = s.beta2 * second[i] + (1.0F - s.beta2) * gradient * gradient;
    const float scale = __builtin_sqrtf(second[i]) / s.root_correction + s.epsilon;
    weights[i] -= s.step_size * (first[i] / scale);
  }
}

void adamw(const AdamStep& step, float* __restrict weights, const float* __restrict gradients, float* __restrict first,
           float* __restrict second, std::size_t size) {
  const AdamStep s = step;
  const float shrink = 1.0F - s.learning_rate * s.weight_decay;
  for (std::size_t i = 0; i < size; ++i) {
    const float gradient = gradients[i];
    first[i] += (1.0F - s.beta1) * (gradient - first[i]);
    second[i] = s.beta2 * second[i] + (1.0F - s.beta2) * gradient * gradient;
    const float scale = __builtin_sqrtf(second[i]) / s.root_correction + s.epsilon;
    weights[i] = weights[i] * shrink - s.step_size * (first[i] / scale);
  }
}

void adagrad(const AdagradStep& step, float* __restrict weights, const float* __restrict gradients,
             float* __restrict sums, std::size_t size) {
  const AdagradStep s = step;
  for (std::size_t i = 0; i < size; ++i) {
    const float gradient = gradients[i] + s.weight_decay * weights[i];
    sums[i] += gradient * gradient;
    weights[i] -= s.learning_rate * (gradient / (__builtin_sqrtf(sums[i]) + s.epsilon));
  }
}

}  // namespace

extern const Kernels FRESHET_KERNELS = {
    FRESHET_KERNELS_NAME, gemm,  nonzero,        sparse_row,  gemm_nonzero, transpose, add,  scale, relu_mask,
    column_sums,          cross, cross_backward, squared_sum, blend,        sgd,       adam, adamw, adagrad};

}  // namespace freshet
