#include "learners/tuning/study_runner.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "core/rng.h"

namespace freshet::tuning {
namespace {

// A trial whose state is a number that each unit of training mixes: a unit done twice, left out or begun from another
// checkpoint shows in the objective.
class MixingTrainer final : public TrialTrainer {
 public:
  MixingTrainer(std::uint64_t trial, double rate, std::uint64_t state, std::uint64_t at, Rng* pace)
      : trial_(trial), rate_(rate), state_(state), at_(at), pace_(pace) {}

  Status train_to(std::uint64_t resource, const StopFlag& stop) override {
    for (; at_ < resource; ++at_) {
      if (stop.load()) return cancelled("stop");
      if (pace_ != nullptr) {  // threads get to the end in any order
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(pace_->below(300));
        while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
      }
      state_ = Rng(state_ ^ at_).next();
    }
    return trial_ % 7 == 3 ? invalid_argument("diverges") : Status::ok();
  }
  Result<double> evaluate() override {
    if (trial_ % 11 == 5) throw std::runtime_error("out of memory");
    if (trial_ % 11 == 6) return std::numeric_limits<double>::quiet_NaN();
    return static_cast<double>(state_ >> 40) * 0x1p-24 + rate_ - 1.0 / static_cast<double>(at_);
  }
  Status checkpoint(ByteWriter& out) override {
    out.put(state_);
    out.put(at_);
    return Status::ok();
  }

 private:
  std::uint64_t trial_;
  double rate_;
  std::uint64_t state_, at_;
  Rng* pace_;
};

class MixingTrainers final : public TrialTrainers {
 public:
  explicit MixingTrainers(std::uint64_t pace_seed) : pace_(pace_seed), paced_(pace_seed != 0) {}

  Result<std::unique_ptr<TrialTrainer>> create(std::uint64_t trial, std::span<const Setting> settings) override {
    return make(trial, settings, trial, 0);
  }
  Result<std::unique_ptr<TrialTrainer>> resume(std::uint64_t trial, std::span<const Setting> settings,
                                               std::string_view checkpoint) override {
    ByteReader reader(checkpoint);
    const auto state = reader.get<std::uint64_t>();
    const auto at = reader.get<std::uint64_t>();
    if (!reader.at_end()) return data_loss("no checkpoint");
    return make(trial, settings, state, at);
  }
  // Trials are of different speed.
  double virtual_time(std::span<const Setting> settings, std::uint64_t from, std::uint64_t to) override {
    return static_cast<double>(to - from) * (1.0 + std::stod(settings[0].value));
  }

 private:
  Result<std::unique_ptr<TrialTrainer>> make(std::uint64_t trial, std::span<const Setting> settings,
                                             std::uint64_t state, std::uint64_t at) {
    EXPECT_EQ(settings.back(), (Setting{"fixed", "yes"}));
    const std::lock_guard lock(mutex_);
    paces_.push_back(std::make_unique<Rng>(pace_.next()));
    return std::unique_ptr<TrialTrainer>(std::make_unique<MixingTrainer>(trial, std::stod(settings[0].value), state, at,
                                                                         paced_ ? paces_.back().get() : nullptr));
  }
  std::mutex mutex_;
  Rng pace_;
  bool paced_;
  std::vector<std::unique_ptr<Rng>> paces_;
};

std::unique_ptr<Study> make_study(const std::string& scheduler = "asha") {
  StudyOptions options;
  options.scheduler.kind = scheduler;
  options.scheduler.max_resource = 9;
  options.max_trials = 20;
  return Study::create(options, ParameterSpace::create({SearchSpace::linear("rate", 0, 1)}, {{"fixed", "yes"}}).value())
      .value();
}

std::string bytes_of(const StudyRunner& runner) {
  ByteWriter out;
  runner.save(out);
  return out.take();
}

RunnerOptions workers(std::uint32_t count, CompletionOrder order = CompletionOrder::kVirtual) {
  RunnerOptions options;
  options.workers = count;
  options.order = order;
  return options;
}

std::string finished(std::uint64_t pace, const std::string& scheduler = "asha") {
  auto study = make_study(scheduler);
  MixingTrainers trainers(pace);
  auto runner = StudyRunner::create(*study, trainers, workers(3)).value();
  const Status status = runner->run();
  EXPECT_TRUE(status.is_ok()) << status.to_string();
  EXPECT_TRUE(study->over());
  return bytes_of(*runner);
}

TEST(StudyRunner, DecidesTheSameWhateverThreadIsDoneFirst) {
  for (const std::string scheduler : {"asha", "pasha", "hyperband", "median"}) {
    SCOPED_TRACE(scheduler);
    const std::string plain = finished(0, scheduler);
    for (std::uint64_t pace = 1; pace <= 6; ++pace) EXPECT_TRUE(finished(pace, scheduler) == plain) << pace;
  }
}

TEST(StudyRunner, ContinuesExactlyAfterAKillAnywhere) {
  const std::string whole = finished(0);
  std::vector<std::string> states;
  {
    auto study = make_study();
    MixingTrainers trainers(1);
    auto runner = StudyRunner::create(*study, trainers, workers(3)).value();
    states.push_back(bytes_of(*runner));
    ASSERT_TRUE(runner->run([&] { states.push_back(bytes_of(*runner)); }).is_ok());
  }
  ASSERT_GT(states.size(), 20U);
  for (const auto& state : states) {
    auto study = make_study();
    MixingTrainers trainers(2);
    auto runner = StudyRunner::create(*study, trainers, workers(3)).value();
    ByteReader reader(state);
    const Status loaded = runner->load(reader);
    ASSERT_TRUE(loaded.is_ok()) << loaded.to_string();
    EXPECT_TRUE(bytes_of(*runner) == state);
    ASSERT_TRUE(runner->run().is_ok());
    EXPECT_TRUE(bytes_of(*runner) == whole);
  }
}

TEST(StudyRunner, StopsInTheMiddleAndLosesNothingThatWasReported) {
  const std::string whole = finished(0);
  auto study = make_study();
  MixingTrainers trainers(3);
  std::string state;
  {
    auto runner = StudyRunner::create(*study, trainers, workers(3)).value();
    int outcomes = 0;
    const Status status = runner->run([&] {
      if (++outcomes == 9) runner->request_stop();
    });
    EXPECT_EQ(status.code(), Code::kCancelled);
    EXPECT_EQ(outcomes, 9);
    state = bytes_of(*runner);
  }
  auto again = make_study();
  auto runner = StudyRunner::create(*again, trainers, workers(3)).value();
  ByteReader reader(state);
  ASSERT_TRUE(runner->load(reader).is_ok());
  ASSERT_TRUE(runner->run().is_ok());
  EXPECT_TRUE(bytes_of(*runner) == whole);
}

TEST(StudyRunner, RunsInTheOrderOfArrivalAndAfterALoad) {
  auto study = make_study();
  MixingTrainers trainers(4);
  std::string state;
  {
    auto runner = StudyRunner::create(*study, trainers, workers(2, CompletionOrder::kArrival)).value();
    for (int i = 0; i < 8; ++i) ASSERT_EQ(runner->advance(true).value(), StudyRunner::Step::kFinished);
    state = bytes_of(*runner);
  }
  auto loaded = make_study();
  auto runner = StudyRunner::create(*loaded, trainers, workers(4, CompletionOrder::kArrival)).value();
  ByteReader reader(state);
  ASSERT_TRUE(runner->load(reader).is_ok());
  ASSERT_TRUE(runner->run().is_ok());
  EXPECT_TRUE(loaded->over());
  EXPECT_EQ(loaded->trials().size(), 20U);
  // What each trial showed does not depend on the order: that of the study in virtual order, where both got as far.
  auto other = make_study();
  auto in_order = StudyRunner::create(*other, trainers, workers(1)).value();
  ASSERT_TRUE(in_order->run().is_ok());
  for (std::size_t trial = 0; trial < 20; ++trial) {
    EXPECT_EQ(loaded->trials()[trial].configuration, other->trials()[trial].configuration);
    const auto& a = loaded->trials()[trial].evaluations;
    const auto& b = other->trials()[trial].evaluations;
    for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) EXPECT_EQ(a[i].objective, b[i].objective);
  }
}

TEST(StudyRunner, KeepsCheckpointsOfTheBestAndOfWhatMayComeAgain) {
  auto study = make_study();
  MixingTrainers trainers(0);
  auto runner = StudyRunner::create(*study, trainers, workers(2)).value();
  ASSERT_TRUE(runner
                  ->run([&] {
                    for (std::uint64_t trial = 0; trial < study->trials().size(); ++trial) {
                      if (study->state(trial) == TrialState::kPaused) {
                        EXPECT_TRUE(runner->checkpoint(trial).has_value());
                      }
                    }
                  })
                  .is_ok());
  const auto best = study->best();
  ASSERT_FALSE(best.empty());
  EXPECT_TRUE(runner->checkpoint(best[0].trial).has_value());
  std::size_t kept = 0;
  for (std::uint64_t trial = 0; trial < study->trials().size(); ++trial) kept += runner->checkpoint(trial) ? 1 : 0;
  EXPECT_EQ(kept, 1U);
}

TEST(StudyRunner, SurvivesTrainersThatFailOrThrow) {
  auto study = make_study("plain");
  MixingTrainers trainers(0);
  auto runner = StudyRunner::create(*study, trainers, workers(2)).value();
  ASSERT_TRUE(runner->run().is_ok());
  EXPECT_EQ(study->state(3), TrialState::kFailed);
  EXPECT_EQ(study->trials()[3].note, "invalid_argument: diverges");
  EXPECT_EQ(study->state(5), TrialState::kFailed);
  EXPECT_EQ(study->trials()[5].note, "internal: training threw: out of memory");
  EXPECT_EQ(study->trials()[6].note, "its objective is not finite");
  EXPECT_EQ(study->state(0), TrialState::kCompleted);
}

TEST(StudyRunner, RefusesAnotherNumberOfWorkersInVirtualOrder) {
  auto study = make_study();
  MixingTrainers trainers(0);
  auto runner = StudyRunner::create(*study, trainers, workers(2)).value();
  ASSERT_EQ(runner->advance(true).value(), StudyRunner::Step::kFinished);
  const std::string state = bytes_of(*runner);
  ByteReader over(state);
  EXPECT_EQ(runner->load(over).code(), Code::kFailedPrecondition);  // it runs
  auto other = make_study();
  auto wider = StudyRunner::create(*other, trainers, workers(3)).value();
  ByteReader reader(state);
  EXPECT_EQ(wider->load(reader).code(), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace freshet::tuning
