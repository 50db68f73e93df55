#include "learners/models/kernels.h"

#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "core/rng.h"
#include "learners/models/aligned_buffer.h"

namespace freshet {
namespace {

std::vector<const Kernels*> runnable_kernels() {
  std::vector<const Kernels*> sets = {&kPortableKernels};
#if defined(__x86_64__)
  for (const Kernels* set : {&kAvx2Kernels, &kAvx512Kernels}) {
    if (cpu_runs(*set)) sets.push_back(set);
  }
#endif
  return sets;
}

AlignedBuffer random_floats(std::size_t size, std::uint64_t seed) {
  AlignedBuffer buffer(size);
  Rng rng(seed);
  for (auto& value : buffer.span()) value = static_cast<float>(2.0 * rng.uniform() - 1.0);
  return buffer;
}

struct GemmCase {
  std::size_t m, n, k;
  bool transposed, accumulate, bias, relu;
};

TEST(Kernels, MultiplyMatricesAsTheDefinitionSays) {
  const GemmCase cases[] = {{1, 16, 1, false, false, false, false},   {64, 64, 107, false, false, true, true},
                            {64, 48, 33, false, true, false, false},  {7, 32, 5, true, true, false, false},
                            {107, 64, 64, true, false, false, false}, {13, 112, 20, true, false, true, true},
                            {5, 80, 0, false, false, true, false},    {0, 16, 4, false, false, false, false}};
  for (const Kernels* kernels : runnable_kernels()) {
    for (const auto& c : cases) {
      SCOPED_TRACE(testing::Message() << kernels->name << " " << c.m << "x" << c.n << "x" << c.k);
      const auto a = random_floats(c.m * c.k + 1, 1);
      const auto b = random_floats(c.k * (c.n + 3) + 1, 2);
      const auto bias = random_floats(c.n, 3);
      auto result = random_floats(c.m * (c.n + 5) + 1, 4);
      std::vector<float> before(result.data(), result.data() + result.size());
      const std::size_t a_row = c.transposed ? 1 : c.k;
      const std::size_t a_column = c.transposed ? c.m : 1;
      kernels->gemm({c.m, c.n, c.k, a.data(), a_row, a_column, b.data(), c.n + 3, result.data(), c.n + 5,
                     c.bias ? bias.data() : nullptr, c.accumulate, c.relu});
      for (std::size_t i = 0; i < c.m; ++i) {
        for (std::size_t j = 0; j < c.n + 5; ++j) {
          const std::size_t at = i * (c.n + 5) + j;
          if (j >= c.n) {
            EXPECT_EQ(result.data()[at], before[at]) << "wrote beside the result";
            continue;
          }
          double sum = c.accumulate ? before[at] : (c.bias ? bias.data()[j] : 0.0F);
          for (std::size_t p = 0; p < c.k; ++p) {
            sum += static_cast<double>(a.data()[i * a_row + p * a_column]) * b.data()[p * (c.n + 3) + j];
          }
          if (c.relu) sum = std::max(sum, 0.0);
          ASSERT_NEAR(result.data()[at], sum, 2e-5) << i << "," << j;
        }
      }
    }
  }
}

TEST(Kernels, GiveARowTheSameBitsInAnyBatch) {
  const auto a = random_floats(64 * 107, 1);
  const auto b = random_floats(107 * 64, 2);
  for (const Kernels* kernels : runnable_kernels()) {
    SCOPED_TRACE(kernels->name);
    AlignedBuffer whole(64 * 64);
    kernels->gemm({64, 64, 107, a.data(), 107, 1, b.data(), 64, whole.data(), 64, nullptr, false, false});
    for (std::size_t rows = 1; rows <= 9; ++rows) {
      AlignedBuffer part(rows * 64);
      kernels->gemm({rows, 64, 107, a.data() + 11 * 107, 107, 1, b.data(), 64, part.data(), 64, nullptr, false, false});
      // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
      ASSERT_EQ(std::memcmp(part.data(), whole.data() + 11 * 64, rows * 64 * sizeof(float)), 0) << rows << " rows";
    }
  }
}

// About one value in five is not zero, some rows have none, and runs of zeros are longer than a vector.
AlignedBuffer sparse_floats(std::size_t rows, std::size_t columns, std::uint64_t seed) {
  AlignedBuffer buffer = random_floats(rows * columns, seed);
  Rng rng(seed + 1);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      if (i % 7 == 3 || (j / 20) % 3 == 1 || rng.uniform() < 0.7) buffer.data()[i * columns + j] = 0.0F;
    }
  }
  return buffer;
}

TEST(Kernels, FindWhatIsNotZero) {
  for (const Kernels* kernels : runnable_kernels()) {
    SCOPED_TRACE(kernels->name);
    for (const std::size_t size : {0UL, 1UL, 15UL, 16UL, 33UL, 784UL}) {
      auto values = sparse_floats(1, size + 1, 5);
      if (size > 9) values.data()[9] = std::nanf("");
      if (size > 10) values.data()[10] = -0.0F;
      values.data()[size] = 1.0F;  // beyond the end
      std::vector<unsigned> expected;
      for (unsigned i = 0; i < size; ++i) {
        if (!(values.data()[i] == 0.0F)) expected.push_back(i);
      }
      std::vector<unsigned> places(size + 1);
      places.resize(kernels->nonzero(values.data(), size, places.data()));
      EXPECT_EQ(places, expected) << size;
    }
  }
}

TEST(Kernels, GiveGemmsBitsForARowWithoutItsZeros) {
  const auto a = sparse_floats(9, 784, 1);
  for (const std::size_t n : {16UL, 48UL, 112UL, 128UL, 272UL}) {
    const auto b = random_floats(784 * n, 2);
    const auto bias = random_floats(n, 3);
    for (const Kernels* kernels : runnable_kernels()) {
      SCOPED_TRACE(testing::Message() << kernels->name << " " << n << " columns");
      for (const bool relu : {false, true}) {
        AlignedBuffer dense(9 * n);
        AlignedBuffer sparse(9 * n);
        kernels->gemm({9, n, 784, a.data(), 784, 1, b.data(), n, dense.data(), n, bias.data(), false, relu});
        std::vector<unsigned> places(784);
        for (std::size_t i = 0; i < 9; ++i) {
          const float* row = a.data() + i * 784;
          const std::size_t count = kernels->nonzero(row, 784, places.data());
          kernels->sparse_row({n, count, row, places.data(), b.data(), n, sparse.data() + i * n, bias.data(), relu});
        }
        // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
        ASSERT_EQ(std::memcmp(dense.data(), sparse.data(), 9 * n * sizeof(float)), 0);
      }
    }
  }
}

TEST(Kernels, GiveGemmsBitsForGradientsWithoutZeros) {
  // The rows of a batch are columns here: 20, and 75, which is more than a mask has bits twice over.
  for (const std::size_t rows : {1UL, 20UL, 75UL}) {
    const auto a = sparse_floats(rows, 784, 1);
    for (const std::size_t n : {16UL, 112UL, 144UL}) {
      const auto above = random_floats(rows * n, 2);
      for (const Kernels* kernels : runnable_kernels()) {
        SCOPED_TRACE(testing::Message() << kernels->name << " " << rows << " rows, " << n << " columns");
        auto dense = random_floats(784 * n, 4);
        AlignedBuffer sparse(784 * n);
        std::memcpy(sparse.data(), dense.data(), 784 * n * sizeof(float));
        kernels->gemm({784, n, rows, a.data(), 1, 784, above.data(), n, dense.data(), n, nullptr, true, false});
        std::vector<unsigned> masks(784);
        kernels->gemm_nonzero({784, n, rows, a.data(), 1, 784, above.data(), n, sparse.data(), n, nullptr, true, false},
                              masks.data());
        // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
        ASSERT_EQ(std::memcmp(dense.data(), sparse.data(), 784 * n * sizeof(float)), 0);
      }
    }
  }
}

TEST(Kernels, KeepNanThroughRelu) {
  AlignedBuffer a(1);
  a.data()[0] = std::nanf("");
  const auto b = random_floats(16, 2);
  for (const Kernels* kernels : runnable_kernels()) {
    AlignedBuffer c(16);
    kernels->gemm({1, 16, 1, a.data(), 1, 1, b.data(), 16, c.data(), 16, nullptr, false, true});
    EXPECT_TRUE(std::isnan(c.data()[3])) << kernels->name;
  }
}

// What a checkpoint needs to go from one machine to another: every set with fused multiply-add gives the same bits.
TEST(Kernels, GiveTheSameBitsWithAvx2AndAvx512) {
#if defined(__x86_64__)
  if (!cpu_runs(kAvx512Kernels)) GTEST_SKIP() << "this CPU has no AVX-512";
  for (const std::size_t size : {1UL, 4UL, 9UL, 12UL, 16UL, 33UL, 1000UL}) {
    SCOPED_TRACE(size);
    std::vector<std::vector<float>> results;
    for (const Kernels* kernels : {&kAvx2Kernels, &kAvx512Kernels}) {
      auto weights = random_floats(size, 1);
      const auto gradients = random_floats(size, 2);
      auto first = random_floats(size, 3);
      auto second = random_floats(size, 4);
      for (auto& value : second.span()) value = std::abs(value);
      auto sums = random_floats(size, 5);
      for (auto& value : sums.span()) value = std::abs(value);
      kernels->sgd({0.1F, 0.9F, 0.01F, true}, weights.data(), gradients.data(), first.data(), size);
      kernels->adamw({0.1F, 0.9F, 0.999F, 1e-8F, 0.01F, 0.3F, 0.5F}, weights.data(), gradients.data(), first.data(),
                     second.data(), size);
      kernels->adam({0.1F, 0.8F, 0.99F, 1e-8F, 0.01F, 0.3F, 0.5F}, weights.data(), gradients.data(), first.data(),
                    second.data(), size);
      kernels->adagrad({0.1F, 1e-10F, 0.01F}, weights.data(), gradients.data(), sums.data(), size);
      kernels->blend(weights.data(), first.data(), 0.7F, size);
      kernels->add(weights.data(), second.data(), size);
      kernels->scale(weights.data(), 0.3F, size);
      const auto input = random_floats(size, 8);
      kernels->cross(input.data(), gradients.data(), second.data(), weights.data(), size);
      kernels->cross_backward(gradients.data(), input.data(), second.data(), first.data(), sums.data(), size);
      std::vector<float> all;
      for (const auto* buffer : {&weights, &first, &second, &sums}) {
        all.insert(all.end(), buffer->data(), buffer->data() + size);
      }
      all.push_back(kernels->squared_sum(weights.data(), size));
      AlignedBuffer columns(size);
      kernels->column_sums(gradients.data(), 1, size, 1, columns.data(), false);
      all.push_back(columns.data()[0]);
      const auto a = random_floats(7 * size, 6);
      const auto b = random_floats(size * 112, 7);
      AlignedBuffer product(7 * 112);
      kernels->gemm({7, 112, size, a.data(), size, 1, b.data(), 112, product.data(), 112, nullptr, false, false});
      all.insert(all.end(), product.data(), product.data() + product.size());
      results.push_back(std::move(all));
    }
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
    ASSERT_EQ(std::memcmp(results[0].data(), results[1].data(), results[0].size() * sizeof(float)), 0);
  }
#endif
}

TEST(Kernels, Transpose) {
  const auto source = random_floats(37 * 48, 1);
  for (const Kernels* kernels : runnable_kernels()) {
    AlignedBuffer target(40 * 37);
    kernels->transpose(source.data(), 48, 37, 40, target.data(), 37);
    for (std::size_t i = 0; i < 37; ++i) {
      for (std::size_t j = 0; j < 40; ++j) ASSERT_EQ(target.data()[j * 37 + i], source.data()[i * 48 + j]);
    }
  }
}

}  // namespace
}  // namespace freshet
