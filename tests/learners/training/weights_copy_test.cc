// Copies of weights, penalties and the moves outside of a step, on both engines.
#include <array>
#include <cmath>
#include <cstring>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "learners/torch/torch_engine.h"
#include "learners/training/training_engine.h"
#include "tests/learners/training/synthetic_events.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 91;

const EncodedLayout& layout() {
  static const EncodedLayout kLayout = synthetic_layout(6, 3);
  return kLayout;
}

LearnerOptions options_of(Architecture architecture) {
  LearnerOptions options;
  options.model.architecture = architecture;
  options.model.hidden = {16, 8};
  options.model.embedding_dim = 6;  // with the wide part, rows have padding
  options.model.embedding_rows = 4096;
  options.model.embedding_scale = 0.1F;
  options.model.seed = kSeed;
  return options;
}

class WeightsCopies : public testing::TestWithParam<std::tuple<EngineKind, Architecture>> {
 protected:
  std::unique_ptr<TrainingEngine> make(const LearnerOptions& options) const {
    const bool native = std::get<0>(GetParam()) == EngineKind::kNative;
    auto engine = native ? make_native_engine(options, layout()) : make_torch_engine(options, layout(), Device{});
    EXPECT_TRUE(engine.is_ok()) << engine.status().to_string();
    return std::move(engine).value();
  }
  std::unique_ptr<TrainingEngine> make() const { return make(options_of(std::get<1>(GetParam()))); }

  void step(TrainingEngine& engine, std::uint64_t number) const {
    const auto events = synthetic_events(layout(), 12, kSeed + number, Task::kBinary);
    const RowRange rows{&events, 0, events.size()};
    LossSum sum;
    engine.clear_gradients();
    ASSERT_TRUE(engine.model().loss_gradients({&rows, 1}, loss_, {&sum, 1}).is_ok());
    ASSERT_TRUE(engine.step(0.1F).is_ok());
  }
  std::vector<float> outputs(TrainingEngine& engine) const {
    const RowRange rows{&probe_, 0, probe_.size()};
    return copied(engine.model().forward({&rows, 1}));
  }
  std::vector<float> outputs(WeightsCopy& copy) const {
    // In two ranges, to see that they are put together.
    const std::array<RowRange, 2> rows = {RowRange{&probe_, 0, 7}, RowRange{&probe_, 7, probe_.size()}};
    return copied(copy.forward(rows));
  }
  static std::vector<float> copied(const Result<std::span<const float>>& values) {
    EXPECT_TRUE(values.is_ok()) << values.status().to_string();
    return {values.value().begin(), values.value().end()};
  }
  static std::string saved(const WeightsCopy& copy) {
    ByteWriter out;
    EXPECT_TRUE(copy.save(out).is_ok());
    return out.take();
  }

  Loss loss_ = Loss::create({}, Task::kBinary, 1).value();
  EncodedBatch probe_ = synthetic_events(layout(), 40, kSeed + 1000, Task::kBinary);
};

TEST_P(WeightsCopies, ComputesAsTheModelDidWhenItWasTaken) {
  const auto engine = make();
  for (std::uint64_t i = 0; i < 5; ++i) step(*engine, i);
  const auto copy = engine->copy().value();
  const auto then = outputs(*engine);
  EXPECT_EQ(outputs(*copy), then);
  for (std::uint64_t i = 5; i < 15; ++i) step(*engine, i);
  EXPECT_NE(outputs(*engine), then);
  EXPECT_EQ(outputs(*copy), then);
  const auto later = outputs(*engine);
  ASSERT_TRUE(copy->take().is_ok());
  step(*engine, 15);
  EXPECT_EQ(outputs(*copy), later);
}

// Both copies see the same steps and averages; one is asked at every step, so that no row of it ever lags.
TEST_P(WeightsCopies, AveragesRowsLaterAsIfAtEveryStep) {
  const auto engine = make();
  const auto lazy = engine->copy().value();
  const auto eager = engine->copy().value();
  for (std::uint64_t i = 0; i < 30; ++i) {
    step(*engine, i);
    for (WeightsCopy* copy : {lazy.get(), eager.get()}) ASSERT_TRUE(copy->approach(0.2F).is_ok());
    outputs(*eager);
  }
  const auto a = outputs(*lazy);
  const auto b = outputs(*eager);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-5) << i;
}

// Outputs of a linear model are linear in its weights: those under the average are the average of those at each step.
TEST_P(WeightsCopies, IsTheMovingAverageOfTheWeights) {
  const auto engine = make(options_of(Architecture::kLinear));
  const auto copy = engine->copy().value();
  const auto first = outputs(*engine);
  std::vector<double> average(first.begin(), first.end());
  for (std::uint64_t i = 0; i < 40; ++i) {
    step(*engine, i);
    const double share = i % 3 == 0 ? 0.0 : 0.5 / static_cast<double>(i + 1);
    if (share > 0.0) {
      ASSERT_TRUE(copy->approach(static_cast<float>(share)).is_ok());
    }
    const auto now = outputs(*engine);
    for (std::size_t k = 0; k < now.size(); ++k) average[k] += share * (static_cast<double>(now[k]) - average[k]);
  }
  const auto got = outputs(*copy);
  for (std::size_t k = 0; k < got.size(); ++k) EXPECT_NEAR(got[k], average[k], 1e-4) << k;
}

TEST_P(WeightsCopies, TakesAStepThatTheModelDoesNot) {
  auto options = options_of(std::get<1>(GetParam()));
  options.optimizer.kind = OptimizerKind::kSgd;
  const auto engine = make(options);
  for (std::uint64_t i = 0; i < 5; ++i) step(*engine, i);
  const auto copy = engine->copy().value();
  const auto before = outputs(*engine);
  const auto events = synthetic_events(layout(), 12, kSeed + 77, Task::kBinary);
  const RowRange rows{&events, 0, events.size()};
  LossSum sum;
  engine->clear_gradients();
  ASSERT_TRUE(engine->model().loss_gradients({&rows, 1}, loss_, {&sum, 1}).is_ok());
  ASSERT_TRUE(copy->add_gradients(-0.1F).is_ok());
  const auto ahead = outputs(*copy);
  EXPECT_EQ(outputs(*engine), before);
  ASSERT_TRUE(engine->step(0.1F).is_ok());
  const auto after = outputs(*engine);
  EXPECT_NE(after, before);
  for (std::size_t i = 0; i < after.size(); ++i) EXPECT_NEAR(ahead[i], after[i], 1e-5) << i;
}

TEST_P(WeightsCopies, ContinuesToTheBitAfterSaveAndLoad) {
  const auto engine = make();
  const auto other = make();
  auto copy = engine->copy().value();
  auto restored = other->copy().value();
  for (std::uint64_t i = 0; i < 8; ++i) step(*engine, i);
  ASSERT_TRUE(copy->take().is_ok());
  for (std::uint64_t i = 20; i < 23; ++i) step(*other, i);  // a past of its own
  ASSERT_TRUE(restored->approach(0.5F).is_ok());
  for (std::uint64_t i = 8; i < 12; ++i) {
    step(*engine, i);
    ASSERT_TRUE(copy->approach(0.3F).is_ok());
  }
  ByteWriter out;
  ASSERT_TRUE(engine->save(out).is_ok());
  ASSERT_TRUE(copy->save(out).is_ok());
  const std::string bytes = out.take();
  ByteReader in(bytes);
  ASSERT_TRUE(other->load(in, kSeed, 0.1F).is_ok());
  ASSERT_TRUE(restored->load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(saved(*restored), saved(*copy));
  for (std::uint64_t i = 12; i < 16; ++i) {
    for (TrainingEngine* target : {engine.get(), other.get()}) step(*target, i);
    ASSERT_TRUE(copy->approach(0.3F).is_ok());
    ASSERT_TRUE(restored->approach(0.3F).is_ok());
    EXPECT_EQ(outputs(*restored), outputs(*copy));
  }
  EXPECT_EQ(saved(*restored), saved(*copy));
  // Cut short at any place it is refused.
  const std::string state = saved(*copy);
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, state.size() / 2, state.size() - 1}) {
    ByteReader cut(std::string_view(state).substr(0, size));
    EXPECT_FALSE(restored->load(cut).is_ok()) << size;
  }
}

TEST_P(WeightsCopies, StoresOnlyRowsThatMovedSinceItWasTaken) {
  const auto engine = make();
  for (std::uint64_t i = 0; i < 20; ++i) step(*engine, i);
  const auto copy = engine->copy().value();
  const std::size_t at_rest = saved(*copy).size();
  step(*engine, 20);
  const std::size_t after = saved(*copy).size();
  EXPECT_GT(after, at_rest);
  EXPECT_LE(after, at_rest + 36 * (4 + 8 + 7 * 4));  // at most 36 lookups; number, lag and 7 floats a row
}

TEST_P(WeightsCopies, GoesBackToACopy) {
  const auto engine = make();
  for (std::uint64_t i = 0; i < 6; ++i) step(*engine, i);
  const auto copy = engine->copy().value();
  const auto watcher = engine->copy().value();
  const auto then = outputs(*engine);
  for (std::uint64_t i = 6; i < 12; ++i) step(*engine, i);
  ASSERT_TRUE(watcher->take().is_ok());
  const auto later = outputs(*engine);
  ASSERT_TRUE(engine->restore(*copy).is_ok());
  EXPECT_EQ(outputs(*engine), then);
  EXPECT_EQ(outputs(*copy), then);
  EXPECT_EQ(outputs(*watcher), later);  // other copies saw it coming
}

TEST_P(WeightsCopies, BeginsAnewFromTheInitialWeights) {
  for (const PublishedWeights published :
       {PublishedWeights::kRaw, PublishedWeights::kEma, PublishedWeights::kAverage}) {
    auto options = options_of(std::get<1>(GetParam()));
    options.published = published;
    const auto engine = make(options);
    const auto fresh = make(options);
    const auto initial = outputs(*engine);
    for (std::uint64_t i = 0; i < 6; ++i) step(*engine, i);
    const auto copy = engine->copy().value();
    const auto then = outputs(*engine);
    ASSERT_TRUE(engine->begin_anew().is_ok());
    ASSERT_TRUE(engine->reset_optimizer().is_ok());
    EXPECT_EQ(outputs(*engine), initial);
    EXPECT_EQ(outputs(*copy), then);
    // From there on it learns as a new model does.
    for (TrainingEngine* target : {engine.get(), fresh.get()}) {
      for (std::uint64_t i = 30; i < 36; ++i) step(*target, i);
    }
    EXPECT_EQ(outputs(*engine), outputs(*fresh));
  }
}

TEST_P(WeightsCopies, ShrinksAndPerturbs) {
  const auto engine = make(options_of(Architecture::kLinear));
  for (std::uint64_t i = 0; i < 20; ++i) step(*engine, i);
  const auto copy = engine->copy().value();
  const auto before = outputs(*engine);
  Rng rng(kSeed);
  ASSERT_TRUE(engine->shrink_and_perturb(0.5F, 0.0F, rng).is_ok());
  const auto after = outputs(*engine);
  for (std::size_t i = 0; i < after.size(); ++i) EXPECT_NEAR(after[i], 0.5F * before[i], 1e-5) << i;
  EXPECT_EQ(outputs(*copy), before);
  // The noise is drawn anew each time and has its deviation: seen through the bias, 400 times.
  EncodedBatch zero(layout().dense(), layout().categorical(), 1);
  zero.resize(1);
  const RowRange row{&zero, 0, 1};
  zero.hash_row(0)[0] = zero.hash_row(0)[1] = zero.hash_row(0)[2] = 7;  // a row that never moved
  double squares = 0.0;
  double last = static_cast<double>(copied(engine->model().forward({&row, 1})).front());
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE(engine->shrink_and_perturb(1.0F, 0.1F, rng).is_ok());
    const auto now = static_cast<double>(copied(engine->model().forward({&row, 1})).front());
    squares += (now - last) * (now - last);
    last = now;
  }
  EXPECT_NEAR(std::sqrt(squares / 400.0), 0.1, 0.015);
}

// importance 0.5 * g1^2 + 2 * g2^2 on every weight, seen through what the penalty adds: with no other gradient and
// plain descent a step moves each weight by -rate * strength * importance * (weight - anchor).
TEST_P(WeightsCopies, PullsWeightsBackByTheirImportance) {
  auto options = options_of(Architecture::kLinear);
  options.optimizer.kind = OptimizerKind::kSgd;
  const auto engine = make(options);
  const auto penalty = engine->penalty().value();
  EncodedBatch event(layout().dense(), layout().categorical(), 1);
  event.resize(1);
  event.weights[0] = 1.0F;
  event.dense_row(0)[0] = 2.0F;
  event.hash_row(0)[0] = event.hash_row(0)[1] = event.hash_row(0)[2] = 5;
  const RowRange row{&event, 0, 1};
  const auto backward = [&](float slope) {
    engine->clear_gradients();
    ASSERT_TRUE(engine->model().forward({&row, 1}).is_ok());
    ASSERT_TRUE(engine->model().backward({&slope, 1}).is_ok());
  };
  // d output / d weight is 2 for the number, 1 for the bias and 3 for the one row that is looked up three times.
  backward(1.0F);
  ASSERT_TRUE(penalty->add_squared_gradients(1.0F).is_ok());
  ASSERT_TRUE(penalty->scale_importance(0.5F).is_ok());
  backward(-1.5F);
  ASSERT_TRUE(penalty->add_squared_gradients(2.0F).is_ok());
  const double base = 0.5 + 2.0 * 2.25;
  ASSERT_TRUE(penalty->set_anchor().is_ok());
  backward(1.0F);
  ASSERT_TRUE(engine->step(0.1F).is_ok());  // weights move by -0.2, -0.1 and -0.3: the output by -0.4 - 0.1 - 0.9
  EXPECT_NEAR(copied(engine->model().forward({&row, 1})).front(), -1.4, 1e-5);

  ByteWriter out;
  ASSERT_TRUE(penalty->save(out).is_ok());
  const std::string state = out.take();
  ASSERT_TRUE(penalty->clear().is_ok());
  backward(0.0F);
  ASSERT_TRUE(penalty->add_gradients(0.01F).is_ok());
  EXPECT_EQ(engine->squared_gradient_norm().value(), 0.0);
  ByteReader in(state);
  ASSERT_TRUE(penalty->load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  backward(0.0F);
  ASSERT_TRUE(penalty->add_gradients(0.01F).is_ok());
  const double number = 0.01 * base * 4.0 * -0.2;
  const double bias = 0.01 * base * -0.1;
  const double looked_up = 0.01 * base * 9.0 * -0.3;
  EXPECT_NEAR(engine->squared_gradient_norm().value(), number * number + bias * bias + looked_up * looked_up, 1e-7);
  ASSERT_TRUE(engine->step(1.0F).is_ok());
  EXPECT_NEAR(copied(engine->model().forward({&row, 1})).front(), -1.4 - 2.0 * number - bias - 3.0 * looked_up, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Engines, WeightsCopies,
                         testing::Combine(testing::Values(EngineKind::kNative, EngineKind::kTorch),
                                          testing::Values(Architecture::kLinear, Architecture::kMlp,
                                                          Architecture::kWideDeep)),
                         [](const auto& tested) {
                           return fmt::format("{}_{}",
                                              std::get<0>(tested.param) == EngineKind::kNative ? "native" : "torch",
                                              architecture_name(std::get<1>(tested.param)));
                         });

}  // namespace
}  // namespace freshet
