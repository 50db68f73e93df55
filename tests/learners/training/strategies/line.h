// A model of two weights, w * x + b, trained by a strategy, and the same steps by hand in double precision: what the
// tests of strategies compare. Plain gradient descent at rate kRate, squared error.
//
// Threads: any.  Owns: a learner.  Failure: a learner that cannot be made, or a round that fails, fails the test.
#pragma once

#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "learners/training/learner.h"
#include "learners/training/strategy.h"

namespace freshet {

inline constexpr double kRate = 0.05;

struct Point {
  double x = 0.0;
  double y = 0.0;
  double weight = 1.0;
};
using Points = std::vector<Point>;

struct Line {
  double w = 0.0;
  double b = 0.0;
  double at(double x) const { return w * x + b; }
  void add(double factor, const Line& other) {
    w += factor * other.w;
    b += factor * other.b;
  }
};

inline EncodedLayout line_layout() { return {{"x"}, {}}; }

inline EncodedBatch batch_of(const Points& points, std::uint64_t first_seq = 0) {
  EncodedBatch batch(1, 0, points.size());
  batch.resize(points.size());
  for (std::size_t i = 0; i < points.size(); ++i) {
    batch.dense_row(i)[0] = static_cast<float>(points[i].x);
    batch.labels[i] = static_cast<float>(points[i].y);
    batch.weights[i] = static_cast<float>(points[i].weight);
    batch.seqs[i] = first_seq == 0 ? 0 : first_seq + i;
  }
  return batch;
}

// The gradient of factor * mean over the points of weight * (line - target)^2, where the target is the label or what
// another line says.
inline Line gradient(const Line& line, const Points& points, double factor = 1.0, const Line* target = nullptr) {
  Line sum;
  for (const Point& point : points) {
    const double error = line.at(point.x) - (target == nullptr ? point.y : target->at(point.x));
    const double slope = factor * 2.0 * point.weight * error / static_cast<double>(points.size());
    sum.add(slope, {point.x, 1.0});
  }
  return sum;
}

class LineLearner {
 public:
  LineLearner(std::string strategy, std::uint32_t batch_size, const StrategySettings& settings, float replay_ratio,
              EngineKind engine) {
    LearnerOptions options;
    options.model.architecture = Architecture::kLinear;
    options.model.task = Task::kRegression;
    options.loss.kind = LossKind::kMse;
    options.optimizer.kind = OptimizerKind::kSgd;
    options.schedule.learning_rate = static_cast<float>(kRate);
    options.strategy = std::move(strategy);
    options.strategies = settings;
    options.replay_ratio = replay_ratio;
    options.batch_size = batch_size;
    options.engine = engine;
    auto made = Learner::create(options, line_layout(), Device{});
    EXPECT_TRUE(made.is_ok()) << made.status().to_string();
    if (made.is_ok()) learner_ = std::move(made).value();
  }

  RoundReport train(const Points& fresh, const Points& replay = {}, std::vector<float>* losses = nullptr) {
    const EncodedBatch rows = batch_of(fresh);
    const EncodedBatch memory = batch_of(replay);
    std::vector<float> own(replay.size());
    auto report = learner_->train_round({&rows, &memory, 0, losses == nullptr ? own : *losses});
    EXPECT_TRUE(report.is_ok()) << report.status().to_string();
    return report.is_ok() ? *report : RoundReport{};
  }

  Line line() const {
    Predictions out;
    const Status status = learner_->evaluate(batch_of({{0.0}, {1.0}}), out);
    EXPECT_TRUE(status.is_ok()) << status.to_string();
    const auto b = static_cast<double>(out.values[0]);
    return {static_cast<double>(out.values[1]) - b, b};
  }
  Learner& learner() { return *learner_; }

 private:
  std::unique_ptr<Learner> learner_;
};

inline void expect_line(const Line& got, const Line& want, double tolerance = 1e-5) {
  EXPECT_NEAR(got.w, want.w, tolerance);
  EXPECT_NEAR(got.b, want.b, tolerance);
}

}  // namespace freshet
