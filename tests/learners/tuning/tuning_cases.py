#!/usr/bin/env python3
"""Writes tuning_cases.h: what scikit-learn's Gaussian process and SciPy's Sobol points and distributions say.

    bench/peers/setup.sh tuning
    ~/.cache/freshet/peers/tuning/bin/python tests/learners/tuning/tuning_cases.py > tests/learners/tuning/tuning_cases.h
"""
import numpy as np
from scipy.stats import norm, qmc
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel


def numbers(values):
    return "{" + ", ".join(repr(float(v)) for v in np.ravel(values)) + "}"


def gp_case(seed, n, width, variance, noise, queries):
    rng = np.random.default_rng(seed)
    lengths = np.round(rng.uniform(0.1, 2.0, width), 3)
    x = np.round(rng.uniform(size=(n, width)), 4)
    y = np.round(np.sin(5 * x.sum(axis=1)) + 0.1 * rng.standard_normal(n), 4)
    weights = np.round(rng.uniform(0.2, 1.0, n), 2) if seed % 2 else np.ones(n)
    at = np.vstack([np.round(rng.uniform(size=(queries - 1, width)), 4), x[:1]])
    kernel = ConstantKernel(variance, "fixed") * Matern(lengths, "fixed", nu=2.5)
    process = GaussianProcessRegressor(kernel, alpha=noise / weights, optimizer=None).fit(x, y)
    mean, deviation = process.predict(at, return_std=True)
    fields = [width, variance, noise, numbers(lengths), numbers(x), numbers(y), numbers(weights), numbers(at),
              numbers(mean), numbers(deviation)]
    # Likelihood and gradient need the noise as a part of the kernel, equal for all.
    free = ConstantKernel(variance) * Matern(lengths, nu=2.5) + WhiteKernel(noise)
    whole = GaussianProcessRegressor(free, alpha=0.0, optimizer=None).fit(x, y)
    likelihood, gradient = whole.log_marginal_likelihood(whole.kernel_.theta, eval_gradient=True)
    # theta: variance, lengths, noise; ours: variance, noise, lengths
    fields += [repr(float(likelihood)), numbers(np.r_[gradient[0], gradient[-1], gradient[1:-1]])]
    return "    {" + ",\n     ".join(str(f) for f in fields) + "},"


def sobol_rows():
    points = qmc.Sobol(161, scramble=False, bits=32).random(1024)
    rows = []
    for d in (0, 1, 2, 3, 7, 20, 40, 64, 99, 128, 160):
        for index in (0, 1, 2, 3, 5, 8, 100, 511, 777, 1023):
            rows.append(f"    {{{d}, {index}, {float(points[index, d])!r}}},")
    return rows


def main():
    print("""// Made by tuning_cases.py with scikit-learn and SciPy: do not edit.
#pragma once

#include <cstddef>
#include <vector>

namespace freshet::tuning {

// clang-format off
struct GpCase {
  std::size_t width;
  double variance, noise;
  std::vector<double> lengths, points, targets, weights, at, means, deviations;
  double likelihood;              // with weights of 1
  std::vector<double> gradient;   // by the logarithms of variance, noise and lengths
};
inline const std::vector<GpCase> kGpCases = {""")
    for case in ((1, 6, 1, 1.0, 1e-3, 4), (2, 12, 2, 0.7, 1e-2, 5), (3, 20, 3, 2.5, 1e-4, 6), (4, 30, 6, 1.3, 0.3, 6),
                 (5, 25, 4, 0.2, 1e-6, 5)):
        print(gp_case(*case))
    print("""};

struct SobolCase {
  std::size_t dimension, index;
  double value;
};
inline const std::vector<SobolCase> kSobolCases = {""")
    print("\n".join(sobol_rows()))
    print("""};

struct QuantileCase {
  double probability, value;
};
inline const std::vector<QuantileCase> kQuantileCases = {""")
    for p in (1e-9, 1e-4, 0.02, 0.3, 0.5, 0.62, 0.975, 0.99999):
        print(f"    {{{p!r}, {float(norm.ppf(p))!r}}},")
    print("""};

struct ImprovementCase {
  double mean, deviation, best, value;
};
inline const std::vector<ImprovementCase> kImprovementCases = {""")
    for mean, deviation, best in ((0.0, 1.0, 0.0), (1.0, 0.5, 0.7), (-1.0, 0.3, 0.2), (2.0, 1e-3, 1.0)):
        z = (mean - best) / deviation
        value = (mean - best) * norm.cdf(z) + deviation * norm.pdf(z)
        print(f"    {{{mean!r}, {deviation!r}, {best!r}, {float(value)!r}}},")
    print("""};
// clang-format on

}  // namespace freshet::tuning""")


if __name__ == "__main__":
    main()
