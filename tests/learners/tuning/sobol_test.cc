#include "learners/tuning/sobol.h"

#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "tests/learners/tuning/tuning_cases.h"

namespace freshet::tuning {
namespace {

TEST(Sobol, GivesScipysPoints) {
  const auto sequence = SobolSequence::create(SobolSequence::kDimensionsMost, std::nullopt).value();
  std::vector<double> point(sequence.dimensions());
  for (const auto& one : kSobolCases) {
    sequence.point(one.index, point);
    EXPECT_EQ(point[one.dimension], one.value) << one.dimension << ", " << one.index;
  }
}

TEST(Sobol, FillsEveryAxisEvenlyAlsoWhenShifted) {
  constexpr std::size_t kPoints = 256;
  std::set<double> firsts;
  for (const std::uint64_t seed : {1, 2, 3}) {
    const auto sequence = SobolSequence::create(40, seed).value();
    std::vector<double> point(40);
    std::vector<std::set<int>> cells(40);
    for (std::size_t i = 0; i < kPoints; ++i) {
      sequence.point(i, point);
      for (std::size_t d = 0; d < 40; ++d) cells[d].insert(static_cast<int>(point[d] * kPoints));
      if (i == 0) firsts.insert(point[0]);
    }
    for (const auto& hit : cells) EXPECT_EQ(hit.size(), kPoints);  // one in each cell
  }
  EXPECT_EQ(firsts.size(), 3U);
}

TEST(Sobol, RefusesMoreDimensionsThanItKnows) {
  EXPECT_EQ(SobolSequence::create(162, 1).code(), Code::kUnsupported);
  EXPECT_FALSE(SobolSequence::create(0, 1).is_ok());
}

}  // namespace
}  // namespace freshet::tuning
