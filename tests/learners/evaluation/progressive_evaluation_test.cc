#include "learners/evaluation/progressive_evaluation.h"

#include <gtest/gtest.h>

#include "core/rng.h"
#include "learners/evaluation/losses.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 5;

struct Batch {
  Predictions predictions;
  std::vector<float> labels, weights, losses;
};

Batch random_batch(Rng& rng, Task task, std::size_t rows) {
  Batch batch;
  batch.predictions.rows = rows;
  batch.predictions.width = task == Task::kMulticlass ? 4 : 1;
  batch.losses.resize(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::uint32_t c = 0; c < batch.predictions.width; ++c) {
      batch.predictions.values.push_back(static_cast<float>(rng.uniform()));
    }
    batch.labels.push_back(static_cast<float>(rng.below(task == Task::kMulticlass ? 4 : 2)));
    batch.weights.push_back(rng.below(10) == 0 ? 0.0F : 1.0F);
  }
  return batch;
}

void add(ProgressiveEvaluation& evaluation, Batch& batch, std::uint64_t version = 1) {
  evaluation.add(batch.predictions, batch.labels, batch.weights, version, batch.losses);
}

void expect_same(const std::vector<MetricValue>& a, const std::vector<MetricValue>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].name, b[i].name);
    EXPECT_EQ(a[i].value, b[i].value) << a[i].name;
  }
}

class ProgressiveEvaluationTest : public ::testing::TestWithParam<Task> {
 protected:
  static EvaluationOptions options() { return {GetParam(), 4, 500}; }
};
INSTANTIATE_TEST_SUITE_P(Tasks, ProgressiveEvaluationTest,
                         ::testing::Values(Task::kBinary, Task::kMulticlass, Task::kRegression),
                         [](const auto& tested) { return std::string(task_name(tested.param)); });

TEST_P(ProgressiveEvaluationTest, BeginsEmpty) {
  ProgressiveEvaluation evaluation(options());
  const EvaluationReport report = evaluation.report();
  EXPECT_EQ(report.events, 0U);
  EXPECT_TRUE(report.stream.empty());
  EXPECT_TRUE(report.window.empty());
}

TEST_P(ProgressiveEvaluationTest, TheWindowIsTheLastEventsExactly) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  ProgressiveEvaluation evaluation(options());
  std::vector<ScoredEvent> counted;
  for (int b = 0; b < 20; ++b) {
    Batch batch = random_batch(rng, GetParam(), 97);
    add(evaluation, batch, static_cast<std::uint64_t>(b));
    for (std::size_t i = 0; i < 97; ++i) {
      if (batch.weights[i] == 0) continue;
      const float score = GetParam() == Task::kMulticlass ? static_cast<float>(predicted_class(batch.predictions, i))
                                                          : batch.predictions.values[i];
      counted.push_back({score, batch.labels[i], batch.weights[i], batch.losses[i]});
    }
    EvaluationMetrics stream(GetParam(), 4);
    for (const auto& event : counted) stream.add(event);
    EvaluationMetrics window(GetParam(), 4);
    for (std::size_t i = counted.size() - std::min<std::size_t>(counted.size(), 500); i < counted.size(); ++i) {
      window.add(counted[i]);
    }
    const EvaluationReport report = evaluation.report();
    EXPECT_EQ(report.events, counted.size());
    EXPECT_EQ(report.window_events, std::min<std::size_t>(counted.size(), 500));
    EXPECT_EQ(report.model_version, static_cast<std::uint64_t>(b));
    expect_same(report.stream, stream.values());
    const auto expected = window.values();
    ASSERT_EQ(report.window.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(report.window[i].value, expected[i].value, 1e-9);
  }
}

TEST_P(ProgressiveEvaluationTest, ALoadedEvaluationGoesOnBitIdentically) {
  for (const int batches : {2, 15}) {  // window not yet full, and wrapped
    Rng rng(kSeed);
    ProgressiveEvaluation original(options());
    for (int b = 0; b < batches; ++b) {
      Batch batch = random_batch(rng, GetParam(), 97);
      add(original, batch);
    }
    ByteWriter out;
    original.save(out);
    ProgressiveEvaluation restored(options());
    ByteReader in(out.buffer());
    ASSERT_TRUE(restored.load(in).is_ok());
    EXPECT_TRUE(in.at_end());
    for (int b = 0; b < 10; ++b) {
      Batch batch = random_batch(rng, GetParam(), 97);
      add(original, batch, 9);
      add(restored, batch, 9);
    }
    const EvaluationReport a = original.report();
    const EvaluationReport b = restored.report();
    EXPECT_EQ(a.events, b.events);
    EXPECT_EQ(a.model_version, b.model_version);
    expect_same(a.stream, b.stream);
    expect_same(a.window, b.window);
    for (std::size_t size = 0; size < out.buffer().size(); size += 101) {
      ByteReader cut(std::string_view(out.buffer()).substr(0, size));
      EXPECT_EQ(ProgressiveEvaluation(options()).load(cut).code(), Code::kDataLoss) << size;
    }
    EvaluationOptions other = options();
    other.window_events = 400;
    ByteReader whole(out.buffer());
    EXPECT_EQ(ProgressiveEvaluation(other).load(whole).code(), Code::kDataLoss);
  }
}

TEST(ProgressiveEvaluationLossTest, LossesAreHandedBackForTheNextUsers) {
  ProgressiveEvaluation evaluation({Task::kBinary, 2, 10});
  std::vector<float> losses(2);
  evaluation.add({2, 1, {0.5F, 0.25F}}, std::vector<float>{1, 0}, std::vector<float>{1, 1}, 3, losses);
  EXPECT_NEAR(losses[0], 0.6931472, 1e-6);
  EXPECT_NEAR(losses[1], 0.2876821, 1e-6);
  EXPECT_NEAR(*find_metric(evaluation.report().stream, "log_loss"), (0.6931472 + 0.2876821) / 2, 1e-6);
}

}  // namespace
}  // namespace freshet
