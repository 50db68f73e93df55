// What is particular to each searcher; what all of them must do is in tests/conformance/tuning_test.cc.
#include "learners/tuning/searcher.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "learners/tuning/kernel_density.h"

namespace freshet::tuning {
namespace {

ParameterSpace two() {
  return ParameterSpace::create({SearchSpace::linear("x", 0, 1), SearchSpace::choice("kind", {"a", "b", "c"})}).value();
}

std::unique_ptr<Searcher> make(const std::string& kind, const ParameterSpace& space, std::uint64_t seed = 1) {
  SearcherOptions options;
  options.kind = kind;
  options.seed = seed;
  options.max_resource = 1;
  return make_searcher(options, space).value();
}

TEST(Searchers, RefuseWhatMakesNoSense) {
  const auto space = two();
  for (int wrong = 0; wrong < 5; ++wrong) {
    SearcherOptions options;
    if (wrong == 0) options.kind = "oracle";
    if (wrong == 1) options.random_share = 1.5;
    if (wrong == 2) options.good_share = 0.0;
    if (wrong == 3) options.grid_points = 0;
    if (wrong == 4) options.observations_most = 2;
    EXPECT_EQ(make_searcher(options, space).code(), Code::kInvalidArgument) << wrong;
  }
}

TEST(Grid, SuggestsEverythingOnceAndThenNothing) {
  const auto space = two();
  SearcherOptions options;
  options.kind = "grid";
  options.grid_points = 4;
  auto grid = make_searcher(options, space).value();
  std::set<std::string> seen;
  for (std::uint64_t trial = 0; trial < 12; ++trial) seen.insert(space.json(grid->suggest(trial).value()));
  EXPECT_EQ(seen.size(), 12U);
  EXPECT_FALSE(grid->suggest(12).has_value());
}

TEST(Sobol, SpreadsSuggestionsMoreEvenlyThanChance) {
  const auto space = ParameterSpace::create({SearchSpace::linear("x", 0, 1), SearchSpace::linear("y", 0, 1)}).value();
  auto sobol = make("sobol", space);
  std::set<std::pair<int, int>> cells;
  for (std::uint64_t trial = 0; trial < 64; ++trial) {
    const auto drawn = sobol->suggest(trial).value();
    cells.insert({static_cast<int>(drawn.values[0] * 8), static_cast<int>(drawn.values[1] * 8)});
  }
  EXPECT_EQ(cells.size(), 64U);  // one in each of 8 x 8
}

// A product of a normal kernel that is cut off at 0 and 1 and Aitchison and Aitken's for the choices.
TEST(KernelDensity, IsTheFormula) {
  const auto space = two();
  KernelDensity density(space);
  Rng rng(1);
  const std::vector<Configuration> points = {{{0.2, 0.0}}, {{0.6, 1.0}}, {{0.7, 0.0}}};
  const std::vector<double> weights = {1.0, 1.0, 2.0};
  density.observe(points, weights, rng);
  // Weights 1/4, 1/4, 1/2. x: mean .55, variance (.1225 + .0025 + .045) / 4 = .0425. kind: mean .25, variance .1875.
  // 1 / (1/16 + 1/16 + 1/4) = 2.6667 points that weigh the same; two spaces.
  const double shrink = std::pow(1.0 / 0.375, -1.0 / 6.0);
  const double width = 1.06 * std::sqrt(0.0425) * shrink;
  const double other = 1.06 * std::sqrt(0.1875) * shrink;
  const auto below = [](double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); };
  const auto kernel = [&](double x, double center) {
    const double z = (x - center) / width;
    return std::exp(-0.5 * z * z) / std::sqrt(2.0 * std::numbers::pi) / width /
           (below((1.0 - center) / width) - below(-center / width));
  };
  const double expected = 0.25 * kernel(0.5, 0.2) * (1.0 - other) + 0.25 * kernel(0.5, 0.6) * other / 2.0 +
                          0.5 * kernel(0.5, 0.7) * (1.0 - other);
  EXPECT_NEAR(density.log_density({{0.5, 0.0}}), std::log(expected), 1e-9);
  double total = 0.0;  // over all choices and a fine grid
  for (int choice = 0; choice < 3; ++choice) {
    for (int i = 0; i < 2000; ++i) total += std::exp(density.log_density({{(i + 0.5) / 2000, double(choice)}})) / 2000;
  }
  EXPECT_NEAR(total, 1.0, 1e-4);
}

// With a model, the later half of forty trials is nearer to the best than chance, over ten seeds.
TEST(Searchers, WithAModelComeNearerToTheBest) {
  const auto space = two();
  const auto objective = [](const Configuration& c) {
    return -std::abs(c.values[0] - 0.3) - (c.values[1] == 1.0 ? 0.0 : 0.5);
  };
  for (const std::string kind : {"gp", "kde"}) {
    double mean = 0.0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
      auto searcher = make(kind, space, seed);
      for (std::uint64_t trial = 0; trial < 40; ++trial) {
        const auto configuration = searcher->suggest(trial).value();
        searcher->observe(trial, configuration, 1, objective(configuration));
        if (trial >= 20) mean += objective(configuration) / 200.0;
      }
    }
    // By chance: mean of |x - 0.3| is 0.29, and two of three choices cost 0.5.
    EXPECT_GT(mean, kind == "gp" ? -0.25 : -0.4) << kind;
  }
}

// Suggestions without an answer in between are not all the same.
TEST(Gp, SpreadsTrialsThatArePending) {
  const auto space = ParameterSpace::create({SearchSpace::linear("x", 0, 1)}).value();
  auto gp = make("gp", space);
  for (std::uint64_t trial = 0; trial < 8; ++trial) {
    const auto configuration = gp->suggest(trial).value();
    gp->observe(trial, configuration, 1, -std::pow(configuration.values[0] - 0.5, 2));
  }
  std::vector<double> pending;
  for (std::uint64_t trial = 8; trial < 12; ++trial) pending.push_back(gp->suggest(trial)->values[0]);
  std::sort(pending.begin(), pending.end());
  for (std::size_t i = 1; i < pending.size(); ++i) EXPECT_GT(pending[i] - pending[i - 1], 1e-6);
}

}  // namespace
}  // namespace freshet::tuning
