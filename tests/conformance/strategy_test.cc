// What every strategy must do, whichever it is: the suite runs over Strategy::names(), all tasks and both engines, with
// a small memory that stores what the strategy asks for, as the pipeline's does.
#include "learners/training/strategy.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "core/rng.h"
#include "learners/training/learner.h"
#include "tests/learners/training/synthetic_events.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 20240521;
constexpr std::uint32_t kClasses = 4;
constexpr std::size_t kRoundEvents = 48;
constexpr std::size_t kMemoryEvents = 100;

const EncodedLayout& layout() {
  static const EncodedLayout kLayout = synthetic_layout(5, 2);
  return kLayout;
}

// Strategies that say at once that they cannot train for a task.
bool refuses(std::string_view strategy, Task task) { return strategy == "er_ace" && task == Task::kRegression; }

LearnerOptions options_for(std::string_view strategy, Task task, EngineKind engine) {
  LearnerOptions options;
  options.strategy = strategy;
  options.engine = engine;
  options.model.task = task;
  options.model.classes = kClasses;
  options.model.hidden = {16, 8};
  options.model.embedding_dim = 4;
  options.model.embedding_rows = 64;
  options.model.embedding_scale = 0.1F;
  options.model.seed = kSeed;
  options.loss.kind = default_loss(task);
  options.batch_size = 16;
  options.schedule.learning_rate = 0.05F;
  // From scratch on a hundred events: one pass is too few to learn anything, and thirty learn them by heart.
  options.strategies.joint.passes = options.strategies.gdumb.passes = 6;
  return options;
}

void copy_events(const EncodedBatch& from, std::size_t row, EncodedBatch& to, std::size_t at) {
  std::ranges::copy(from.dense_row(row), to.dense_row(at).begin());
  std::ranges::copy(from.hash_row(row), to.hash_row(at).begin());
  to.labels[at] = from.labels[row];
  to.weights[at] = from.weights[row];
  to.losses[at] = from.losses[row];
  to.time_ms[at] = from.time_ms[row];
  to.seqs[at] = from.seqs[row];
}

// The newest events, each with a row of every column: what is stored at an event's place is for that event alone.
class SmallMemory {
 public:
  explicit SmallMemory(std::span<const StoredColumn> columns)
      : events_(layout().dense(), layout().categorical(), kMemoryEvents) {
    for (const StoredColumn& column : columns) {
      widths_.push_back(column.width);
      values_.emplace_back(kMemoryEvents * column.width, kNeverStored);
    }
  }

  std::size_t size() const { return events_.size(); }
  const EncodedBatch& events() const { return events_; }

  void insert(const EncodedBatch& fresh) {
    for (std::size_t row = 0; row < fresh.size(); ++row) {
      const std::size_t place = fresh.seqs[row] % kMemoryEvents;
      if (place >= events_.size()) events_.resize(place + 1);
      copy_events(fresh, row, events_, place);
      for (std::size_t c = 0; c < widths_.size(); ++c) {
        std::fill_n(values_[c].begin() + static_cast<std::ptrdiff_t>(place * widths_[c]), widths_[c], kNeverStored);
      }
    }
  }

  // `n` events by `rng`, with what is stored of them.
  void draw(std::size_t n, Rng& rng, EncodedBatch& rows, std::vector<std::vector<float>>& stored) const {
    rows = EncodedBatch(layout().dense(), layout().categorical(), n);
    stored.assign(widths_.size(), {});
    if (events_.size() == 0) return;
    rows.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t place = rng.below(events_.size());
      copy_events(events_, place, rows, i);
      for (std::size_t c = 0; c < widths_.size(); ++c) {
        const auto from = std::span<const float>(values_[c]).subspan(place * widths_[c], widths_[c]);
        stored[c].insert(stored[c].end(), from.begin(), from.end());
      }
    }
  }

  void store(const EncodedBatch& fresh, const std::vector<std::vector<float>>& values) {
    for (std::size_t row = 0; row < fresh.size(); ++row) {
      const std::size_t place = fresh.seqs[row] % kMemoryEvents;
      if (events_.seqs[place] != fresh.seqs[row]) continue;
      for (std::size_t c = 0; c < widths_.size(); ++c) {
        std::copy_n(values[c].begin() + static_cast<std::ptrdiff_t>(row * widths_[c]), widths_[c],
                    values_[c].begin() + static_cast<std::ptrdiff_t>(place * widths_[c]));
      }
    }
  }

  std::size_t stored_rows() const {
    std::size_t rows = 0;
    for (std::size_t place = 0; place < events_.size() && !widths_.empty(); ++place) {
      rows += is_stored(std::span<const float>(values_[0]).subspan(place * widths_[0], widths_[0])) ? 1 : 0;
    }
    return rows;
  }

 private:
  EncodedBatch events_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<float>> values_;
};

std::vector<std::span<float>> views(std::vector<std::vector<float>>& matrices) {
  return {matrices.begin(), matrices.end()};
}

// Everything of a batch that a strategy can see, as one text to compare.
std::string bytes_of(const EncodedBatch& batch) {
  ByteWriter out;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    for (const float value : batch.dense_row(i)) out.put(value);
    for (const std::uint32_t hash : batch.hash_row(i)) out.put(hash);
    out.put(batch.labels[i]);
    out.put(batch.weights[i]);
    out.put(batch.losses[i]);
    out.put(batch.seqs[i]);
  }
  return out.take();
}

// A learner with its memory, round after round.
struct Stream {
  Stream(std::string_view strategy, Task task, EngineKind engine, std::uint64_t seed = kSeed,
         std::uint32_t batch_size = 16)
      : options(options_for(strategy, task, engine)), draws(seed) {
    options.model.seed = seed;
    options.batch_size = batch_size;
    learner = Learner::create(options, layout(), Device{}).value();
    memory.emplace(learner->stored_columns());
  }

  // Made from `of_round`; the labels of classes beyond `classes` become class 0.
  EncodedBatch events(std::size_t count, std::uint64_t of_round, std::uint32_t classes) {
    EncodedBatch fresh = synthetic_events(layout(), count, kSeed + of_round, options.model.task, kClasses);
    for (std::size_t i = 0; i < count; ++i) {
      fresh.seqs[i] = next_seq++;
      if (options.model.task != Task::kRegression && fresh.labels[i] >= static_cast<float>(classes)) {
        fresh.labels[i] = 0.0F;
      }
    }
    return fresh;
  }

  RoundReport train(const EncodedBatch& fresh) {
    memory->insert(fresh);
    EncodedBatch replay;
    std::vector<std::vector<float>> stored;
    memory->draw(learner->replay_rows_for(fresh.size(), memory->size()), draws, replay, stored);
    std::vector<std::vector<float>> to_store;
    for (const StoredColumn& column : learner->stored_columns()) to_store.emplace_back(fresh.size() * column.width);
    auto stored_views = views(stored);
    auto to_store_views = views(to_store);
    std::vector<float> losses(replay.size());
    const std::string before = bytes_of(fresh) + bytes_of(replay);
    const auto stored_before = stored;
    auto report = learner->train_round({&fresh, &replay, ++round, losses, stored_views, to_store_views});
    EXPECT_TRUE(report.is_ok()) << report.status().to_string();
    EXPECT_EQ(bytes_of(fresh) + bytes_of(replay), before) << "a strategy wrote to its events";
    for (std::size_t c = 0; c < stored.size(); ++c) {
      for (std::size_t i = 0; i < stored[c].size(); ++i) {
        // What was never stored may be filled in from the same round.
        const std::size_t width = learner->stored_columns()[c].width;
        if (std::isnan(stored_before[c][i / width * width])) continue;
        EXPECT_EQ(stored[c][i], stored_before[c][i]) << "a strategy wrote to what is stored";
      }
    }
    memory->store(fresh, to_store);
    return report.is_ok() ? *report : RoundReport{};
  }
  RoundReport train(std::size_t count = kRoundEvents, std::uint32_t classes = kClasses) {
    const EncodedBatch fresh = events(count, round, classes);
    return train(fresh);
  }

  std::string state() const {
    ByteWriter out;
    EXPECT_TRUE(learner->save(out).is_ok());
    return out.take();
  }

  std::vector<float> predictions() {
    const auto probe = synthetic_events(layout(), 60, kSeed + 77'777, options.model.task, kClasses);
    Predictions out;
    EXPECT_TRUE(learner->publish(round + 1)->predict(probe, 0, probe.size(), out).is_ok());
    return {out.values.begin(), out.values.begin() + static_cast<std::ptrdiff_t>(out.rows * out.width)};
  }

  LearnerOptions options;
  std::unique_ptr<Learner> learner;
  std::optional<SmallMemory> memory;
  Rng draws;
  std::uint64_t next_seq = 1;
  std::uint64_t round = 0;
};

using Case = std::tuple<std::string_view, Task, EngineKind>;

class StrategyConformance : public ::testing::TestWithParam<Case> {
 protected:
  // Whether there is something to run; a strategy that refuses the task must say so in words.
  static bool trains() {
    const auto& [strategy, task, engine] = GetParam();
    const auto learner = Learner::create(options_for(strategy, task, engine), layout(), Device{});
    EXPECT_EQ(learner.is_ok(), !refuses(strategy, task)) << learner.status().to_string();
    if (learner.is_ok()) return true;
    EXPECT_EQ(learner.code(), Code::kInvalidArgument);
    EXPECT_NE(learner.status().message().find(strategy), std::string::npos) << learner.status().message();
    return false;
  }
  static Stream run(std::uint64_t seed = kSeed, std::uint32_t batch_size = 16) {
    return {std::get<0>(GetParam()), std::get<1>(GetParam()), std::get<2>(GetParam()), seed, batch_size};
  }
};

TEST_P(StrategyConformance, SaysItsNameAndAShareBelowOne) {
  if (!trains()) return;
  auto strategy = Strategy::create({std::get<0>(GetParam()), 0.5F}).value();
  EXPECT_EQ(strategy->name(), std::get<0>(GetParam()));
  EXPECT_GE(strategy->replay_ratio(), 0.0F);
  EXPECT_LT(strategy->replay_ratio(), 1.0F);
}

TEST_P(StrategyConformance, TheSameSeedGivesTheSameResult) {
  if (!trains()) return;
  Stream one = run();
  Stream two = run();
  Stream other = run(kSeed + 1);
  for (int round = 0; round < 5; ++round) {
    one.train();
    two.train();
    other.train();
  }
  EXPECT_EQ(one.state(), two.state());
  EXPECT_EQ(one.predictions(), two.predictions());
  EXPECT_NE(one.state(), other.state());
}

TEST_P(StrategyConformance, GoesOnToTheBitAfterSaveAndLoadBetweenRounds) {
  if (!trains()) return;
  Stream whole = run();
  Stream stopped = run();
  for (std::uint64_t round = 1; round <= 6; ++round) {
    whole.train();
    stopped.train();
    if (round % 2 == 1) continue;
    const std::string state = stopped.state();
    stopped.learner = Learner::create(stopped.options, layout(), Device{}).value();
    ByteReader in(state);
    const Status loaded = stopped.learner->load(in);
    ASSERT_TRUE(loaded.is_ok()) << loaded.to_string();
    ASSERT_TRUE(in.at_end()) << "not all of the state was read";
    EXPECT_EQ(stopped.state(), state);
  }
  EXPECT_EQ(whole.state(), stopped.state());
  EXPECT_EQ(whole.predictions(), stopped.predictions());
}

TEST_P(StrategyConformance, RefusesAStateThatIsCutShort) {
  if (!trains()) return;
  Stream full = run();
  full.train();
  const std::string state = full.state();
  ByteReader in(std::string_view(state).substr(0, state.size() - 1));
  EXPECT_FALSE(full.learner->load(in).is_ok());
}

TEST_P(StrategyConformance, LearnsFromAStream) {
  if (!trains()) return;
  Stream stream = run();
  for (int round = 0; round < 40; ++round) {
    const RoundReport report = stream.train();
    EXPECT_EQ(report.skipped_non_finite, 0U);
    EXPECT_GT(report.steps, 0U);
  }
  // Of what it has seen last: a hundred events teach those that learn from them alone little of others.
  const auto loss_of = [&](Learner& learner) {
    double sum = 0;
    const auto losses = learner.losses(stream.memory->events()).value();
    for (const float loss : losses) sum += static_cast<double>(loss);
    return sum;
  };
  EXPECT_LT(loss_of(*stream.learner), 0.8 * loss_of(*run().learner));
  for (const float value : stream.predictions()) ASSERT_TRUE(std::isfinite(value));
}

// Class-incremental streams: events of a class that no event had before.
TEST_P(StrategyConformance, LearnsAClassThatAppearsLate) {
  if (!trains() || std::get<1>(GetParam()) == Task::kRegression) return;
  Stream stream = run();
  const bool binary = std::get<1>(GetParam()) == Task::kBinary;
  const std::uint32_t late = binary ? 1 : kClasses - 1;
  for (int round = 0; round < 10; ++round) stream.train(kRoundEvents, late);
  for (int round = 0; round < 40; ++round) {
    EXPECT_EQ(stream.train(kRoundEvents).skipped_non_finite, 0U);
  }
  const auto probe = synthetic_events(layout(), 400, kSeed + 88'888, stream.options.model.task, kClasses);
  Predictions out;
  ASSERT_TRUE(stream.learner->publish(99)->predict(probe, 0, probe.size(), out).is_ok());
  double with = 0;
  double without = 0;
  double rows_with = 0;
  for (std::size_t i = 0; i < probe.size(); ++i) {
    const bool is_late = probe.labels[i] == static_cast<float>(late);
    const double probability = out.values[i * out.width + (binary ? 0 : late)];
    (is_late ? with : without) += probability;
    rows_with += is_late ? 1 : 0;
  }
  ASSERT_GT(rows_with, 10);
  EXPECT_GT(with / rows_with, 2 * without / (400 - rows_with)) << "the late class is not told from the others";
}

TEST_P(StrategyConformance, TakesRoundsAndBatchesOfOneEvent) {
  if (!trains()) return;
  for (const std::uint32_t batch_size : {1U, 2U, 3U}) {
    Stream single = run(kSeed, batch_size);
    for (int round = 0; round < 12; ++round) {
      const RoundReport report = single.train(1);
      EXPECT_EQ(report.skipped_non_finite, 0U);
      EXPECT_GE(report.steps, 1U);
    }
    single.train(7);
    for (const float value : single.predictions()) ASSERT_TRUE(std::isfinite(value));
  }
}

TEST_P(StrategyConformance, TakesAnEmptyMemory) {
  if (!trains()) return;
  Stream lonely = run();
  const EncodedBatch fresh = lonely.events(kRoundEvents, 1, kClasses);
  const EncodedBatch none(layout().dense(), layout().categorical(), 0);
  for (const EncodedBatch* replay : {static_cast<const EncodedBatch*>(nullptr), &none}) {
    const auto report = lonely.learner->train_round({&fresh, replay, 1});
    ASSERT_TRUE(report.is_ok()) << report.status().to_string();
    EXPECT_EQ(report->samples_replayed, 0U);
    EXPECT_EQ(report->skipped_non_finite, 0U);
  }
}

// Replayed events of which nothing is stored, as after a change of options or in an event's first round.
TEST_P(StrategyConformance, TakesReplayedEventsWithNothingStored) {
  if (!trains()) return;
  Stream run_without = run();
  const EncodedBatch fresh = run_without.events(kRoundEvents, 1, kClasses);
  const EncodedBatch replay = run_without.events(kRoundEvents, 2, kClasses);
  const auto report = run_without.learner->train_round({&fresh, &replay, 1});
  ASSERT_TRUE(report.is_ok()) << report.status().to_string();
  EXPECT_EQ(report->skipped_non_finite, 0U);
  for (const float value : run_without.predictions()) ASSERT_TRUE(std::isfinite(value));
}

// A label or weight that cannot be used must teach nothing and harm nothing.
TEST_P(StrategyConformance, PassesOverEventsThatCannotBeUsed) {
  if (!trains()) return;
  Stream spoilt = run();
  for (int round = 0; round < 4; ++round) {
    EncodedBatch fresh = spoilt.events(kRoundEvents, spoilt.round, kClasses);
    for (std::size_t i = 0; i < fresh.size(); i += 5) fresh.labels[i] = std::nanf("");
    for (std::size_t i = 1; i < fresh.size(); i += 7) fresh.weights[i] = -1.0F;
    const RoundReport report = spoilt.train(fresh);
    EXPECT_GT(report.samples_unusable, 0U);
    EXPECT_EQ(report.skipped_non_finite, 0U);
  }
  for (const float value : spoilt.predictions()) ASSERT_TRUE(std::isfinite(value));
}

// What is declared is stored for every fresh event, once its step is done.
TEST_P(StrategyConformance, StoresWhatItDeclares) {
  if (!trains()) return;
  Stream stream = run();
  for (int round = 0; round < 3; ++round) stream.train();
  const bool stores = !stream.learner->stored_columns().empty();
  EXPECT_EQ(stream.memory->stored_rows(), stores ? stream.memory->size() : 0U);
  for (const StoredColumn& column : stream.learner->stored_columns()) {
    EXPECT_FALSE(column.name.empty());
    EXPECT_GT(column.width, 0U);
  }
}

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const std::string_view strategy : Strategy::names()) {
    for (const Task task : {Task::kBinary, Task::kMulticlass, Task::kRegression}) {
      for (const EngineKind engine : {EngineKind::kNative, EngineKind::kTorch})
        cases.emplace_back(strategy, task, engine);
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(All, StrategyConformance, ::testing::ValuesIn(all_cases()), [](const auto& tested) {
  return fmt::format("{}_{}_{}", std::get<0>(tested.param), task_name(std::get<1>(tested.param)),
                     std::get<2>(tested.param) == EngineKind::kTorch ? "torch" : "native");
});

}  // namespace
}  // namespace freshet
