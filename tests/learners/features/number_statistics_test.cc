#include "learners/features/number_statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"
#include "learners/features/natural_log.h"

namespace freshet {
namespace {

TEST(NaturalLogTest, IsWithinThreeTenMillionthsOfTheTruth) {
  double worst = 0;
  for (int exponent = -120; exponent <= 120; ++exponent) {
    for (int step = 0; step < 2'000; ++step) {
      const float x = std::ldexp(1.0F + static_cast<float>(step) / 2'000.0F, exponent);
      const double truth = std::log(static_cast<double>(x));
      const double error = std::abs(static_cast<double>(natural_log(x)) - truth);
      worst = std::max(worst, truth == 0 ? error : error / std::abs(truth));
    }
  }
  EXPECT_LT(worst, 3e-7);
  EXPECT_EQ(natural_log(1.0F), 0.0F);
  for (int i = 1; i < 1'000; ++i) {  // just below and above 1, where cancellation would show
    const float x = 1.0F + static_cast<float>(i - 500) * 0x1p-22F;
    if (x == 1.0F) continue;
    EXPECT_NEAR(natural_log(x) / std::log(static_cast<double>(x)), 1.0, 3e-7) << x;
  }
}

TEST(NumberStatisticsTest, StandardisesByMeanAndDeviationOfWhatItHasSeen) {
  NumberStatistics statistics(2);
  for (const float x : {2.0F, 4.0F, 4.0F, 4.0F, 5.0F, 5.0F, 7.0F, 9.0F}) statistics.update(1, x, 1);
  EXPECT_FLOAT_EQ(statistics.standardise(1, 7.0F), 1.0F);  // mean 5, deviation 2
  EXPECT_FLOAT_EQ(statistics.standardise(1, 5.0F), 0.0F);
  EXPECT_EQ(statistics.standardise(1, 1e30F), 5.0F);
  EXPECT_EQ(statistics.standardise(1, -1e30F), -5.0F);
  EXPECT_EQ(statistics.standardise(0, 3.0F), 0.0F);  // nothing seen
}

TEST(NumberStatisticsTest, AConstantColumnGivesZeros) {
  NumberStatistics statistics(1);
  for (int i = 0; i < 1'000; ++i) statistics.update(0, 0.1F, 1);
  EXPECT_EQ(statistics.standardise(0, 0.1F), 0.0F);
  EXPECT_EQ(statistics.standardise(0, 50.0F), 0.0F);
}

TEST(NumberStatisticsTest, AWeightCountsAsSoManyEvents) {
  NumberStatistics weighted(1);
  NumberStatistics repeated(1);
  weighted.update(0, 1.0F, 3);
  weighted.update(0, 6.0F, 1);
  for (int i = 0; i < 3; ++i) repeated.update(0, 1.0F, 1);
  repeated.update(0, 6.0F, 1);
  EXPECT_FLOAT_EQ(weighted.standardise(0, 3.0F), repeated.standardise(0, 3.0F));
}

TEST(NumberStatisticsTest, AFarOffsetDoesNotSpoilTheDeviation) {
  NumberStatistics statistics(1);
  Rng rng(9);
  for (int i = 0; i < 200'000; ++i) statistics.update(0, 16'000'000.0F + static_cast<float>(rng.below(101)), 1);
  // Uniform over 0..100: deviation sqrt((101^2 - 1) / 12) = 29.155.
  EXPECT_NEAR(statistics.standardise(0, 16'000'108.0F) - statistics.standardise(0, 16'000'050.0F), 58 / 29.155, 0.02);
}

TEST(NumberStatisticsTest, ExtremeValuesStayFinite) {
  NumberStatistics statistics(1);
  for (const float x : {3e38F, -3e38F, 3e38F, 1e-38F}) {
    statistics.update(0, x, 1);
    EXPECT_LE(std::abs(statistics.standardise(0, 3e38F)), 5.0F);
    EXPECT_LE(std::abs(statistics.standardise(0, 0.0F)), 5.0F);
  }
}

TEST(NumberStatisticsTest, LoadRefusesTruncationAndAnotherWidth) {
  NumberStatistics statistics(3);
  statistics.update(1, 2.0F, 1);
  ByteWriter out;
  statistics.save(out);
  for (std::size_t size = 0; size < out.buffer().size(); ++size) {
    NumberStatistics other(3);
    ByteReader in(std::string_view(out.buffer()).substr(0, size));
    EXPECT_EQ(other.load(in).code(), Code::kDataLoss) << size;
  }
  NumberStatistics wider(4);
  ByteReader in(out.buffer());
  EXPECT_EQ(wider.load(in).code(), Code::kDataLoss);
}

}  // namespace
}  // namespace freshet
