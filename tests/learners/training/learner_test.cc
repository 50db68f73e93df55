#include "learners/training/learner.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "tests/learners/training/synthetic_events.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 31;

LearnerOptions small_options(Task task = Task::kBinary) {
  LearnerOptions options;
  options.model.task = task;
  options.model.classes = 3;
  options.model.hidden = {16, 8};
  options.model.embedding_dim = 4;
  options.model.embedding_rows = 1024;
  options.model.seed = kSeed;
  options.loss.kind = default_loss(task);
  options.schedule.learning_rate = 0.05F;
  options.batch_size = 32;
  return options;
}

const EncodedLayout& layout() {
  static const EncodedLayout kLayout = synthetic_layout(6, 3);
  return kLayout;
}

std::unique_ptr<Learner> make(const LearnerOptions& options) {
  auto learner = Learner::create(options, layout(), Device{});
  EXPECT_TRUE(learner.is_ok()) << learner.status().to_string();
  return std::move(learner).value();
}

RoundReport train(Learner& learner, const EncodedBatch& fresh, const EncodedBatch* replay = nullptr) {
  auto report = learner.train_round({&fresh, replay, 0});
  EXPECT_TRUE(report.is_ok()) << report.status().to_string();
  return report.is_ok() ? *report : RoundReport{};
}

std::string state_of(const Learner& learner) {
  ByteWriter out;
  EXPECT_TRUE(learner.save(out).is_ok());
  return out.take();
}

std::vector<float> predictions_of(const Predictor& predictor, const EncodedBatch& batch) {
  Predictions out;
  EXPECT_TRUE(predictor.predict(batch, 0, batch.size(), out).is_ok());
  out.values.resize(out.rows * out.width);
  return out.values;
}

TEST(Learner, TrainsOnEveryFreshRowOnceAndSpreadsTheReplay) {
  auto learner = make(small_options());
  const auto fresh = synthetic_events(layout(), 100, kSeed, Task::kBinary);
  const auto replay = synthetic_events(layout(), 200, kSeed + 1, Task::kBinary);
  const auto report = train(*learner, fresh, &replay);
  EXPECT_EQ(report.steps, 7U);  // 16 fresh rows each; the last has 4
  EXPECT_EQ(report.samples_fresh, 100U);
  EXPECT_EQ(report.samples_replayed, 112U);  // 16 a step, the rest is not needed
  EXPECT_EQ(learner->replay_rows_for(100), 112U);
  EXPECT_EQ(learner->steps(), 7U);

  const auto few = synthetic_events(layout(), 10, kSeed + 2, Task::kBinary);
  EXPECT_EQ(train(*learner, fresh, &few).samples_replayed, 10U);
}

TEST(Learner, TakesEmptyRoundsAndSingleEvents) {
  auto learner = make(small_options());
  const auto one = synthetic_events(layout(), 1, kSeed, Task::kBinary);
  EncodedBatch none(layout().dense(), layout().categorical(), 4);
  EXPECT_EQ(train(*learner, none).steps, 0U);
  EXPECT_EQ(train(*learner, none, &one).steps, 0U);
  EXPECT_EQ(train(*learner, one, &none).steps, 1U);
  EXPECT_EQ(train(*learner, one).samples_fresh, 1U);
  EXPECT_NE(learner->publish(1), nullptr);
}

TEST(Learner, FineTuneUsesNoReplay) {
  auto options = small_options();
  options.strategy = "finetune";
  auto learner = make(options);
  const auto events = synthetic_events(layout(), 64, kSeed, Task::kBinary);
  const auto report = train(*learner, events, &events);
  EXPECT_EQ(report.steps, 2U);
  EXPECT_EQ(report.samples_replayed, 0U);
}

struct TaskCase {
  Architecture architecture;
  Task task;
  double most_loss;  // after training; what guessing the base rate costs is far above
};
class LearnerLearns : public testing::TestWithParam<TaskCase> {};

TEST_P(LearnerLearns, ASyntheticProblem) {
  const auto& c = GetParam();
  auto options = small_options(c.task);
  options.model.architecture = c.architecture;
  auto learner = make(options);
  const auto unseen = synthetic_events(layout(), 2000, kSeed + 100, c.task);
  const auto mean_loss = [&] {
    double sum = 0.0;
    const auto losses = learner->losses(unseen).value();
    for (const float loss : losses) sum += static_cast<double>(loss);
    return sum / static_cast<double>(unseen.size());
  };
  const double before = mean_loss();
  for (std::uint64_t round = 0; round < 40; ++round) {
    train(*learner, synthetic_events(layout(), 512, kSeed + round, c.task));
  }
  const double after = mean_loss();
  EXPECT_LT(after, c.most_loss) << "from " << before << ", seed " << kSeed;
  EXPECT_LT(after, 0.5 * before);
}

INSTANTIATE_TEST_SUITE_P(All, LearnerLearns,
                         testing::Values(TaskCase{Architecture::kLinear, Task::kBinary, 0.3},
                                         TaskCase{Architecture::kMlp, Task::kBinary, 0.2},
                                         TaskCase{Architecture::kWideDeep, Task::kBinary, 0.2},
                                         TaskCase{Architecture::kMlp, Task::kMulticlass, 0.4},
                                         TaskCase{Architecture::kWideDeep, Task::kMulticlass, 0.4},
                                         TaskCase{Architecture::kLinear, Task::kRegression, 0.3},
                                         TaskCase{Architecture::kWideDeep, Task::kRegression, 0.2}),
                         [](const auto& tested) {
                           return fmt::format("{}_{}", architecture_name(tested.param.architecture),
                                              task_name(tested.param.task));
                         });

struct StateCase {
  OptimizerKind optimizer;
  PublishedWeights published;
};
class LearnerState : public testing::TestWithParam<StateCase> {
 protected:
  LearnerOptions options() const {
    auto options = small_options();
    options.optimizer.kind = GetParam().optimizer;
    if (options.optimizer.kind == OptimizerKind::kSgd) options.optimizer.momentum = 0.9F;
    options.published = GetParam().published;
    options.average_rounds = 3;
    options.clip_norm = 1.0F;
    return options;
  }
};

TEST_P(LearnerState, IsTheSameForTheSameSeed) {
  const auto run = [&] {
    auto learner = make(options());
    for (std::uint64_t round = 0; round < 6; ++round) {
      const auto fresh = synthetic_events(layout(), 100, kSeed + round, Task::kBinary);
      train(*learner, fresh, &fresh);
      learner->publish(round);
    }
    return state_of(*learner);
  };
  EXPECT_EQ(run(), run());
}

TEST_P(LearnerState, ContinuesToTheBitAfterSaveAndLoad) {
  auto learner = make(options());
  auto other = make(options());
  const auto probe = synthetic_events(layout(), 50, kSeed + 99, Task::kBinary);
  const auto round = [&](Learner& target, std::uint64_t number) {
    const auto fresh = synthetic_events(layout(), 100, kSeed + number, Task::kBinary);
    const auto replay = synthetic_events(layout(), 90, kSeed + number + 50, Task::kBinary);
    train(target, fresh, &replay);
    return predictions_of(*target.publish(number), probe);
  };
  for (std::uint64_t number = 0; number < 5; ++number) round(*learner, number);
  // The other has a past of its own, which loading must wipe out.
  for (std::uint64_t number = 20; number < 23; ++number) round(*other, number);
  const auto state = state_of(*learner);
  ByteReader in(state);
  const auto loaded = other->load(in);
  ASSERT_TRUE(loaded.is_ok()) << loaded.to_string();
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(state_of(*other), state);
  for (std::uint64_t number = 5; number < 10; ++number) {
    const auto here = round(*learner, number);
    const auto there = round(*other, number);
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
    ASSERT_EQ(std::memcmp(here.data(), there.data(), here.size() * sizeof(float)), 0) << "round " << number;
  }
  EXPECT_EQ(state_of(*other), state_of(*learner));
}

TEST_P(LearnerState, RefusesBytesThatAreCutShort) {
  auto learner = make(options());
  train(*learner, synthetic_events(layout(), 40, kSeed, Task::kBinary));
  learner->publish(1);
  const auto state = state_of(*learner);
  auto other = make(options());
  for (std::size_t cut = 0; cut < state.size(); cut += cut < 200 ? 1 : 97) {
    ByteReader in(std::string_view(state).substr(0, cut));
    ASSERT_FALSE(other->load(in).is_ok()) << "cut to " << cut << " of " << state.size();
  }
  ByteReader whole(state);
  ASSERT_TRUE(other->load(whole).is_ok());
  EXPECT_EQ(state_of(*other), state);
}

// Publications reuse old copies and renew only rows that moved; each must still hold exactly what a whole copy would.
TEST_P(LearnerState, PublishesWholeAndUnchangingCopies) {
  auto learner = make(options());
  const auto probe = synthetic_events(layout(), 300, kSeed + 99, Task::kBinary);
  std::vector<std::pair<std::shared_ptr<const Predictor>, std::vector<float>>> held;
  for (std::uint64_t round = 0; round < 60; ++round) {
    train(*learner, synthetic_events(layout(), 1 + round % 40, kSeed + round, Task::kBinary));
    const auto published = learner->publish(round);
    EXPECT_EQ(published->version(), round);
    // A learner loaded from the same state has no old copies: it publishes a whole one.
    const auto state = state_of(*learner);
    auto fresh = make(options());
    ByteReader in(state);
    ASSERT_TRUE(fresh->load(in).is_ok());
    const auto got = predictions_of(*published, probe);
    ASSERT_EQ(got, predictions_of(*fresh->republish(round), probe)) << "round " << round;
    ASSERT_EQ(state_of(*fresh), state) << "round " << round;
    if (round % 3 == 0) held.emplace_back(published, got);
    if (held.size() > 8) held.erase(held.begin() + static_cast<std::ptrdiff_t>(round % 8));
  }
  for (const auto& [predictor, values] : held) EXPECT_EQ(predictions_of(*predictor, probe), values);
  learner.reset();
  for (const auto& [predictor, values] : held) EXPECT_EQ(predictions_of(*predictor, probe), values);
}

INSTANTIATE_TEST_SUITE_P(All, LearnerState,
                         testing::Values(StateCase{OptimizerKind::kAdagrad, PublishedWeights::kRaw},
                                         StateCase{OptimizerKind::kAdagrad, PublishedWeights::kEma},
                                         StateCase{OptimizerKind::kAdam, PublishedWeights::kRaw},
                                         StateCase{OptimizerKind::kAdamW, PublishedWeights::kAverage},
                                         StateCase{OptimizerKind::kSgd, PublishedWeights::kEma}),
                         [](const auto& tested) {
                           const auto weights = tested.param.published;
                           return fmt::format("{}_{}", optimizer_name(tested.param.optimizer),
                                              weights == PublishedWeights::kRaw   ? "raw"
                                              : weights == PublishedWeights::kEma ? "ema"
                                                                                  : "average");
                         });

TEST(Learner, PublishesTheTrainingWeightsWhenRaw) {
  auto learner = make(small_options(Task::kMulticlass));
  const auto events = synthetic_events(layout(), 200, kSeed, Task::kMulticlass);
  train(*learner, events);
  const auto published = learner->publish(3);
  EXPECT_EQ(published->outputs(), 3U);
  EXPECT_EQ(published->task(), Task::kMulticlass);
  Predictions own;
  ASSERT_TRUE(learner->evaluate(events, own).is_ok());
  EXPECT_EQ(predictions_of(*published, events), std::vector<float>(own.values.begin(), own.values.begin() + 600));
  for (std::size_t i = 0; i < 200; ++i) {
    EXPECT_NEAR(own.values[3 * i] + own.values[3 * i + 1] + own.values[3 * i + 2], 1.0, 1e-6);
  }
}

TEST(Learner, PredictsARowTheSameInAnyBatch) {
  auto learner = make(small_options());
  const auto events = synthetic_events(layout(), 200, kSeed, Task::kBinary);
  train(*learner, events);
  const auto predictor = learner->publish(1);
  const auto whole = predictions_of(*predictor, events);
  Predictions out;
  for (const std::size_t rows : {1UL, 2UL, 7UL, 64UL, 65UL}) {
    for (std::size_t begin = 0; begin + rows <= events.size(); begin += rows) {
      ASSERT_TRUE(predictor->predict(events, begin, begin + rows, out).is_ok());
      // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
      ASSERT_EQ(std::memcmp(out.values.data(), whole.data() + begin, rows * sizeof(float)), 0)
          << rows << " from " << begin;
    }
  }
}

TEST(Learner, SkipsAndCountsStepsThatAreNotFinite) {
  auto options = small_options();
  options.published = PublishedWeights::kEma;
  auto learner = make(options);
  auto events = synthetic_events(layout(), 64, kSeed, Task::kBinary);
  train(*learner, events);
  learner->publish(1);
  const auto before = state_of(*learner);
  auto poisoned = synthetic_events(layout(), 16, kSeed + 1, Task::kBinary);
  poisoned.dense_row(5)[2] = std::numeric_limits<float>::quiet_NaN();
  auto report = train(*learner, poisoned);
  EXPECT_EQ(report.skipped_non_finite, 1U);
  EXPECT_EQ(report.steps, 0U);
  EXPECT_TRUE(std::isfinite(report.mean_loss));
  poisoned.dense_row(5)[2] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(train(*learner, poisoned).skipped_non_finite, 1U);
  poisoned.dense_row(5)[2] = 3e38F;  // the loss may be finite, its gradient is not
  EXPECT_EQ(train(*learner, poisoned).skipped_non_finite, 1U);
  // Nothing moved but the count of rounds.
  auto restored = make(options);
  ByteReader in(before);
  ASSERT_TRUE(restored->load(in).is_ok());
  const auto probe = synthetic_events(layout(), 100, kSeed + 2, Task::kBinary);
  EXPECT_EQ(learner->losses(probe).value(), restored->losses(probe).value());
  EXPECT_EQ(train(*learner, events).skipped_non_finite, 0U);
  const auto losses = learner->losses(probe).value();
  for (const float loss : losses) EXPECT_TRUE(std::isfinite(loss));
}

TEST(Learner, CountsRowsWhoseLabelIsOutOfPlace) {
  auto learner = make(small_options(Task::kMulticlass));
  auto events = synthetic_events(layout(), 16, kSeed, Task::kMulticlass);
  events.labels[3] = 17.0F;
  const auto report = train(*learner, events);
  EXPECT_EQ(report.samples_unusable, 1U);
  EXPECT_EQ(report.steps, 1U);
}

TEST(Learner, ClipsGradientsByTheirNorm) {
  auto options = small_options();
  options.optimizer.kind = OptimizerKind::kSgd;
  options.schedule.learning_rate = 1.0F;
  options.clip_norm = 1e-3F;
  auto learner = make(options);
  const auto events = synthetic_events(layout(), 16, kSeed, Task::kBinary);
  const auto probe = learner->losses(events).value();
  EXPECT_EQ(train(*learner, events).clipped, 1U);
  const auto after = learner->losses(events).value();
  double moved = 0.0;
  for (std::size_t i = 0; i < probe.size(); ++i)
    moved = std::max(moved, static_cast<double>(std::abs(after[i] - probe[i])));
  EXPECT_GT(moved, 0.0);
  EXPECT_LT(moved, 0.02);
}

TEST(Learner, RefusesAStateOfOtherOptions) {
  auto learner = make(small_options());
  train(*learner, synthetic_events(layout(), 40, kSeed, Task::kBinary));
  const auto state = state_of(*learner);
  const auto refused = [&](auto change) {
    auto options = small_options();
    change(options);
    auto other = make(options);
    ByteReader in(state);
    return other->load(in).code();
  };
  EXPECT_EQ(refused([](auto& o) { o.optimizer.kind = OptimizerKind::kAdamW; }), Code::kFailedPrecondition);
  EXPECT_EQ(refused([](auto& o) { o.model.embedding_rows = 2048; }), Code::kFailedPrecondition);
  EXPECT_EQ(refused([](auto& o) { o.strategy = "finetune"; }), Code::kFailedPrecondition);
  EXPECT_EQ(refused([](auto& o) { o.published = PublishedWeights::kEma; }), Code::kFailedPrecondition);
  EXPECT_NE(refused([](auto& o) { o.model.hidden = {8, 8}; }), Code::kOk);
  // The seed is the state's: rows that were never trained on come from it.
  auto options = small_options();
  options.model.seed = kSeed + 1;
  auto other = make(options);
  ByteReader in(state);
  ASSERT_TRUE(other->load(in).is_ok());
  EXPECT_EQ(state_of(*other), state);
  const auto unseen = synthetic_events(layout(), 40, kSeed + 1, Task::kBinary);
  EXPECT_EQ(other->losses(unseen).value(), learner->losses(unseen).value());
}

// Counts whose rate follows from the numbers: the predictions are mean rates.
EncodedBatch counted_events(std::size_t rows, std::uint64_t seed) {
  auto batch = synthetic_events(layout(), rows, seed, Task::kRegression);
  Rng rng(seed + 1);
  for (std::size_t i = 0; i < rows; ++i) {
    const double rate = std::exp(0.5 + 0.4 * static_cast<double>(batch.labels[i]));
    // Knuth: how many uniform numbers it takes until their product falls below exp(-rate).
    double product = rng.uniform();
    int count = 0;
    for (; product > std::exp(-rate) && count < 1000; ++count) product *= rng.uniform();
    batch.labels[i] = static_cast<float>(count);
    batch.weights[i] = 1.0F;
  }
  return batch;
}

TEST(Learner, PoissonPredictsTheMeanRate) {
  auto options = small_options(Task::kRegression);
  options.loss.kind = LossKind::kPoisson;
  auto learner = make(options);
  for (std::uint64_t round = 0; round < 30; ++round) train(*learner, counted_events(512, kSeed + 10 * round));
  const auto probe = counted_events(2000, kSeed + 9999);
  const auto predictor = learner->publish(1);
  const auto rates = predictions_of(*predictor, probe);
  double predicted = 0.0;
  double counted = 0.0;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    ASSERT_GT(rates[i], 0.0F);
    predicted += static_cast<double>(rates[i]);
    counted += static_cast<double>(probe.labels[i]);
  }
  EXPECT_NEAR(predicted / counted, 1.0, 0.1);
  // Training, publication and evaluation speak of one loss and one prediction.
  const auto losses = learner->losses(probe).value();
  Predictions own;
  ASSERT_TRUE(learner->evaluate(probe, own).is_ok());
  double sum = 0.0;
  double without = 0.0;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    ASSERT_EQ(own.values[i], rates[i]);
    ASSERT_NEAR(loss_of_prediction(options.loss, rates[i], probe.labels[i]), losses[i],
                1e-4F * std::max(1.0F, losses[i]));
    sum += static_cast<double>(losses[i]);
    without += static_cast<double>(loss_of_prediction(
        options.loss, static_cast<float>(counted / static_cast<double>(rates.size())), probe.labels[i]));
  }
  EXPECT_LT(sum, 0.8 * without) << "no better than the mean count";
}

TEST(Learner, PoissonNeverServesARateThatIsNoNumber) {
  auto options = small_options(Task::kRegression);
  options.loss.kind = LossKind::kPoisson;
  options.model.architecture = Architecture::kLinear;
  options.optimizer.kind = OptimizerKind::kSgd;
  options.schedule.learning_rate = 100.0F;  // far too much
  auto learner = make(options);
  for (std::uint64_t round = 0; round < 5; ++round) train(*learner, counted_events(64, kSeed + 10 * round));
  for (const float rate : predictions_of(*learner->publish(1), counted_events(100, kSeed))) {
    ASSERT_TRUE(std::isfinite(rate));
  }
}

TEST(Learner, QuantileLeavesItsShareOfTheLabelsBelow) {
  for (const float quantile : {0.1F, 0.9F}) {
    auto options = small_options(Task::kRegression);
    options.loss.kind = LossKind::kQuantile;
    options.loss.quantile = quantile;
    auto learner = make(options);
    const auto noisy = [](std::size_t rows, std::uint64_t seed) {
      auto batch = synthetic_events(layout(), rows, seed, Task::kRegression);
      Rng rng(seed + 7);
      for (auto& label : batch.labels) label = 0.5F * label + static_cast<float>(4.0 * rng.uniform());
      return batch;
    };
    for (std::uint64_t round = 0; round < 60; ++round) train(*learner, noisy(512, kSeed + round));
    const auto probe = noisy(2000, kSeed + 9999);
    const auto values = predictions_of(*learner->publish(1), probe);
    double below = 0.0;
    for (std::size_t i = 0; i < values.size(); ++i) below += probe.labels[i] < values[i] ? 1.0 : 0.0;
    EXPECT_NEAR(below / 2000.0, static_cast<double>(quantile), 0.05);
  }
}

// The same weights mean another thing under another link; every other loss may change at a restart.
TEST(Learner, RefusesAStateWhoseOutputsMeanSomethingElse) {
  auto options = small_options(Task::kRegression);
  auto squared = make(options);
  options.loss.kind = LossKind::kHuber;
  auto huber = make(options);
  options.loss.kind = LossKind::kPoisson;
  auto poisson = make(options);
  auto again = make(options);
  train(*poisson, counted_events(100, kSeed));
  const std::string state = state_of(*squared);
  const std::string rates = state_of(*poisson);
  ByteReader in(state);
  EXPECT_TRUE(huber->load(in).is_ok());
  in = ByteReader(state);
  EXPECT_EQ(poisson->load(in).code(), Code::kFailedPrecondition);
  in = ByteReader(rates);
  EXPECT_EQ(squared->load(in).code(), Code::kFailedPrecondition);
  in = ByteReader(rates);
  ASSERT_TRUE(again->load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(state_of(*again), rates);
  // What versions without links wrote and read.
  std::uint32_t format = 0;
  std::memcpy(&format, state.data() + 4, sizeof(format));
  EXPECT_EQ(format, 1U);
}

// The schedule is a function of the step: a loaded learner goes on where the saved one was.
TEST(Learner, ALoadedLearnerGoesOnAlongItsSchedule) {
  auto options = small_options();
  options.optimizer.kind = OptimizerKind::kAdam;
  options.schedule.kind = ScheduleKind::kCosineRestarts;
  options.schedule.first_period = 7;
  options.schedule.t_mult = 2;
  auto learner = make(options);
  const auto fresh = synthetic_events(layout(), 100, kSeed, Task::kBinary);
  train(*learner, fresh);
  auto other = make(options);
  const std::string state = state_of(*learner);
  ByteReader in(state);
  ASSERT_TRUE(other->load(in).is_ok());
  const auto report = train(*learner, fresh);
  EXPECT_EQ(train(*other, fresh).learning_rate, report.learning_rate);
  EXPECT_EQ(report.learning_rate, static_cast<double>(Schedule::create(options.schedule).value()->rate(13)));
  EXPECT_EQ(state_of(*other), state_of(*learner));
}

TEST(Learner, RefusesOptionsOutOfBounds) {
  const auto code = [&](auto change) {
    auto options = small_options();
    change(options);
    return Learner::create(options, layout(), Device{}).code();
  };
  EXPECT_EQ(code([](auto& o) { o.batch_size = 0; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.replay_ratio = 1.0F; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.strategy = "none"; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.ema_decay = 1.0; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](auto& o) { o.schedule.learning_rate = std::nanf(""); }), Code::kInvalidArgument);
}

TEST(Learner, ServesReadersWhileItTrains) {
  auto learner = make(small_options());
  const auto probe = synthetic_events(layout(), 32, kSeed + 99, Task::kBinary);
  std::mutex mutex;
  std::shared_ptr<const Predictor> live = learner->publish(0);
  std::vector<float> expected = predictions_of(*live, probe);
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      Predictions out;
      std::uint64_t reads = 0;
      while (!stop.load() || reads < 10) {
        std::shared_ptr<const Predictor> predictor;
        std::vector<float> want;
        {
          const std::lock_guard lock(mutex);
          predictor = live;
          want = expected;
        }
        if (!predictor->predict(probe, 0, probe.size(), out).is_ok() ||
            // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
            std::memcmp(out.values.data(), want.data(), want.size() * sizeof(float)) != 0) {
          ++wrong;
        }
        ++reads;
      }
    });
  }
  for (std::uint64_t round = 1; round <= 200; ++round) {
    train(*learner, synthetic_events(layout(), 40, kSeed + round, Task::kBinary));
    auto published = learner->publish(round);
    auto values = predictions_of(*published, probe);
    const std::lock_guard lock(mutex);
    live = std::move(published);
    expected = std::move(values);
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0U);
}

}  // namespace
}  // namespace freshet
