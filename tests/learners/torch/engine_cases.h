// What the tests of the LibTorch engine share: small learners on either engine, and runs that are compared.
//
// Threads: any.  Owns: nothing.  Failure: a learner that cannot be made fails the test.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "learners/training/learner.h"
#include "tests/learners/training/synthetic_events.h"

namespace freshet {

inline constexpr std::uint64_t kEngineSeed = 57;

inline const EncodedLayout& engine_layout() {
  static const EncodedLayout kLayout = synthetic_layout(6, 3);
  return kLayout;
}

inline LearnerOptions engine_options(Architecture architecture, Task task) {
  LearnerOptions options;
  options.model.architecture = architecture;
  options.model.task = task;
  options.model.classes = 3;
  options.model.hidden = {16, 8};
  options.model.embedding_dim = 6;  // with the wide part, rows have padding
  options.model.embedding_rows = 256;
  options.model.embedding_scale = 0.1F;
  options.model.seed = kEngineSeed;
  options.loss.kind = default_loss(task);
  options.batch_size = 32;
  return options;
}

// Every optimizer in each of its forms, at a rate that suits it.
struct OptimizerCase {
  std::string name;
  OptimizerOptions options;
  float learning_rate;
};
inline std::vector<OptimizerCase> optimizer_cases() {
  OptimizerOptions sgd, momentum, nesterov, adam, adamw, adagrad, adagrad_decay;
  sgd.kind = momentum.kind = nesterov.kind = OptimizerKind::kSgd;
  sgd.weight_decay = 0.001F;
  momentum.momentum = nesterov.momentum = 0.9F;
  nesterov.weight_decay = 0.001F;
  nesterov.nesterov = true;
  adamw.kind = OptimizerKind::kAdamW;
  adamw.weight_decay = 0.01F;
  adam.kind = OptimizerKind::kAdam;
  adam.weight_decay = 0.01F;
  adam.beta1 = 0.8F;
  adagrad_decay.weight_decay = 0.001F;
  adagrad_decay.initial_accumulator = 0.1F;
  return {{"sgd", sgd, 0.02F},      {"sgd_momentum", momentum, 0.005F}, {"sgd_nesterov", nesterov, 0.005F},
          {"adamw", adamw, 0.005F}, {"adagrad", adagrad, 0.03F},        {"adagrad_decay", adagrad_decay, 0.03F},
          {"adam", adam, 0.005F}};
}

inline constexpr std::size_t kOptimizerCases = 7;

inline std::unique_ptr<Learner> make_learner(LearnerOptions options, EngineKind engine, const Device& device = {}) {
  options.engine = engine;
  auto learner = Learner::create(options, engine_layout(), device);
  EXPECT_TRUE(learner.is_ok()) << learner.status().to_string();
  return learner.is_ok() ? std::move(learner).value() : nullptr;
}

// One round of ten steps, half new and half replayed, and its publication.
inline RoundReport train_one_round(Learner& learner, std::uint64_t round) {
  const Task task = learner.options().model.task;
  const auto fresh = synthetic_events(engine_layout(), 160, kEngineSeed + round, task);
  const auto replay = synthetic_events(engine_layout(), 150, kEngineSeed + 1000 + round, task);
  auto report = learner.train_round({&fresh, &replay, round});
  EXPECT_TRUE(report.is_ok()) << report.status().to_string();
  return report.is_ok() ? *report : RoundReport{};
}

inline std::vector<float> published_predictions(Learner& learner, std::uint64_t version) {
  const auto probe = synthetic_events(engine_layout(), 100, kEngineSeed + 5000, learner.options().model.task);
  Predictions out;
  EXPECT_TRUE(learner.publish(version)->predict(probe, 0, probe.size(), out).is_ok());
  return {out.values.begin(), out.values.begin() + static_cast<std::ptrdiff_t>(out.rows * out.width)};
}

inline std::string saved(const Learner& learner) {
  ByteWriter out;
  const Status status = learner.save(out);
  EXPECT_TRUE(status.is_ok()) << status.to_string();
  return out.take();
}

inline void expect_near_all(const std::vector<float>& got, const std::vector<float>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], tolerance * std::max(1.0F, std::abs(want[i]))) << i;
  }
}

// Both engines round in float32 at other places; over 200 steps of training the differences grow, since each step
// starts from the weights before it. Mean losses of a round of ten steps must agree to 1e-4 of their size, predictions
// to 1e-3.
inline constexpr double kLossTolerance = 1e-4;
inline constexpr double kPredictionTolerance = 1e-3;

inline void expect_the_same_learning(Learner& got, Learner& want, std::uint64_t first_round, std::uint64_t rounds) {
  for (std::uint64_t round = first_round; round < first_round + rounds; ++round) {
    const auto a = train_one_round(got, round);
    const auto b = train_one_round(want, round);
    ASSERT_EQ(a.steps, 10U);
    ASSERT_EQ(b.steps, 10U);
    ASSERT_EQ(a.clipped, b.clipped);
    ASSERT_NEAR(a.mean_loss, b.mean_loss, kLossTolerance * std::max(1.0, b.mean_loss)) << "round " << round;
    ASSERT_NEAR(a.mean_replay_loss, b.mean_replay_loss, kLossTolerance * std::max(1.0, b.mean_replay_loss));
    expect_near_all(published_predictions(got, round), published_predictions(want, round), kPredictionTolerance);
  }
}

}  // namespace freshet
