// How far two distributions are apart, from their sketches: tests with p-values and distances.
//
// Threads: pure functions.  Failure: none; of an empty distribution a distance is 0 and a p-value 1.
#pragma once

#include <span>
#include <vector>

#include "learners/drift/reference/category_sketch.h"
#include "learners/drift/reference/quantile_sketch.h"

namespace freshet {

struct TestResult {
  double statistic = 0;
  double p = 1;
};

// Two-sample Kolmogorov-Smirnov; p by Kolmogorov's distribution with the correction of M. A. Stephens (Use of the
// Kolmogorov-Smirnov, Cramér-von Mises and Related Statistics Without Extensive Tables, JRSS B 32, 1970).
TestResult kolmogorov_smirnov(const QuantileSketch& reference, const QuantileSketch& now);

// Pearson's chi-square of homogeneity over the categories, rare ones (fewer than 5 expected) taken together.
TestResult chi_square(const CategorySketch& reference, const CategorySketch& now);

// Area between the distribution functions (first Wasserstein distance), in standard deviations of the reference.
double wasserstein(const QuantileSketch& reference, const QuantileSketch& now);

// Squared maximum mean discrepancy (A. Gretton et al., A Kernel Two-Sample Test, JMLR 13, 2012) under the kernel
// exp(-(x - y)^2 / (2 s^2)), s the standard deviation of the reference; the kernel as a mean over 64 frequencies (A.
// Rahimi and B. Recht, Random Features for Large-Scale Kernel Machines, NIPS 2007), which in one dimension are not
// drawn but placed at equal steps of probability.
double mean_discrepancy(const QuantileSketch& reference, const QuantileSketch& now);

// Shares of the same bins in two distributions. Numbers: between the deciles of the reference.
struct Shares {
  std::vector<double> reference;
  std::vector<double> now;
};
Shares binned(const QuantileSketch& reference, const QuantileSketch& now);
Shares binned(const CategorySketch& reference, const CategorySketch& now);

// Population stability index: sum of (q - p) ln(q / p); an empty bin counts as a share of 0.0001.
double stability_index(const Shares& shares);
// Square root of the Jensen-Shannon divergence (J. Lin, Divergence Measures Based on the Shannon Entropy, IEEE
// Transactions on Information Theory 37, 1991), natural logarithm: 0 to 0.833.
double jensen_shannon(const Shares& shares);

// 1 - the distribution function of Kolmogorov's statistic, and the regularised upper incomplete gamma function.
double kolmogorov_tail(double x);
double upper_gamma(double a, double x);

}  // namespace freshet
