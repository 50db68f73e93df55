// Estimated performance: without labels nearly what labels would have said.
#include "learners/drift/estimated_performance.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/rng.h"

namespace freshet {
namespace {

// A model whose probabilities are too extreme: where it says p, p^2 / (p^2 + (1-p)^2) inverted is true.
double true_share(double p) { return std::sqrt(p) / (std::sqrt(p) + std::sqrt(1 - p)); }

struct Actual {
  double right = 0;
  double loss = 0;
  int events = 0;
  void add(double p, bool positive) {
    right += (p >= 0.5) == positive;
    loss -= std::log(positive ? p : 1 - p);
    ++events;
  }
};

TEST(EstimatedPerformance, IsNearTheTruthAlsoWhereInputsShift) {
  Rng rng(21);
  EstimatedPerformance estimated(1);
  for (int i = 0; i < 200'000; ++i) {
    const double p = 0.001 + 0.998 * rng.uniform();
    estimated.add_labelled(static_cast<float>(p), rng.uniform() < true_share(p));
  }
  for (const bool shifted : {false, true}) {
    Actual actual;
    estimated.begin_window();
    for (int i = 0; i < 50'000; ++i) {
      // Shifted: more of the events are doubtful ones.
      const double u = rng.uniform();
      const double p = 0.001 + 0.998 * (shifted ? 0.5 + 0.5 * (2 * u - 1) * (2 * u - 1) * (2 * u - 1) : u);
      estimated.add_unlabelled(static_cast<float>(p));
      actual.add(static_cast<double>(static_cast<float>(p)), rng.uniform() < true_share(p));
    }
    const PerformanceEstimate found = estimated.estimate();
    EXPECT_EQ(found.events, 50'000U);
    EXPECT_NEAR(found.accuracy, actual.right / actual.events, 0.01) << shifted;
    EXPECT_NEAR(found.log_loss, actual.loss / actual.events, 0.02) << shifted;
  }
}

TEST(EstimatedPerformance, IsOfTheProbabilitiesThemselvesWithoutLabels) {
  EstimatedPerformance estimated;
  for (int i = 0; i < 100; ++i) estimated.add_unlabelled(i % 2 == 0 ? 0.9F : 0.2F);
  const PerformanceEstimate found = estimated.estimate();
  EXPECT_NEAR(found.accuracy, 0.85, 1e-6);  // (0.9 + 0.8) / 2
  const double expected = -(0.9 * std::log(0.9) + 0.1 * std::log(0.1) + 0.2 * std::log(0.2) + 0.8 * std::log(0.8)) / 2;
  EXPECT_NEAR(found.log_loss, expected, 1e-6);
}

TEST(EstimatedPerformance, HasACalibrationThatNeverFalls) {
  Rng rng(22);
  EstimatedPerformance estimated;
  for (int i = 0; i < 500; ++i) estimated.add_labelled(static_cast<float>(rng.uniform()), rng.below(2) == 0);
  double before = -1;
  for (int i = 0; i < 1000; ++i) {
    const double share = estimated.calibrated(static_cast<float>(i) / 1000);
    if (share != static_cast<double>(static_cast<float>(i) / 1000)) {  // a bin of its own
      EXPECT_GE(share, before);
      before = share;
    }
  }
}

TEST(EstimatedPerformance, FollowsAModelThatBecomesWrong) {
  EstimatedPerformance estimated(0.999);
  for (int i = 0; i < 5000; ++i) estimated.add_labelled(0.9F, i % 10 != 0);
  EXPECT_NEAR(estimated.calibrated(0.9F), 0.9, 0.01);
  for (int i = 0; i < 10'000; ++i) estimated.add_labelled(0.9F, i % 2 == 0);
  EXPECT_NEAR(estimated.calibrated(0.9F), 0.5, 0.01);
}

TEST(EstimatedPerformance, OfManyClassesCountsHowOftenAConfidenceIsRight) {
  EstimatedPerformance estimated(1, false);
  for (int i = 0; i < 1000; ++i) estimated.add_labelled(0.4F, i % 4 != 0);  // right in three of four
  for (int i = 0; i < 10; ++i) estimated.add_unlabelled(0.4F);
  EXPECT_NEAR(estimated.estimate().accuracy, 0.75, 1e-9);
}

TEST(EstimatedPerformance, IsStoredExactlyAndLeavesOutWhatIsNoProbability) {
  Rng rng(23);
  EstimatedPerformance made;
  for (int i = 0; i < 3000; ++i) {
    made.add_labelled(static_cast<float>(rng.uniform()), rng.below(2) == 0);
    made.add_unlabelled(static_cast<float>(rng.uniform()));
  }
  ByteWriter out;
  made.save(out);
  made.add_labelled(std::nanf(""), true);
  made.add_unlabelled(1.5F);
  ByteWriter same;
  made.save(same);
  EXPECT_EQ(out.buffer(), same.buffer());
  EstimatedPerformance loaded;
  ByteReader in(out.buffer());
  ASSERT_TRUE(loaded.load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  ByteWriter again;
  loaded.save(again);
  EXPECT_EQ(out.buffer(), again.buffer());
  ByteReader cut(std::string_view(out.buffer()).substr(0, 700));
  EXPECT_EQ(loaded.load(cut).code(), Code::kDataLoss);
  EXPECT_EQ(loaded.estimate().events, 0U);
}

}  // namespace
}  // namespace freshet
