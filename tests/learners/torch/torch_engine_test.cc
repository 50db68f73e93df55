#include "learners/torch/torch_engine.h"

#include <limits>
#include <tuple>

#include "tests/learners/torch/engine_cases.h"

namespace freshet {
namespace {

using TwinCase = std::tuple<Architecture, Task, std::size_t>;
class Engines : public testing::TestWithParam<TwinCase> {};

TEST_P(Engines, LearnTheSameOver200Steps) {
  const auto& [architecture, task, optimizer] = GetParam();
  auto options = engine_options(architecture, task);
  options.optimizer = optimizer_cases()[optimizer].options;
  options.schedule.learning_rate = optimizer_cases()[optimizer].learning_rate;
  // Products of features magnify the last bits, in which the engines differ, from step to step.
  if (architecture == Architecture::kDcn) options.schedule.learning_rate *= 0.5F;
  auto native = make_learner(options, EngineKind::kNative);
  auto torch = make_learner(options, EngineKind::kTorch);
  ASSERT_EQ(saved(*torch), saved(*native)) << "initial weights";
  expect_the_same_learning(*torch, *native, 0, 20);
  EXPECT_EQ(torch->steps(), 200U);
  EXPECT_NE(saved(*torch), saved(*make_learner(options, EngineKind::kTorch))) << "nothing was learnt";
}

INSTANTIATE_TEST_SUITE_P(All, Engines,
                         testing::Combine(testing::Values(Architecture::kLinear, Architecture::kMlp,
                                                          Architecture::kWideDeep, Architecture::kDcn),
                                          testing::Values(Task::kBinary, Task::kMulticlass, Task::kRegression),
                                          testing::Range<std::size_t>(0, kOptimizerCases)),
                         [](const auto& tested) {
                           return fmt::format("{}_{}_{}", architecture_name(std::get<0>(tested.param)),
                                              task_name(std::get<1>(tested.param)),
                                              optimizer_cases()[std::get<2>(tested.param)].name);
                         });

struct StateCase {
  std::string name;
  std::size_t optimizer;
  PublishedWeights published;
};
class EngineState : public testing::TestWithParam<StateCase> {
 protected:
  LearnerOptions options() const {
    auto options = engine_options(Architecture::kWideDeep, Task::kMulticlass);
    options.optimizer = optimizer_cases()[GetParam().optimizer].options;
    options.schedule.learning_rate = optimizer_cases()[GetParam().optimizer].learning_rate;
    options.published = GetParam().published;
    options.average_rounds = 3;
    options.clip_norm = 0.5F;
    return options;
  }
  void moves(EngineKind from, EngineKind to) const {
    auto first = make_learner(options(), from);
    auto second = make_learner(options(), to);
    for (std::uint64_t round = 0; round < 4; ++round) {
      train_one_round(*first, round);
      published_predictions(*first, round);
    }
    // The other has a past of its own, which loading must wipe out.
    train_one_round(*second, 90);
    const std::string state = saved(*first);
    ByteReader in(state);
    const Status loaded = second->load(in);
    ASSERT_TRUE(loaded.is_ok()) << loaded.to_string();
    EXPECT_TRUE(in.at_end());
    ASSERT_EQ(saved(*second), state);
    EXPECT_EQ(second->steps(), first->steps());
    expect_the_same_learning(*second, *first, 4, 6);
  }
};

TEST_P(EngineState, MovesFromKernelsToLibTorch) { moves(EngineKind::kNative, EngineKind::kTorch); }
TEST_P(EngineState, MovesFromLibTorchToKernels) { moves(EngineKind::kTorch, EngineKind::kNative); }

TEST_P(EngineState, ContinuesToTheBitOnTheCpu) {
  auto learner = make_learner(options(), EngineKind::kTorch);
  auto other = make_learner(options(), EngineKind::kTorch);
  for (std::uint64_t round = 0; round < 3; ++round) train_one_round(*learner, round);
  const std::string state = saved(*learner);
  ByteReader in(state);
  ASSERT_TRUE(other->load(in).is_ok());
  for (std::uint64_t round = 3; round < 6; ++round) {
    train_one_round(*learner, round);
    train_one_round(*other, round);
    ASSERT_EQ(published_predictions(*other, round), published_predictions(*learner, round));
  }
  EXPECT_EQ(saved(*other), saved(*learner));
}

TEST_P(EngineState, PublishesWhatAWholeCopyWouldHold) {
  auto learner = make_learner(options(), EngineKind::kTorch);
  for (std::uint64_t round = 0; round < 12; ++round) {
    const auto few = synthetic_events(engine_layout(), 1 + round * 7 % 20, kEngineSeed + round, Task::kMulticlass);
    ASSERT_TRUE(learner->train_round({&few, nullptr, round}).is_ok());
    const std::string state = saved(*learner);
    auto fresh = make_learner(options(), EngineKind::kTorch);
    ByteReader in(state);
    ASSERT_TRUE(fresh->load(in).is_ok());
    // Publishing catches the moving average of resting rows up, which moves the last bits.
    expect_near_all(published_predictions(*learner, round), published_predictions(*fresh, round), 1e-6);
  }
}

INSTANTIATE_TEST_SUITE_P(All, EngineState,
                         testing::Values(StateCase{"adagrad_raw", 4, PublishedWeights::kRaw},
                                         StateCase{"adagrad_ema", 5, PublishedWeights::kEma},
                                         StateCase{"adamw_average", 3, PublishedWeights::kAverage},
                                         StateCase{"adamw_ema", 3, PublishedWeights::kEma},
                                         StateCase{"adam_raw", 6, PublishedWeights::kRaw},
                                         StateCase{"sgd_ema", 0, PublishedWeights::kEma},
                                         StateCase{"nesterov_raw", 2, PublishedWeights::kRaw}),
                         [](const auto& tested) { return tested.param.name; });

// A schedule whose rate moves at each step, and clipping.
TEST(TorchEngine, FollowsTheSchedule) {
  auto options = engine_options(Architecture::kWideDeep, Task::kBinary);
  options.optimizer.kind = OptimizerKind::kAdam;
  options.schedule.kind = ScheduleKind::kNoam;
  options.schedule.scale = 0.1;
  options.schedule.warmup_steps = 20;
  options.clip_norm = 0.3F;
  auto native = make_learner(options, EngineKind::kNative);
  auto torch = make_learner(options, EngineKind::kTorch);
  EXPECT_EQ(native->options().schedule.dim, 16U) << "the first hidden width";
  expect_the_same_learning(*torch, *native, 0, 6);
  const auto schedule = Schedule::create(native->options().schedule).value();
  EXPECT_EQ(train_one_round(*torch, 6).learning_rate, static_cast<double>(schedule->rate(69)));
}

struct LossCase {
  std::string name;
  Task task;
  LossOptions loss;
};
class EngineLosses : public testing::TestWithParam<LossCase> {};

TEST_P(EngineLosses, Agree) {
  auto options = engine_options(Architecture::kWideDeep, GetParam().task);
  options.loss = GetParam().loss;
  auto native = make_learner(options, EngineKind::kNative);
  auto torch = make_learner(options, EngineKind::kTorch);
  expect_the_same_learning(*torch, *native, 0, 3);
  const auto events = synthetic_events(engine_layout(), 100, kEngineSeed, GetParam().task);
  expect_near_all(torch->losses(events).value(), native->losses(events).value(), kPredictionTolerance);
  Predictions own;
  Predictions other;
  ASSERT_TRUE(torch->evaluate(events, own).is_ok());
  ASSERT_TRUE(native->evaluate(events, other).is_ok());
  expect_near_all({own.values.begin(), own.values.end()}, {other.values.begin(), other.values.end()},
                  kPredictionTolerance);
}

INSTANTIATE_TEST_SUITE_P(
    All, EngineLosses,
    testing::Values(
        LossCase{"binary_smooth", Task::kBinary, {LossKind::kCrossEntropy, 0.1F, 1.0F, {}}},
        LossCase{"binary_weights", Task::kBinary, {LossKind::kCrossEntropy, 0.0F, 1.0F, {0.5F, 2.0F}}},
        LossCase{"multiclass_smooth", Task::kMulticlass, {LossKind::kCrossEntropy, 0.2F, 1.0F, {1.0F, 2.0F, 0.5F}}},
        LossCase{"mae", Task::kRegression, {LossKind::kMae, 0.0F, 1.0F, {}}},
        LossCase{"huber", Task::kRegression, {LossKind::kHuber, 0.0F, 0.7F, {}}},
        LossCase{"quantile", Task::kRegression, {LossKind::kQuantile, 0.0F, 1.0F, {}, 0.8F}},
        // Half of the labels are negative: not usable.
        LossCase{"poisson", Task::kRegression, {LossKind::kPoisson, 0.0F, 1.0F, {}}}),
    [](const auto& tested) { return tested.param.name; });

TEST(TorchEngine, SkipsAndCountsStepsThatAreNotFinite) {
  auto options = engine_options(Architecture::kWideDeep, Task::kBinary);
  options.published = PublishedWeights::kEma;
  auto learner = make_learner(options, EngineKind::kTorch);
  train_one_round(*learner, 0);
  const auto before = published_predictions(*learner, 1);
  auto poisoned = synthetic_events(engine_layout(), 16, kEngineSeed + 1, Task::kBinary);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 3e38F}) {
    poisoned.dense_row(5)[2] = bad;
    const auto report = learner->train_round({&poisoned, nullptr, 1});
    ASSERT_TRUE(report.is_ok());
    EXPECT_EQ(report->skipped_non_finite, 1U) << bad;
    EXPECT_EQ(report->steps, 0U);
  }
  expect_near_all(published_predictions(*learner, 2), before, 1e-6);
  EXPECT_EQ(train_one_round(*learner, 3).skipped_non_finite, 0U);
}

TEST(TorchEngine, CountsRowsWhoseLabelIsOutOfPlaceAndLeavesThemOut) {
  const auto options = engine_options(Architecture::kMlp, Task::kMulticlass);
  auto native = make_learner(options, EngineKind::kNative);
  auto torch = make_learner(options, EngineKind::kTorch);
  auto events = synthetic_events(engine_layout(), 16, kEngineSeed, Task::kMulticlass);
  events.labels[3] = 17.0F;
  events.labels[4] = std::numeric_limits<float>::quiet_NaN();
  events.weights[5] = -1.0F;
  const auto got = torch->train_round({&events, nullptr, 0});
  const auto want = native->train_round({&events, nullptr, 0});
  ASSERT_TRUE(got.is_ok() && want.is_ok());
  EXPECT_EQ(got->samples_unusable, 3U);
  EXPECT_EQ(want->samples_unusable, 3U);
  EXPECT_NEAR(got->mean_loss, want->mean_loss, 1e-6);
  expect_near_all(published_predictions(*torch, 1), published_predictions(*native, 1), 1e-6);
}

TEST(TorchEngine, TakesEmptyRoundsSingleEventsAndOddShapes) {
  auto options = engine_options(Architecture::kWideDeep, Task::kBinary);
  for (const auto& [numbers, categories] : {std::pair{7U, 0U}, std::pair{0U, 3U}, std::pair{1U, 1U}}) {
    for (const auto architecture : {Architecture::kLinear, Architecture::kMlp, Architecture::kWideDeep}) {
      SCOPED_TRACE(fmt::format("{} {} {}", architecture_name(architecture), numbers, categories));
      options.model.architecture = architecture;
      const auto layout = synthetic_layout(numbers, categories);
      options.engine = EngineKind::kTorch;
      auto torch = Learner::create(options, layout, Device{});
      options.engine = EngineKind::kNative;
      auto native = Learner::create(options, layout, Device{});
      ASSERT_TRUE(torch.is_ok() && native.is_ok());
      const EncodedBatch none(numbers, categories, 4);
      for (const std::size_t rows : {1UL, 33UL}) {
        const auto events = synthetic_events(layout, rows, kEngineSeed, Task::kBinary);
        const auto got = (*torch)->train_round({&events, &none, 0});
        const auto want = (*native)->train_round({&events, &none, 0});
        ASSERT_TRUE(got.is_ok()) << got.status().to_string();
        EXPECT_NEAR(got->mean_loss, want->mean_loss, 1e-6);
      }
      EXPECT_EQ((*torch)->train_round({&none, nullptr, 0})->steps, 0U);
      EXPECT_EQ((*torch)->parameter_count(), (*native)->parameter_count());
    }
  }
}

TEST(TorchEngine, FailsInWordsWhereItsDeviceIsNotThere) {
  load_cuda_backend();
  const Device absent{Device::Kind::kCuda, 99, ""};
  const auto learner = Learner::create(engine_options(Architecture::kMlp, Task::kBinary), engine_layout(), absent);
  ASSERT_FALSE(learner.is_ok());
  EXPECT_NE(learner.status().message().find("cuda:99"), std::string::npos) << learner.status().to_string();
  auto native = engine_options(Architecture::kMlp, Task::kBinary);
  native.engine = EngineKind::kNative;
  EXPECT_EQ(Learner::create(native, engine_layout(), absent).code(), Code::kInvalidArgument);
}

// Replay priorities live on these: of each replayed row, before the step that trains on it, unweighted.
TEST(TrainingEngines, TellTheLossOfEachReplayedRow) {
  for (const EngineKind engine : {EngineKind::kNative, EngineKind::kTorch}) {
    for (const Task task : {Task::kBinary, Task::kMulticlass, Task::kRegression}) {
      const auto learner = make_learner(engine_options(Architecture::kWideDeep, task), engine);
      const auto fresh = synthetic_events(engine_layout(), 4, kEngineSeed, task);
      auto replay = synthetic_events(engine_layout(), 3, kEngineSeed + 1, task);
      replay.weights[1] = 5.0F;
      const auto want = learner->losses(replay).value();
      std::vector<float> losses(3, -1.0F);
      ASSERT_EQ(learner->train_round({&fresh, &replay, 0, losses})->steps, 1U);
      expect_near_all(losses, want, 1e-5);
      losses.resize(2);  // too little room: none
      losses.assign(2, -1.0F);
      ASSERT_TRUE(learner->train_round({&fresh, &replay, 1, losses}).is_ok());
      EXPECT_EQ(losses, std::vector<float>(2, -1.0F));
    }
  }
}

}  // namespace
}  // namespace freshet
