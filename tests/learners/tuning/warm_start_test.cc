#include "learners/tuning/warm_start.h"

#include <cmath>

#include <gtest/gtest.h>

namespace freshet::tuning {
namespace {

ParameterSpace space() {
  return ParameterSpace::create({SearchSpace::logarithmic("rate", 1e-4, 1.0),
                                 SearchSpace::choice("kind", {"a", "b", "c"}),
                                 SearchSpace::linear("of_c", 0, 1).when("kind", {"c"})})
      .value();
}

PastTrial trial(const std::string& rate, const std::string& kind, double objective) {
  PastTrial made{{{"rate", rate}, {"kind", kind}}, {{1, objective - 0.5, 1.0}, {9, objective, 9.0}}};
  if (kind == "c") made.settings.push_back({"of_c", "0.5"});
  return made;
}

PastStudy study(double feature, double at, std::vector<PastTrial> trials) {
  return {"past", {feature, 7.0}, at, 9, std::move(trials)};
}

std::vector<PastStudy> studies() {
  return {study(0.0, 10.0, {trial("0.01", "a", 0.8), trial("0.5", "b", 0.2), trial("0.02", "a", 0.7)}),
          study(1.0, 10.0, {trial("0.1", "a", 0.9), trial("0.05", "b", 0.85), trial("0.9", "c", 0.1)}),
          study(9.0, 10.0, {trial("0.7", "c", 0.9)})};
}

TEST(WarmStart, MeasuresHowMuchStudiesDiffer) {
  // Features 0, 1, 9 and the new 0: mean 2.5, variance (6.25 + 2.25 + 42.25 + 6.25) / 4 = 14.25; the second feature is
  // the same everywhere. Of two features each counts a half.
  const auto past = studies();
  const auto distances = meta_distances(past, std::vector<double>{0.0, 7.0});
  EXPECT_NEAR(distances[0], 0.0, 1e-12);
  EXPECT_NEAR(distances[1], std::sqrt(1.0 / 14.25 / 2.0), 1e-12);
  EXPECT_NEAR(distances[2], std::sqrt(81.0 / 14.25 / 2.0), 1e-12);
  EXPECT_EQ(meta_distances(past, std::vector<double>{0.0})[0], 2.0);
}

TEST(WarmStart, BeginsWithTheBestOfWhatIsAlike) {
  WarmStartOptions options;
  options.narrow = false;
  options.first = 3;
  options.weight_least = 0.3;  // exp(-81 / 14.25 / 4) = 0.24 is too little
  const auto plan = plan_warm_start(studies(), std::vector<double>{0.0, 7.0}, 10.0, space(), options, 1).value();
  ASSERT_EQ(plan.used.size(), 2U);
  EXPECT_EQ(plan.used[0].study, 0U);
  EXPECT_EQ(plan.used[0].weight, 1.0);
  ASSERT_EQ(plan.first.size(), 3U);
  EXPECT_EQ(plan.space.settings(plan.first[0]), (std::vector<Setting>{{"rate", "0.01"}, {"kind", "a"}}));
  EXPECT_EQ(plan.space.settings(plan.first[1]), (std::vector<Setting>{{"rate", "0.1"}, {"kind", "a"}}));
  EXPECT_EQ(plan.space.settings(plan.first[2]), (std::vector<Setting>{{"rate", "0.02"}, {"kind", "a"}}));
  EXPECT_EQ(plan.prior.size(), 6U);
  EXPECT_EQ(plan.prior[0].resource, 9U);
  EXPECT_EQ(plan.prior[0].objective, 0.8);
}

TEST(WarmStart, LosesInterestWithAge) {
  WarmStartOptions options;
  options.half_life = 5.0;
  options.weight_least = 0.01;
  const auto plan = plan_warm_start(studies(), std::vector<double>{0.0, 7.0}, 20.0, space(), options, 1).value();
  EXPECT_NEAR(plan.used[0].weight, 0.25, 1e-12);
  EXPECT_NEAR(plan.used[1].weight, 0.25 * std::exp(-0.5 / 14.25 / 2.0), 1e-12);
}

TEST(WarmStart, NarrowsTheSpaceToWhatWasGood) {
  WarmStartOptions options;
  options.weight_least = 0.3;
  options.narrow_best = 2;
  options.narrow_margin = 0.05;
  const auto plan = plan_warm_start(studies(), std::vector<double>{0.0, 7.0}, 10.0, space(), options, 1).value();
  // The best two of the two studies: rates 0.01, 0.02, 0.1, 0.05, kinds a, a, a, b. 5 % of 4 decades is a factor
  // of 1.58.
  ASSERT_EQ(plan.space.size(), 2U);  // of_c goes with c
  EXPECT_NEAR(plan.space[0].lowest, 0.01 / std::pow(10.0, 0.2), 1e-9);
  EXPECT_NEAR(plan.space[0].highest, 0.1 * std::pow(10.0, 0.2), 1e-9);
  EXPECT_EQ(plan.space[1].choices, (std::vector<std::string>{"a", "b"}));
  // 0.5 and the trial with c lie outside.
  EXPECT_EQ(plan.prior.size(), 4U);
  for (const auto& one : plan.first) EXPECT_TRUE(plan.space.check_inside(one).is_ok());
}

TEST(WarmStart, IsNoErrorWithoutStudies) {
  const auto plan = plan_warm_start({}, {}, 0.0, space(), {}, 1);
  ASSERT_TRUE(plan.is_ok());
  EXPECT_TRUE(plan->first.empty());
  EXPECT_EQ(plan->space.size(), 3U);
}

TEST(WarmStart, KeepsPastStudiesAsBytes) {
  const auto past = studies()[0];
  ByteWriter out;
  save(past, out);
  const std::string bytes = out.take();
  ByteReader in(bytes);
  const auto loaded = load_past_study(in).value();
  EXPECT_TRUE(in.at_end());
  ByteWriter again;
  save(loaded, again);
  EXPECT_EQ(again.buffer(), bytes);
  for (std::size_t size = 0; size < bytes.size(); size += 5) {
    ByteReader cut(std::string_view(bytes).substr(0, size));
    EXPECT_FALSE(load_past_study(cut).is_ok());
  }
}

// A model that knows earlier trials suggests good ones before it has any of its own.
TEST(WarmStart, TellsSearchersWithAModelWhereToLook) {
  const auto one = ParameterSpace::create({SearchSpace::linear("x", 0, 1)}).value();
  for (const std::string kind : {"gp", "kde"}) {
    SCOPED_TRACE(kind);
    SearcherOptions options;
    options.kind = kind;
    options.random_share = 0.0;
    auto searcher = make_searcher(options, one).value();
    std::vector<PriorObservation> prior;
    for (int i = 0; i < 40; ++i) {
      const double x = (i + 0.5) / 40;
      prior.push_back({Configuration{{x}}, 100, -(x - 0.8) * (x - 0.8), 0.5, 0});
    }
    searcher->learn_from(prior);
    double off = 0.0;
    for (std::uint64_t trial = 0; trial < 20; ++trial) off += std::abs(searcher->suggest(trial)->values[0] - 0.8) / 20;
    EXPECT_LT(off, 0.15);  // by chance 0.34
  }
}

}  // namespace
}  // namespace freshet::tuning
