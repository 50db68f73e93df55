// The factor L of a symmetric positive definite matrix, L * L^T, and what is solved with it; for the few hundred rows
// of a Gaussian process.
//
// Threads: pure functions.  Owns: nothing.  Failure: factor() answers false where the matrix is not positive definite.
#pragma once

#include <cstddef>
#include <span>

namespace freshet::tuning {

// matrix: [n, n] row-major, its lower triangle is read and becomes L; the upper one is left.
bool cholesky_factor(std::span<double> matrix, std::size_t n);

// x: L^-1 x, and L^-T x, in place.
void solve_lower(std::span<const double> factor, std::size_t n, std::span<double> x);
void solve_lower_transposed(std::span<const double> factor, std::size_t n, std::span<double> x);

// The lower triangle of (L * L^T)^-1 into `inverse`, [n, n]; `room`: [n, n] to work in.
void cholesky_inverse(std::span<const double> factor, std::size_t n, std::span<double> inverse, std::span<double> room);

}  // namespace freshet::tuning
