#include "learners/tuning/search_space.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "learners/models/model.h"
#include "learners/optim/optimizer.h"
#include "learners/optim/schedule.h"
#include "learners/training/strategy.h"

namespace freshet {
namespace {

TEST(SearchSpace, RefusesWhatCannotBeDrawnFrom) {
  EXPECT_TRUE(check(SearchSpace::linear("a", -1, 1)).is_ok());
  EXPECT_FALSE(check(SearchSpace::linear("", 0, 1)).is_ok());
  EXPECT_FALSE(check(SearchSpace::linear("a", 1, 1)).is_ok());
  EXPECT_FALSE(check(SearchSpace::integer("a", 5, 4)).is_ok());
  EXPECT_FALSE(check(SearchSpace::logarithmic("a", 0, 1)).is_ok());
  EXPECT_FALSE(check(SearchSpace::log_integer("a", 0, 10)).is_ok());
  EXPECT_FALSE(check(SearchSpace::choice("a", {})).is_ok());
  EXPECT_FALSE(check(SearchSpace::integer("a", 1, 2).when("a", {"1"})).is_ok());
  EXPECT_FALSE(check(SearchSpace::integer("a", 1, 2).when("b", {})).is_ok());
}

// A study draws in order, so what a space depends on stands before it.
TEST(SearchSpace, DependsOnlyOnWhatStandsBefore) {
  std::set<std::string> drawn = {"learning.strategy"};  // not searched: it decides what is stored
  for (const auto& spaces :
       {strategy_search_spaces(), schedule_search_spaces(), optimizer_search_spaces(), model_search_spaces()}) {
    for (const auto& space : spaces) {
      EXPECT_TRUE(check(space).is_ok()) << check(space).to_string();
      for (const auto& condition : space.conditions) EXPECT_EQ(drawn.count(condition.option), 1U) << space.option;
      drawn.insert(space.option);
    }
  }
}

TEST(SearchSpace, NamesStrategiesThatThereAre) {
  const auto names = Strategy::names();
  for (const auto& space : strategy_search_spaces()) {
    for (const auto& condition : space.conditions) {
      EXPECT_EQ(condition.option, "learning.strategy");
      for (const auto& value : condition.values) {
        EXPECT_EQ(std::count(names.begin(), names.end(), value), 1) << value;
      }
    }
  }
}

TEST(SearchSpace, NamesOptimizersSchedulesAndModelsThatThereAre) {
  const SearchSpace optimizers = optimizer_search_spaces().front();
  const SearchSpace schedules = schedule_search_spaces().front();
  const SearchSpace models = model_search_spaces().front();
  for (const auto& name : models.choices) EXPECT_TRUE(parse_architecture(name).is_ok()) << name;
  for (const auto& name : optimizers.choices) EXPECT_TRUE(parse_optimizer(name).is_ok()) << name;
  for (const auto& name : schedules.choices) EXPECT_TRUE(parse_schedule(name).is_ok()) << name;
}

}  // namespace
}  // namespace freshet
