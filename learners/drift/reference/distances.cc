#include "learners/drift/reference/distances.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

namespace freshet {
namespace {

using Items = std::vector<QuantileSketch::Item>;

// Walks through the values of both in order: at(value, next value, share of reference up to it, share of now).
void walk(const Items& reference, const Items& now, double references, double nows,
          const std::function<void(double, double, double, double)>& at) {
  double below_reference = 0;
  double below_now = 0;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < reference.size() || j < now.size()) {
    const bool first = j == now.size() || (i < reference.size() && reference[i].value <= now[j].value);
    const double value = first ? reference[i].value : now[j].value;
    for (; i < reference.size() && reference[i].value == value; ++i) below_reference += reference[i].weight;
    for (; j < now.size() && now[j].value == value; ++j) below_now += now[j].weight;
    double next = value;
    if (i < reference.size()) next = reference[i].value;
    if (j < now.size() && (i == reference.size() || now[j].value < next)) next = now[j].value;
    at(value, next, below_reference / references, below_now / nows);
  }
}

double normal_quantile(double p) {
  double low = -10;
  double high = 10;
  for (int step = 0; step < 60; ++step) {
    const double middle = (low + high) / 2;
    (std::erfc(-middle / std::sqrt(2.0)) / 2 < p ? low : high) = middle;
  }
  return (low + high) / 2;
}

double deviation_of(const QuantileSketch& sketch) { return std::sqrt(sketch.moments().variance()); }

}  // namespace

double kolmogorov_tail(double x) {
  if (x < 0.2) return 1;
  double sum = 0;
  for (int k = 20; k > 0; --k) sum += (k % 2 == 1 ? 2 : -2) * std::exp(-2.0 * k * k * x * x);
  return std::clamp(sum, 0.0, 1.0);
}

double upper_gamma(double a, double x) {
  constexpr int kTermsMax = 100'000;
  constexpr double kPrecision = 1e-15;
  if (!(x > 0)) return 1;
  const double front = std::exp(a * std::log(x) - x - std::lgamma(a));
  if (x < a + 1) {  // the lower function's power series
    double term = 1 / a;
    double sum = term;
    for (int n = 1; n < kTermsMax && term > sum * kPrecision; ++n) {
      term *= x / (a + n);
      sum += term;
    }
    return std::clamp(1 - front * sum, 0.0, 1.0);
  }
  // The continued fraction, from its front (Lentz's method).
  constexpr double kTiny = 1e-300;
  double b = x + 1 - a;
  double c = 1 / kTiny;
  double d = 1 / b;
  double fraction = d;
  for (int n = 1; n < kTermsMax; ++n) {
    const double numerator = n * (a - n);
    b += 2;
    d = numerator * d + b;
    d = 1 / (std::fabs(d) < kTiny ? kTiny : d);
    c = b + numerator / c;
    if (std::fabs(c) < kTiny) c = kTiny;
    fraction *= c * d;
    if (std::fabs(c * d - 1) < kPrecision) break;
  }
  return std::clamp(front * fraction, 0.0, 1.0);
}

TestResult kolmogorov_smirnov(const QuantileSketch& reference, const QuantileSketch& now) {
  if (reference.count() == 0 || now.count() == 0) return {};
  const auto m = static_cast<double>(reference.count());
  const auto n = static_cast<double>(now.count());
  TestResult result;
  walk(reference.items(), now.items(), m, n, [&](double, double, double below_reference, double below_now) {
    result.statistic = std::max(result.statistic, std::fabs(below_reference - below_now));
  });
  const double root = std::sqrt(m * n / (m + n));
  result.p = kolmogorov_tail((root + 0.12 + 0.11 / root) * result.statistic);
  return result;
}

double wasserstein(const QuantileSketch& reference, const QuantileSketch& now) {
  if (reference.count() == 0 || now.count() == 0) return 0;
  double area = 0;
  walk(reference.items(), now.items(), static_cast<double>(reference.count()), static_cast<double>(now.count()),
       [&](double value, double next, double below_reference, double below_now) {
         area += std::fabs(below_reference - below_now) * (next - value);
       });
  constexpr double kDeviationMin = 0.001;  // a constant has none
  return area / std::max(deviation_of(reference), kDeviationMin);
}

double mean_discrepancy(const QuantileSketch& reference, const QuantileSketch& now) {
  if (reference.count() == 0 || now.count() == 0) return 0;
  constexpr int kFrequencies = 64;
  const double width = std::max(deviation_of(reference), 0.001);
  const Items items[2] = {reference.items(), now.items()};
  double sum = 0;
  for (int f = 0; f < kFrequencies; ++f) {
    const double frequency = normal_quantile((f + 0.5) / kFrequencies) / width;
    double cosine = 0;
    double sine = 0;
    for (int side = 0; side < 2; ++side) {
      const auto count = static_cast<double>(side == 0 ? reference.count() : now.count());
      const double sign = (side == 0 ? 1 : -1) / count;
      for (const auto& item : items[side]) {
        const double angle = frequency * (item.value - reference.moments().mean);
        cosine += sign * item.weight * std::cos(angle);
        sine += sign * item.weight * std::sin(angle);
      }
    }
    sum += cosine * cosine + sine * sine;
  }
  return sum / kFrequencies;
}

Shares binned(const QuantileSketch& reference, const QuantileSketch& now) {
  constexpr int kBins = 10;
  const Items items = reference.items();
  std::vector<double> edges;  // a bin ends with its edge
  double below = 0;
  for (const auto& item : items) {
    below += item.weight;
    const double next = static_cast<double>(edges.size() + 1) * static_cast<double>(reference.count()) / kBins;
    if (edges.size() + 1 < kBins && below >= next && (edges.empty() || item.value > edges.back())) {
      edges.push_back(item.value);
    }
  }
  Shares shares{std::vector<double>(edges.size() + 1), std::vector<double>(edges.size() + 1)};
  const auto count_into = [&](const QuantileSketch& sketch, std::vector<double>& bins) {
    for (const auto& item : sketch.items()) {
      const auto bin = static_cast<std::size_t>(std::ranges::lower_bound(edges, item.value) - edges.begin());
      bins[bin] += item.weight / static_cast<double>(sketch.count());
    }
  };
  count_into(reference, shares.reference);
  count_into(now, shares.now);
  return shares;
}

namespace {

struct Counts {
  std::vector<double> reference;
  std::vector<double> now;
};

// Categories of either; those of which fewer than `least` are expected in a sample are counted together, last.
Counts counts_of(const CategorySketch& reference, const CategorySketch& now, double least) {
  std::map<std::uint32_t, std::pair<double, double>> both;
  for (const auto& entry : reference.entries()) both[entry.value].first = static_cast<double>(entry.count);
  for (const auto& entry : now.entries()) both[entry.value].second = static_cast<double>(entry.count);
  const auto m = static_cast<double>(reference.count());
  const auto n = static_cast<double>(now.count());
  Counts counts;
  double rest_reference = 0;
  double rest_now = 0;
  for (const auto& [value, pair] : both) {
    const double sum = pair.first + pair.second;
    if (sum * std::min(m, n) / (m + n) < least) {
      rest_reference += pair.first;
      rest_now += pair.second;
    } else {
      counts.reference.push_back(pair.first);
      counts.now.push_back(pair.second);
    }
  }
  if (rest_reference + rest_now > 0) {
    counts.reference.push_back(rest_reference);
    counts.now.push_back(rest_now);
  }
  return counts;
}

}  // namespace

Shares binned(const CategorySketch& reference, const CategorySketch& now) {
  Counts counts = counts_of(reference, now, 0);
  for (double& count : counts.reference) count /= static_cast<double>(reference.count());
  for (double& count : counts.now) count /= static_cast<double>(now.count());
  return {std::move(counts.reference), std::move(counts.now)};
}

TestResult chi_square(const CategorySketch& reference, const CategorySketch& now) {
  if (reference.count() == 0 || now.count() == 0) return {};
  constexpr double kExpectedMin = 5;
  const Counts counts = counts_of(reference, now, kExpectedMin);
  if (counts.reference.size() < 2) return {};
  const auto m = static_cast<double>(reference.count());
  const auto n = static_cast<double>(now.count());
  TestResult result;
  for (std::size_t i = 0; i < counts.reference.size(); ++i) {
    const double sum = counts.reference[i] + counts.now[i];
    const double expected_reference = sum * m / (m + n);
    const double expected_now = sum * n / (m + n);
    result.statistic += std::pow(counts.reference[i] - expected_reference, 2) / expected_reference +
                        std::pow(counts.now[i] - expected_now, 2) / expected_now;
  }
  result.p = upper_gamma(static_cast<double>(counts.reference.size() - 1) / 2, result.statistic / 2);
  return result;
}

double stability_index(const Shares& shares) {
  constexpr double kShareMin = 1e-4;
  double sum = 0;
  for (std::size_t i = 0; i < shares.reference.size(); ++i) {
    const double p = std::max(shares.reference[i], kShareMin);
    const double q = std::max(shares.now[i], kShareMin);
    sum += (q - p) * std::log(q / p);
  }
  return sum;
}

double jensen_shannon(const Shares& shares) {
  double sum = 0;
  for (std::size_t i = 0; i < shares.reference.size(); ++i) {
    const double p = shares.reference[i];
    const double q = shares.now[i];
    const double middle = (p + q) / 2;
    if (p > 0) sum += p * std::log(p / middle) / 2;
    if (q > 0) sum += q * std::log(q / middle) / 2;
  }
  return std::sqrt(std::max(sum, 0.0));
}

}  // namespace freshet
