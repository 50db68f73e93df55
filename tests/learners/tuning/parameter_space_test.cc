#include "learners/tuning/parameter_space.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

namespace freshet::tuning {
namespace {

ParameterSpace mixed() {
  std::vector<SearchSpace> spaces = {
      SearchSpace::choice("optimizer", {"sgd", "adam"}),
      SearchSpace::logarithmic("rate", 0.001, 0.1).when("optimizer", {"sgd"}),
      SearchSpace::logarithmic("rate", 1e-5, 1e-3).when("optimizer", {"adam"}),
      SearchSpace::choice("momentum", {"0", "0.9", "0.99"}).when("optimizer", {"sgd"}),
      SearchSpace::log_integer("width", 1, 100),
      SearchSpace::integer("layers", 1, 4),
  };
  return ParameterSpace::create(std::move(spaces)).value();
}

TEST(ParameterSpace, SaysWhatIsWrongWithIt) {
  const auto refused = [](std::vector<SearchSpace> spaces, const std::string& why) {
    const auto made = ParameterSpace::create(std::move(spaces));
    ASSERT_FALSE(made.is_ok());
    EXPECT_NE(made.status().message().find(why), std::string::npos) << made.status().message();
  };
  refused({}, "without anything to search");
  refused({SearchSpace::linear("a", 0, 1), SearchSpace::linear("a", 2, 3)}, "a stands there twice");
  refused({SearchSpace::linear("a", 0, 1).when("b", {"1"})}, "depends on b, which is neither");
  refused({SearchSpace::choice("a", {"x", "x"})}, "has a choice twice");
  refused({SearchSpace::linear("a", 3, 1)}, "is no range");
}

TEST(ParameterSpace, LeavesOutWhatASettingRulesOut) {
  std::vector<SearchSpace> spaces = {
      SearchSpace::linear("der.alpha", 0, 1).when("strategy", {"der"}),
      SearchSpace::linear("er.beta", 0, 1).when("strategy", {"er"}),
      SearchSpace::linear("er.gamma", 0, 1).when("er.beta", {"0.5"}),
      SearchSpace::linear("other", 0, 1).when("der.alpha", {"1"}),
  };
  const auto space = ParameterSpace::create(std::move(spaces), {{"strategy", "er"}}).value();
  ASSERT_EQ(space.size(), 2U);
  EXPECT_EQ(space[0].option, "er.beta");
  EXPECT_EQ(space[1].option, "er.gamma");
}

TEST(ParameterSpace, DrawsInsideAndCoversEachValue) {
  const auto space = mixed();
  Rng rng(1);
  std::set<double> layers;
  std::set<double> momentum;
  int low = 0;
  constexpr int kDraws = 4000;
  for (int i = 0; i < kDraws; ++i) {
    const auto drawn = space.sample(rng);
    const Status inside = space.check_inside(drawn);
    ASSERT_TRUE(inside.is_ok()) << inside.to_string();
    EXPECT_NE(std::isnan(drawn.values[1]), std::isnan(drawn.values[2]));
    layers.insert(drawn.values[5]);
    if (!std::isnan(drawn.values[3])) momentum.insert(drawn.values[3]);
    low += drawn.values[4] < 10 ? 1 : 0;
    const auto moved = space.neighbour(drawn, rng, 0.1);
    ASSERT_TRUE(space.check_inside(moved).is_ok());
  }
  EXPECT_EQ(layers, (std::set<double>{1, 2, 3, 4}));
  EXPECT_EQ(momentum, (std::set<double>{0, 1, 2}));
  // Of the logarithm's range, log(100.5) - log(0.5), the part below 9.5.
  const double share = std::log(9.5 / 0.5) / std::log(100.5 / 0.5);
  EXPECT_NEAR(low / static_cast<double>(kDraws), share, 4.0 * std::sqrt(share * (1 - share) / kDraws));
}

TEST(ParameterSpace, WritesConfigurationsAndReadsThemBack) {
  const auto space = mixed();
  Rng rng(2);
  for (int i = 0; i < 200; ++i) {
    const auto drawn = space.sample(rng);
    const auto read = space.parse(space.settings(drawn));
    ASSERT_TRUE(read.is_ok()) << read.status().to_string();
    EXPECT_EQ(*read, drawn);
  }
  const auto read = space.parse(std::vector<Setting>{
      {"optimizer", "sgd"}, {"rate", "0.01"}, {"momentum", "0.9"}, {"width", "7"}, {"layers", "2"}});
  ASSERT_TRUE(read.is_ok()) << read.status().to_string();
  EXPECT_EQ(space.json(*read), R"({"optimizer": "sgd", "rate": 0.01, "momentum": "0.9", "width": 7, "layers": 2})");
}

TEST(ParameterSpace, RefusesSettingsThatDoNotFit) {
  const auto space = mixed();
  const auto why = [&](std::vector<Setting> settings) { return space.parse(settings).status().message(); };
  EXPECT_EQ(why({{"optimizer", "lamb"}}), "optimizer: \"lamb\" is none of the choices searched");
  EXPECT_EQ(why({{"optimizer", "adam"}, {"rate", "0.1"}}), "rate: 0.1 is outside of 1e-05 to 0.001");
  EXPECT_EQ(why({{"optimizer", "adam"}}), "rate has no value");
  EXPECT_EQ(why({{"optimizer", "adam"}, {"rate", "0.0001"}, {"width", "7"}, {"layers", "2"}, {"momentum", "0"}}),
            "momentum is not searched here");
}

TEST(ParameterSpace, TakesOverWhatItCanOfAnotherStudy) {
  const auto space = mixed();
  Rng rng(3);
  const std::vector<Setting> other = {{"optimizer", "sgd"}, {"rate", "7"}, {"momentum", "0.94"}, {"gone", "1"}};
  const auto taken = space.nearest(other, rng);
  ASSERT_TRUE(space.check_inside(taken).is_ok());
  EXPECT_EQ(taken.values[1], 0.1);                         // moved inside
  EXPECT_EQ(space.value_text(3, taken.values[3]), "0.9");  // the nearest choice in order
}

TEST(ParameterSpace, EncodesForModels) {
  const auto space = mixed();
  // optimizer 2, two rates, momentum in order, width, layers
  EXPECT_EQ(space.encoded_width(), 7U);
  EXPECT_EQ(std::vector<std::uint32_t>(space.groups().begin(), space.groups().end()),
            (std::vector<std::uint32_t>{0, 0, 1, 2, 3, 4, 5}));
  const auto read = space.parse(std::vector<Setting>{
      {"optimizer", "sgd"}, {"rate", "0.01"}, {"momentum", "0.99"}, {"width", "10"}, {"layers", "1"}});
  std::vector<double> point(7);
  space.encode(*read, point);
  const double width = (std::log(10) - std::log(0.5)) / (std::log(100.5) - std::log(0.5));
  const std::vector<double> expected = {1, 0, 0.5, 0.5, 1, width, 0.125};
  for (std::size_t i = 0; i < 7; ++i) EXPECT_NEAR(point[i], expected[i], 1e-12) << i;
}

TEST(ParameterSpace, MakesAGridOfEveryCombinationOnce) {
  const auto space = mixed();
  // sgd: 3 rates * 3 momenta, adam: 3 rates; widths 1, 10, 100; layers 1, 2.5 -> 3, 4
  const auto grid = space.grid(3, 10'000);
  EXPECT_EQ(grid.size(), (3U * 3U + 3U) * 3U * 3U);
  std::set<std::string> texts;
  for (const auto& one : grid) {
    EXPECT_TRUE(space.check_inside(one).is_ok());
    texts.insert(space.json(one));
  }
  EXPECT_EQ(texts.size(), grid.size());
}

}  // namespace
}  // namespace freshet::tuning
