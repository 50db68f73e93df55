#include "learners/tuning/cholesky.h"

#include <algorithm>
#include <cmath>

namespace freshet::tuning {

namespace {

double dot(const double* a, const double* b, std::size_t n) {
  double sums[4] = {0.0, 0.0, 0.0, 0.0};
  std::size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  double rest = 0.0;
  for (; i < n; ++i) rest += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest;
}

}  // namespace

bool cholesky_factor(std::span<double> matrix, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    double* row = matrix.data() + i * n;
    for (std::size_t j = 0; j < i; ++j) {
      const double* other = matrix.data() + j * n;
      row[j] = (row[j] - dot(row, other, j)) / other[j];
    }
    const double square = row[i] - dot(row, row, i);
    if (!(square > 0.0)) return false;
    row[i] = std::sqrt(square);
  }
  return true;
}

void solve_lower(std::span<const double> factor, std::size_t n, std::span<double> x) {
  for (std::size_t i = 0; i < n; ++i) {
    const double* row = factor.data() + i * n;
    x[i] = (x[i] - dot(row, x.data(), i)) / row[i];
  }
}

void solve_lower_transposed(std::span<const double> factor, std::size_t n, std::span<double> x) {
  for (std::size_t i = n; i-- > 0;) {
    const double* row = factor.data() + i * n;
    x[i] /= row[i];
    for (std::size_t j = 0; j < i; ++j) x[j] -= row[j] * x[i];
  }
}

void cholesky_inverse(std::span<const double> factor, std::size_t n, std::span<double> inverse,
                      std::span<double> room) {
  // Row c of `room` becomes column c of L^-1, which begins at its diagonal.
  for (std::size_t c = 0; c < n; ++c) {
    double* column = room.data() + c * n;
    std::fill_n(column, n, 0.0);
    column[c] = 1.0 / factor[c * n + c];
    for (std::size_t i = c + 1; i < n; ++i) {
      column[i] = -dot(factor.data() + i * n + c, column + c, i - c) / factor[i * n + i];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      inverse[i * n + j] = dot(room.data() + i * n + i, room.data() + j * n + i, n - i);
    }
  }
}

}  // namespace freshet::tuning
