#include "learners/evaluation/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "core/rng.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 71;

double value_of(const EvaluationMetrics& metrics, std::string_view name) {
  const auto value = find_metric(metrics.values(), name);
  EXPECT_TRUE(value.has_value()) << name;
  return value.value_or(std::nan(""));
}

ScoredEvent binary_event(float p, float label, float weight = 1) {
  return {p, label, weight, -std::log(label > 0.5F ? p : 1 - p)};
}

// By sorting, with weights; ties count half.
double exact_auc(std::vector<ScoredEvent> events) {
  std::sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.score < b.score; });
  double area = 0;
  double negatives = 0;
  double positives = 0;
  for (std::size_t i = 0; i < events.size();) {
    double tied_negatives = 0;
    double tied_positives = 0;
    std::size_t j = i;
    for (; j < events.size() && events[j].score == events[i].score; ++j) {
      (events[j].label > 0.5F ? tied_positives : tied_negatives) += static_cast<double>(events[j].weight);
    }
    area += tied_positives * (negatives + 0.5 * tied_negatives);
    negatives += tied_negatives;
    positives += tied_positives;
    i = j;
  }
  return area / (negatives * positives);
}

// Eight events, worked out by hand: 3 right positives, 1 missed, 2 right negatives, 2 false alarms.
TEST(MetricsTest, BinaryValuesOfASmallStream) {
  EvaluationMetrics metrics(Task::kBinary, 2);
  const std::array<float, 8> labels = {1, 0, 1, 1, 0, 0, 1, 0};
  const std::array<float, 8> p = {0.9F, 0.2F, 0.6F, 0.3F, 0.5F, 0.1F, 0.8F, 0.7F};
  for (std::size_t i = 0; i < 8; ++i) metrics.add(binary_event(p[i], labels[i]));
  EXPECT_EQ(metrics.events(), 8U);
  EXPECT_NEAR(value_of(metrics, "log_loss"), 0.5336158183652351, 1e-6);
  EXPECT_NEAR(value_of(metrics, "brier"), 0.18625, 1e-6);
  EXPECT_DOUBLE_EQ(value_of(metrics, "accuracy"), 5.0 / 8);
  EXPECT_DOUBLE_EQ(value_of(metrics, "auc"), 0.8125);  // 13 of 16 pairs
  EXPECT_DOUBLE_EQ(value_of(metrics, "precision"), 3.0 / 5);
  EXPECT_DOUBLE_EQ(value_of(metrics, "recall"), 3.0 / 4);
  EXPECT_DOUBLE_EQ(value_of(metrics, "f1"), 2.0 / 3);
  EXPECT_DOUBLE_EQ(value_of(metrics, "f1_macro"), (2.0 / 3 + 4.0 / 7) / 2);
  EXPECT_DOUBLE_EQ(value_of(metrics, "f1_weighted"), (4 * 2.0 / 3 + 4 * 4.0 / 7) / 8);
}

TEST(MetricsTest, ValuesComeInAFixedOrder) {
  EvaluationMetrics metrics(Task::kBinary, 2);
  metrics.add(binary_event(0.9F, 1));
  metrics.add(binary_event(0.3F, 0));
  std::vector<std::string_view> names;
  for (const auto& value : metrics.values()) names.push_back(value.name);
  EXPECT_EQ(names, (std::vector<std::string_view>{"log_loss", "accuracy", "auc", "precision", "recall", "f1",
                                                  "f1_macro", "f1_weighted", "brier"}));
}

TEST(MetricsTest, WhatHasNoValueYetIsLeftOut) {
  EvaluationMetrics metrics(Task::kBinary, 2);
  EXPECT_TRUE(metrics.values().empty());
  metrics.add(binary_event(0.1F, 0));
  EXPECT_FALSE(find_metric(metrics.values(), "auc").has_value());
  EXPECT_EQ(value_of(metrics, "f1"), 0);        // 0 / 0
  EXPECT_EQ(value_of(metrics, "f1_macro"), 1);  // over the one class that occurs
}

TEST(MetricsTest, APredictionThatIsNotANumberIsWrongWhateverTheLabel) {
  EvaluationMetrics metrics(Task::kBinary, 2);
  metrics.add({std::nanf(""), 1, 1, 16});
  metrics.add({std::nanf(""), 0, 1, 16});
  EXPECT_EQ(value_of(metrics, "accuracy"), 0);
  EXPECT_EQ(value_of(metrics, "brier"), 1);
  EXPECT_EQ(value_of(metrics, "auc"), 0);
}

TEST(MetricsTest, WeightsCountAsRepetitions) {
  EvaluationMetrics weighted(Task::kBinary, 2);
  EvaluationMetrics repeated(Task::kBinary, 2);
  Rng rng(kSeed);
  for (int i = 0; i < 200; ++i) {
    const auto p = static_cast<float>(0.01 + 0.98 * rng.uniform());
    const ScoredEvent event = binary_event(p, static_cast<float>(rng.below(2)));
    const auto times = rng.below(4);
    weighted.add({event.score, event.label, static_cast<float>(times), event.loss});
    for (std::uint64_t t = 0; t < times; ++t) repeated.add(event);
  }
  const auto a = weighted.values();
  const auto b = repeated.values();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i].value, b[i].value, 1e-12) << a[i].name;
}

TEST(AucHistogramTest, IsWithinItsBoundOfTheExactValue) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  for (const double spread : {0.0, 1.0, 4.0, 12.0}) {
    Rng rng(kSeed);
    AucHistogram histogram;
    std::vector<ScoredEvent> events;
    for (int i = 0; i < 50'000; ++i) {
      const bool positive = rng.below(10) == 0;
      const double logit = spread * (rng.uniform() + rng.uniform() - 1) + (positive ? 0.5 : 0) - spread / 2;
      const auto p = static_cast<float>(1 / (1 + std::exp(-logit)));
      const float weight = rng.below(5) == 0 ? 2.0F : 1.0F;
      events.push_back({p, positive ? 1.0F : 0.0F, weight, 0});
      histogram.add(p, positive, weight);
    }
    const double error = std::abs(*histogram.auc() - exact_auc(events));
    EXPECT_LE(error, *histogram.error_bound() + 1e-12) << spread;
    EXPECT_LT(error, 1e-5) << spread;
    EXPECT_LT(*histogram.error_bound(), spread == 0 ? 0.51 : 1e-3) << spread;
  }
}

TEST(AucHistogramTest, BinsRiseWithProbabilityAndCoverAll) {
  std::uint32_t last = 0;
  for (int step = -80'000; step <= 80'000; ++step) {
    const std::uint32_t bin = AucHistogram::bin(static_cast<float>(1 / (1 + std::exp(-step / 1000.0))));
    ASSERT_GE(bin, last) << step;
    ASSERT_LT(bin, AucHistogram::kBins);
    last = bin;
  }
  EXPECT_EQ(AucHistogram::bin(0.0F), 0U);
  EXPECT_EQ(AucHistogram::bin(-1.0F), 0U);
  EXPECT_EQ(AucHistogram::bin(1.0F), AucHistogram::kBins - 1);
  EXPECT_EQ(AucHistogram::bin(7.0F), AucHistogram::kBins - 1);
  EXPECT_LT(AucHistogram::bin(0.5F), AucHistogram::bin(0.5002F));
  EXPECT_LT(AucHistogram::bin(1e-6F), AucHistogram::bin(1.01e-6F));
}

TEST(AucHistogramTest, TiesCountHalf) {
  AucHistogram histogram;
  histogram.add(0.4F, true, 1);
  histogram.add(0.4F, false, 1);
  EXPECT_EQ(histogram.auc(), 0.5);
}

TEST(MetricsTest, MulticlassValuesOfASmallStream) {
  // Labels 0 0 1 1 2 2 2, predictions 0 1 1 1 2 0 2; class 3 never occurs and takes no part in the macro mean.
  EvaluationMetrics metrics(Task::kMulticlass, 4);
  const std::array<float, 7> labels = {0, 0, 1, 1, 2, 2, 2};
  const std::array<float, 7> predicted = {0, 1, 1, 1, 2, 0, 2};
  for (std::size_t i = 0; i < 7; ++i) metrics.add({predicted[i], labels[i], 1, 0.5F});
  const double f0 = 2.0 * 1 / (2 + 2);
  const double f1 = 2.0 * 2 / (3 + 2);
  const double f2 = 2.0 * 2 / (2 + 3);
  EXPECT_DOUBLE_EQ(value_of(metrics, "accuracy"), 5.0 / 7);
  EXPECT_DOUBLE_EQ(value_of(metrics, "f1_macro"), (f0 + f1 + f2) / 3);
  EXPECT_DOUBLE_EQ(value_of(metrics, "f1_weighted"), (2 * f0 + 2 * f1 + 3 * f2) / 7);
  EXPECT_DOUBLE_EQ(value_of(metrics, "log_loss"), 0.5);
}

TEST(MetricsTest, RegressionValuesOfASmallStream) {
  // scikit-learn's own example: y = 3 -0.5 2 7, predicted 2.5 0 2 8.
  EvaluationMetrics metrics(Task::kRegression, 0);
  const std::array<float, 4> labels = {3, -0.5F, 2, 7};
  const std::array<float, 4> values = {2.5F, 0, 2, 8};
  for (std::size_t i = 0; i < 4; ++i) {
    const float error = values[i] - labels[i];
    metrics.add({values[i], labels[i], 1, error * error});
  }
  EXPECT_DOUBLE_EQ(value_of(metrics, "mae"), 0.5);
  EXPECT_DOUBLE_EQ(value_of(metrics, "rmse"), std::sqrt(0.375));
  EXPECT_NEAR(value_of(metrics, "r2"), 0.9486081370449679, 1e-12);
}

class MetricsTaskTest : public ::testing::TestWithParam<Task> {
 protected:
  static ScoredEvent random_event(Rng& rng) {
    switch (GetParam()) {
      case Task::kBinary:
        return binary_event(static_cast<float>(0.001 + 0.998 * rng.uniform()), static_cast<float>(rng.below(2)));
      case Task::kMulticlass:
        return {static_cast<float>(rng.below(5)), static_cast<float>(rng.below(5)), 1, 1};
      case Task::kRegression:
        break;
    }
    const auto label = static_cast<float>(rng.uniform() * 9 + 1000);
    const auto value = static_cast<float>(rng.uniform() * 9 + 1000);
    return {value, label, 1 + static_cast<float>(rng.below(3)), (value - label) * (value - label)};
  }
};
INSTANTIATE_TEST_SUITE_P(Tasks, MetricsTaskTest, ::testing::Values(Task::kBinary, Task::kMulticlass, Task::kRegression),
                         [](const auto& tested) { return std::string(task_name(tested.param)); });

TEST_P(MetricsTaskTest, MergedPartsEqualTheWhole) {
  Rng rng(kSeed);
  EvaluationMetrics whole(GetParam(), 5);
  EvaluationMetrics merged(GetParam(), 5);
  for (int part = 0; part < 4; ++part) {
    EvaluationMetrics piece(GetParam(), 5);
    for (int i = 0; i < part * 300; ++i) {  // the first is empty
      const ScoredEvent event = random_event(rng);
      whole.add(event);
      piece.add(event);
    }
    merged.merge(piece);
  }
  const auto a = whole.values();
  const auto b = merged.values();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i].value, b[i].value, 1e-9) << a[i].name;
  EXPECT_EQ(whole.events(), merged.events());
}

TEST_P(MetricsTaskTest, LoadedMetricsGoOnBitIdentically) {
  Rng rng(kSeed);
  EvaluationMetrics original(GetParam(), 5);
  for (int i = 0; i < 500; ++i) original.add(random_event(rng));
  ByteWriter out;
  original.save(out);
  EvaluationMetrics restored(GetParam(), 5);
  ByteReader in(out.buffer());
  ASSERT_TRUE(restored.load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  for (int i = 0; i < 500; ++i) {
    const ScoredEvent event = random_event(rng);
    original.add(event);
    restored.add(event);
  }
  const auto a = original.values();
  const auto b = restored.values();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].value, b[i].value) << a[i].name;
  for (std::size_t size = 0; size < out.buffer().size(); size += 11) {
    ByteReader cut(std::string_view(out.buffer()).substr(0, size));
    EXPECT_EQ(EvaluationMetrics(GetParam(), 5).load(cut).code(), Code::kDataLoss) << size;
  }
}

TEST_P(MetricsTaskTest, ClearForgetsEverything) {
  Rng rng(kSeed);
  EvaluationMetrics used(GetParam(), 5);
  for (int i = 0; i < 100; ++i) used.add(random_event(rng));
  used.clear();
  EXPECT_TRUE(used.values().empty());
  EvaluationMetrics fresh(GetParam(), 5);
  for (int i = 0; i < 100; ++i) {
    const ScoredEvent event = random_event(rng);
    used.add(event);
    fresh.add(event);
  }
  ByteWriter a;
  ByteWriter b;
  used.save(a);
  fresh.save(b);
  EXPECT_EQ(a.buffer(), b.buffer());
}

}  // namespace
}  // namespace freshet
