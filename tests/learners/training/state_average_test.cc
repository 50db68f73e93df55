#include "learners/training/state_average.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>

#include "tests/learners/training/synthetic_events.h"

namespace freshet {
namespace {

const EncodedLayout kLayout = synthetic_layout(3, 2);

LearnerOptions options_of(Architecture architecture, Task task) {
  LearnerOptions options;
  options.model.architecture = architecture;
  options.model.task = task;
  options.model.hidden = {6};
  options.model.embedding_dim = 3;
  options.model.embedding_rows = 256;
  options.model.seed = 11;
  options.loss.kind = task == Task::kRegression ? LossKind::kMse : LossKind::kCrossEntropy;
  options.optimizer.kind = OptimizerKind::kAdagrad;
  options.schedule.learning_rate = 0.1F;
  options.batch_size = 16;
  options.replay_ratio = 0.0F;
  return options;
}

std::unique_ptr<Learner> learner_of(const LearnerOptions& options) {
  auto learner = Learner::create(options, kLayout, Device{});
  EXPECT_TRUE(learner.is_ok()) << learner.status().to_string();
  return *std::move(learner);
}

std::string saved(const Learner& learner) {
  ByteWriter out;
  EXPECT_TRUE(learner.save(out).is_ok());
  return out.take();
}

// The saved state, read by what docs/formats.md says of it.
struct Parsed {
  std::uint64_t width = 0;
  std::map<std::uint32_t, std::vector<float>> rows;
  std::vector<float> dense;
  std::size_t dense_end = 0;  // where the dense weights end in the bytes
};
Parsed parse(const std::string& state) {
  ByteReader in(state);
  in.get<std::uint32_t>();
  EXPECT_EQ(in.get<std::uint32_t>(), 1U);
  in.get<std::uint64_t>();
  in.get<float>();
  in.get<std::uint64_t>();
  in.get<std::uint64_t>();
  in.get_text();
  in.get<std::uint64_t>();
  Parsed parsed;
  parsed.width = in.get<std::uint64_t>();
  const auto used = in.get_vector<std::uint32_t>();
  EXPECT_EQ(in.get<std::uint64_t>(), used.size());
  for (const auto row : used) {
    auto& values = parsed.rows[row];
    for (std::uint64_t i = 0; i < parsed.width; ++i) values.push_back(in.get<float>());
  }
  parsed.dense = in.get_vector<float>();
  EXPECT_TRUE(in.ok());
  parsed.dense_end = state.size() - in.remaining();
  return parsed;
}

// States after rounds of 4, 20 and 200 events: each moves rows that the one before had not.
struct Trained {
  std::vector<std::string> states;
  std::unique_ptr<Learner> learner;
};
Trained run(const LearnerOptions& options) {
  Trained run;
  run.learner = learner_of(options);
  std::uint64_t seed = 5;
  for (const std::size_t events : {4, 20, 200}) {
    const EncodedBatch batch = synthetic_events(kLayout, events, seed++, options.model.task);
    RoundInput input;
    input.fresh = &batch;
    EXPECT_TRUE(run.learner->train_round(input).is_ok());
    run.states.push_back(saved(*run.learner));
  }
  return run;
}

Result<std::unique_ptr<Learner>> average(const LearnerOptions& options, const std::vector<std::string>& states) {
  StateAverage average = TRY(StateAverage::create(options, kLayout));
  for (const auto& state : states) TRY(average.add(state));
  return average.take();
}

std::vector<float> predictions_of(const Predictor& model, const EncodedBatch& batch) {
  Predictions out;
  EXPECT_TRUE(model.predict(batch, 0, batch.size(), out).is_ok());
  return {out.values.begin(), out.values.begin() + static_cast<std::ptrdiff_t>(out.rows * out.width)};
}

// Initial rows, which no state holds: a step too small to change a float stores them.
std::map<std::uint32_t, std::vector<float>> initial_rows(LearnerOptions options) {
  options.schedule.learning_rate = 1e-30F;
  options.optimizer.kind = OptimizerKind::kSgd;
  return parse(run(options).states.back()).rows;
}

TEST(StateAverageTest, EveryWeightIsTheMeanAndRowsThatHadNotMovedCountWithTheirInitialValue) {
  for (const auto published : {PublishedWeights::kRaw, PublishedWeights::kEma, PublishedWeights::kAverage}) {
    SCOPED_TRACE(static_cast<int>(published));
    LearnerOptions options = options_of(Architecture::kWideDeep, Task::kBinary);
    options.published = published;
    const Trained made = run(options);
    const auto initial = initial_rows(options);
    const auto learner = average(options, made.states);
    ASSERT_TRUE(learner.is_ok()) << learner.status().to_string();
    const Parsed result = parse(saved(**learner));
    std::vector<Parsed> states;
    for (const auto& state : made.states) states.push_back(parse(state));
    ASSERT_GT(states[1].rows.size(), states[0].rows.size());
    ASSERT_GT(states[2].rows.size(), states[1].rows.size());

    ASSERT_EQ(result.dense.size(), states[2].dense.size());
    for (std::size_t i = 0; i < result.dense.size(); ++i) {
      const double mean = (static_cast<double>(states[0].dense[i]) + static_cast<double>(states[1].dense[i]) +
                           static_cast<double>(states[2].dense[i])) /
                          3.0;
      ASSERT_NEAR(static_cast<double>(result.dense[i]), mean, 1e-6) << i;
    }
    ASSERT_EQ(result.rows.size(), states[2].rows.size());
    for (const auto& [row, values] : result.rows) {
      for (std::size_t k = 0; k < values.size(); ++k) {
        double sum = 0;
        for (const Parsed& state : states) {
          const auto found = state.rows.find(row);
          sum += static_cast<double>((found == state.rows.end() ? initial.at(row) : found->second)[k]);
        }
        ASSERT_NEAR(static_cast<double>(values[k]), sum / 3.0, 1e-6) << row << ' ' << k;
      }
    }
    // What it publishes is this average, not the moving one that is configured.
    const EncodedBatch batch = synthetic_events(kLayout, 64, 99, Task::kBinary);
    Predictions trained;
    ASSERT_TRUE((*learner)->evaluate(batch, trained).is_ok());
    const auto served = predictions_of(*(*learner)->republish(7), batch);
    for (std::size_t i = 0; i < served.size(); ++i) ASSERT_EQ(served[i], trained.values[i]);
    // And what is read back is the same again.
    const auto again = learner_of(options);
    const std::string bytes = saved(**learner);
    ByteReader in(bytes);
    ASSERT_TRUE(again->load(in).is_ok());
    EXPECT_EQ(predictions_of(*again->republish(7), batch), served);
  }
}

// Predictions of a linear model are linear in its weights.
TEST(StateAverageTest, ALinearModelPredictsTheMeanOfItsStates) {
  const LearnerOptions options = options_of(Architecture::kLinear, Task::kRegression);
  const Trained made = run(options);
  const EncodedBatch batch = synthetic_events(kLayout, 100, 77, Task::kRegression);
  std::vector<double> mean(batch.size());
  for (const auto& state : made.states) {
    const auto learner = learner_of(options);
    ByteReader in(state);
    ASSERT_TRUE(learner->load(in).is_ok());
    const auto each = predictions_of(*learner->republish(1), batch);
    for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += static_cast<double>(each[i]) / 3.0;
  }
  const auto learner = average(options, made.states);
  ASSERT_TRUE(learner.is_ok()) << learner.status().to_string();
  const auto averaged = predictions_of(*(*learner)->publish(1), batch);
  for (std::size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(static_cast<double>(averaged[i]), mean[i], 1e-5);
}

TEST(StateAverageTest, RefusesWhatCannotBeAveraged) {
  const LearnerOptions options = options_of(Architecture::kWideDeep, Task::kBinary);
  const Trained made = run(options);
  LearnerOptions other = options;
  other.model.hidden = {7};
  const auto wider = average(options, {made.states[0], run(other).states[1]});
  EXPECT_FALSE(wider.is_ok());
  const auto backwards = average(options, {made.states[1], made.states[0]});
  EXPECT_EQ(backwards.status().code(), Code::kInvalidArgument) << backwards.status().to_string();
  EXPECT_FALSE(average(options, {}).is_ok());
  std::string broken = made.states[1];
  const float not_a_number = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(broken.data() + parse(broken).dense_end - sizeof(float), &not_a_number, sizeof(float));
  const auto poisoned = average(options, {made.states[0], broken});
  EXPECT_NE(poisoned.status().message().find("not finite"), std::string::npos) << poisoned.status().to_string();
}

}  // namespace
}  // namespace freshet
