// Studies that a pipeline begins by itself: a change leads to a study, its winner learns beside and takes over, and all
// of it is the same on every run, wherever it was stopped.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "daemon/cli/temporary_folder.h"
#include "daemon/config/option_table.h"
#include "tests/daemon/synthetic_stream.h"

namespace freshet::test {
namespace {

constexpr std::int64_t kOffsets = 14'000;
constexpr std::int64_t kTurn = 6000;

class DriftStudy : public ::testing::Test {
 protected:
  DriftStudy() {
    plan_.offsets = kOffsets;
    plan_.turned_from = kTurn;
    config_ = synthetic_config();
    config_.memory.capacity_events = 2000;
    config_.evaluation.tuning_share = 0.1;
    config_.evaluation.held_out_per_set = 200;
    // Too slow to follow the change: a study finds that out.
    config_.learning.learning_rate = 0.002;
    config_.tuning.on_drift = true;
    config_.tuning.wait_events = 300;
    config_.tuning.search = {};
    config_.tuning.space = {{"learning.learning_rate", "0.002..0.3 log"}};
    config_.tuning.max_trials = 6;
    config_.tuning.max_resource = 9;
    config_.tuning.pace = 10;
    config_.tuning.challenger_events = 4000;
  }

  using Life = LivedOnce;

  Result<Life> live(const std::string& folder, std::uint64_t batch_seed, std::int64_t stop_after = kOffsets + 1) {
    return live_once(config_, plan_, folder, clock_, batch_seed, stop_after);
  }
  Result<Life> live(std::uint64_t batch_seed = 1) {
    const auto folder = TemporaryFolder::create("freshet-test");
    return live(folder->path(), batch_seed);
  }

  static std::string told(const Life& life) {
    std::string text;
    for (const StudyNotice& notice : life.snapshot.tuning.notices) {
      text += fmt::format("{} {} {} {}\n", notice.event, notice.study, notice.what, notice.why);
    }
    return text;
  }
  static double loss(const Life& life) { return find_metric(life.snapshot.evaluation.stream, "log_loss").value(); }

  SystemClock clock_;
  StreamPlan plan_;
  Config config_;
};

TEST_F(DriftStudy, AChangeLeadsToAStudyWhoseFindingTakesOverAndLosesLess) {
  const auto tuned = live();
  ASSERT_TRUE(tuned.is_ok()) << tuned.status().to_string();
  SCOPED_TRACE(told(*tuned));
  const TuningReport& report = tuned->snapshot.tuning;
  EXPECT_EQ(report.studies, 1U);
  EXPECT_EQ(report.adopted, 1U);
  EXPECT_EQ(report.phase, StudyPhase::kIdle);
  EXPECT_GT(report.begun_at, static_cast<std::uint64_t>(kTurn) + 300);
  EXPECT_LT(report.begun_at, static_cast<std::uint64_t>(kTurn) + 2000);
  ASSERT_EQ(report.in_force.size(), 1U);
  EXPECT_EQ(report.in_force[0].option, "learning.learning_rate");
  EXPECT_EQ(report.in_force[0].configured, "0.002");
  EXPECT_GT(std::stod(report.in_force[0].value), 0.002);
  ASSERT_EQ(report.notices.size(), 4U);  // begins, challenges, takes over, has taken over
  ASSERT_TRUE(report.study.has_value());
  EXPECT_LE(report.study->trials, 6U);
  EXPECT_GE(report.study->trials, 3U);

  config_.tuning.on_drift = false;
  const auto plain = live();
  ASSERT_TRUE(plain.is_ok()) << plain.status().to_string();
  EXPECT_EQ(plain->snapshot.tuning.studies, 0U);
  EXPECT_LT(loss(*tuned), loss(*plain));
}

TEST_F(DriftStudy, IsTheSameOnEveryRun) {
  const auto first = live(1);
  const auto second = live(2);
  ASSERT_TRUE(first.is_ok() && second.is_ok());
  EXPECT_EQ(told(*first), told(*second));
  EXPECT_EQ(first->state, second->state);
}

TEST_F(DriftStudy, WithoutAChangeNoStudyBegins) {
  plan_.turned_from = -1;
  const auto life = live();
  ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  EXPECT_EQ(life->snapshot.tuning.studies, 0U);
  EXPECT_TRUE(life->snapshot.tuning.notices.empty());
}

// Lives that stop in the middle of the study, of the challenge and of the take-over, each with another distance between
// checkpoints.
TEST_F(DriftStudy, StopsAnywhereChangeNothing) {
  const auto whole = live();
  ASSERT_TRUE(whole.is_ok()) << whole.status().to_string();
  std::set<StudyPhase> stopped_in;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(fmt::format("stops chosen by seed {}", seed));
    Rng stops(seed);
    const auto folder = TemporaryFolder::create("freshet-test");
    Result<Life> life = unavailable("not run");
    for (std::int64_t stop_after = kTurn; stop_after <= kOffsets;) {
      // Often while something goes on.
      stop_after += 60 + static_cast<std::int64_t>(stops.below(stop_after < kTurn + 4000 ? 500 : 3000));
      config_.checkpoint.every_events = 100 + stops.below(1500);
      life = live(folder->path(), seed * 100 + static_cast<std::uint64_t>(stop_after), stop_after);
      ASSERT_TRUE(life.is_ok()) << life.status().to_string();
      stopped_in.insert(life->snapshot.tuning.phase);
    }
    EXPECT_EQ(life->snapshot.tuning.studies, whole->snapshot.tuning.studies);
    EXPECT_EQ(life->snapshot.tuning.in_force, whole->snapshot.tuning.in_force);
    EXPECT_EQ(life->snapshot.rounds, whole->snapshot.rounds);
    EXPECT_EQ(life->state, whole->state);
  }
  EXPECT_TRUE(stopped_in.contains(StudyPhase::kStudying)) << "no stop was in the middle of a study";
  EXPECT_TRUE(stopped_in.contains(StudyPhase::kChallenging)) << "no stop was in the middle of a challenge";
}

// Then nothing but the events since the change judges.
TEST_F(DriftStudy, StopsChangeNothingWhereNoEventsAreKeptForTuning) {
  config_.evaluation.tuning_share = 0;
  const auto whole = live();
  ASSERT_TRUE(whole.is_ok()) << whole.status().to_string();
  EXPECT_EQ(whole->snapshot.tuning.studies, 1U);
  const auto folder = TemporaryFolder::create("freshet-test");
  Result<Life> life = unavailable("not run");
  std::set<StudyPhase> stopped_in;
  config_.checkpoint.every_events = 150;
  for (std::int64_t stop_after = kTurn; stop_after <= kOffsets;) {
    stop_after += stop_after < kTurn + 4000 ? 250 : 3000;
    life = live(folder->path(), static_cast<std::uint64_t>(stop_after), stop_after);
    ASSERT_TRUE(life.is_ok()) << life.status().to_string();
    stopped_in.insert(life->snapshot.tuning.phase);
  }
  EXPECT_EQ(life->state, whole->state);
  EXPECT_TRUE(stopped_in.contains(StudyPhase::kStudying)) << "no stop was in the middle of a study";
}

// What a study stored must be used: it is counted by the trials that a restart has from the beginning.
TEST_F(DriftStudy, ARestartTakesUpTheTrialsThatWereTrained) {
  config_.tuning.pace = 1;  // over many cuts
  config_.checkpoint.every_events = 200;
  const auto folder = TemporaryFolder::create("freshet-test");
  const auto before = live(folder->path(), 1, kTurn + 2500);
  ASSERT_TRUE(before.is_ok()) << before.status().to_string();
  ASSERT_EQ(before->snapshot.tuning.phase, StudyPhase::kStudying) << told(*before);
  config_.memory.path = folder->path();
  LocalMetrics metrics;
  NullLog log;
  const auto store = Store::open(store_options(config_), std::nullopt, log, metrics);
  ASSERT_TRUE(store.is_ok());
  const auto parts = (*store)->study_parts(1);
  ASSERT_TRUE(parts.is_ok());
  EXPECT_TRUE(std::ranges::find(*parts, "snapshot") != parts->end());
  EXPECT_TRUE(std::ranges::find(*parts, "state") != parts->end());
  EXPECT_TRUE(std::ranges::any_of(*parts, [](const std::string& name) { return name.starts_with("trial/"); }));
}

TEST_F(DriftStudy, AReplayOfTheWholeLogComesToTheSameState) {
  config_.memory.keep_events = setting::KeepEvents::kAll;
  const auto folder = TemporaryFolder::create("freshet-test");
  const auto life = live(folder->path(), 1);
  ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  ASSERT_EQ(life->snapshot.tuning.adopted, 1U) << told(*life);
  const auto state = redo_alone(config_, plan_, folder->path(), clock_);
  ASSERT_TRUE(state.is_ok()) << state.status().to_string();
  EXPECT_EQ(*state, life->state);
}

TEST_F(DriftStudy, AdoptedSettingsStayUntilTheFileSaysSomethingElse) {
  const auto folder = TemporaryFolder::create("freshet-test");
  const auto life = live(folder->path(), 1);
  ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  ASSERT_EQ(life->snapshot.tuning.in_force.size(), 1U) << told(*life);
  const auto rate_in_force = [&] {
    PipelineLife again(config_, folder->path(), clock_);
    const Status opened = again.open(std::make_unique<SyntheticStream>(plan_, 1, 0, again.stop));
    EXPECT_TRUE(opened.is_ok()) << opened.to_string();
    return opened.is_ok() ? option_text(again.pipeline().config_in_force(), "learning.learning_rate") : "";
  };
  EXPECT_EQ(rate_in_force(), life->snapshot.tuning.in_force[0].value);
  config_.learning.learning_rate = 0.04;
  EXPECT_EQ(rate_in_force(), "0.04");
}

TEST_F(DriftStudy, AChallengerThatDoesNotProveBetterIsDropped) {
  config_.tuning.challenger_events = 100;  // nothing can prove better within one round
  config_.tuning.challenger_alpha = 1e-9;
  const auto life = live();
  ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  SCOPED_TRACE(told(*life));
  EXPECT_EQ(life->snapshot.tuning.adopted, 0U);
  EXPECT_EQ(life->snapshot.tuning.dropped, 1U);
  EXPECT_TRUE(life->snapshot.tuning.in_force.empty());
}

TEST_F(DriftStudy, ErasingEventsThatAStudyLearnsFromGivesItUp) {
  config_.tuning.pace = 0.5;
  // All keys come every 300 offsets: by then each has events in the memory.
  plan_.tombstones[kTurn + 2600] = 7;
  const auto whole = live();
  ASSERT_TRUE(whole.is_ok()) << whole.status().to_string();
  SCOPED_TRACE(told(*whole));
  ASSERT_EQ(whole->snapshot.tuning.notices.size(), 2U);
  EXPECT_EQ(whole->snapshot.tuning.notices[1].what, "is given up");
  const auto folder = TemporaryFolder::create("freshet-test");
  Result<Life> life = unavailable("not run");
  for (const std::int64_t stop_after : {kTurn + 2000, kTurn + 2590, kTurn + 2700, kOffsets + 1}) {
    life = live(folder->path(), 5, stop_after);
    ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  }
  EXPECT_EQ(life->state, whole->state);
}

}  // namespace
}  // namespace freshet::test
