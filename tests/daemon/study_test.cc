// Studies over what a pipeline has stored: the space from the configuration, trials that pause and resume to the bit.
#include <gtest/gtest.h>

#include "daemon/cli/temporary_folder.h"
#include "daemon/commands/state_access.h"
#include "daemon/tuning/study_setup.h"
#include "tests/daemon/synthetic_stream.h"

namespace freshet::test {
namespace {

TEST(SearchSpaceText, SaysRangesAndChoices) {
  const auto rate = parse_search_space("learning.learning_rate", "0.001..0.5 log");
  ASSERT_TRUE(rate.is_ok()) << rate.status().message();
  EXPECT_EQ(rate->kind, SearchSpace::Kind::kLogFloat);
  EXPECT_EQ(rate->lowest, 0.001);
  EXPECT_EQ(rate->highest, 0.5);
  EXPECT_EQ(parse_search_space("learning.batch_size", "16..128")->kind, SearchSpace::Kind::kInteger);
  EXPECT_EQ(parse_search_space("learning.batch_size", "16..1024 log")->kind, SearchSpace::Kind::kLogInteger);
  EXPECT_EQ(parse_search_space("learning.replay_ratio", "0..0.9")->kind, SearchSpace::Kind::kFloat);
  const auto choice = parse_search_space("learning.optimizer", "sgd | adagrad");
  ASSERT_TRUE(choice.is_ok());
  EXPECT_EQ(choice->choices, (std::vector<std::string>{"sgd", "adagrad"}));
}

TEST(SearchSpaceText, FaultsSayWhatToDo) {
  const auto says = [](const char* option, const char* text, const char* part) {
    const auto space = parse_search_space(option, text);
    ASSERT_FALSE(space.is_ok()) << text;
    EXPECT_NE(space.status().message().find(part), std::string::npos) << space.status().message();
    EXPECT_NE(space.status().message().find("tuning.space"), std::string::npos) << space.status().message();
  };
  says("learning.learning_rat", "0..1", "learning.learning_rate");
  says("learning.learning_rate", "0.5..0.1", "expected a range");
  says("learning.learning_rate", "0..1 log", "expected a range");
  says("learning.learning_rate", "0.1", "expected a range");
  says("learning.learning_rate", "0.1..1000", "must be above 0, at most 100");
  says("learning.optimizer", "sgd|adagrid", "adagrad");
  says("learning.batch_size", "||", "expected a range");
}

TEST(StudySetup, SearchesTheOptionsOfWhatIsConfigured) {
  Config config;
  config.learning.strategy = setting::Strategy::kDerPp;
  const auto space = study_space(config);
  ASSERT_TRUE(space.is_ok()) << space.status().message();
  std::vector<std::string> searched;
  for (std::size_t i = 0; i < space->size(); ++i) searched.push_back((*space)[i].option);
  const auto searches = [&](const char* option) { return std::ranges::find(searched, option) != searched.end(); };
  EXPECT_TRUE(searches("learning.der_pp.alpha"));
  EXPECT_FALSE(searches("learning.ewc.lambda")) << "another strategy's";
  EXPECT_TRUE(searches("learning.learning_rate"));
  config.tuning.search = {"optimiser"};
  EXPECT_NE(study_space(config).status().message().find("tuning.search"), std::string::npos);
  config.tuning.search.clear();
  EXPECT_NE(study_space(config).status().message().find("nothing is searched"), std::string::npos);
  config.tuning.space = {{"learning.learning_rate", "0.01..0.1 log"}};
  ASSERT_TRUE(study_space(config).is_ok());
  EXPECT_EQ(study_space(config)->size(), 1U);
}

TEST(StudySetup, TheMetricMustBeOneOfTheTask) {
  Config config;
  EXPECT_EQ(trial_objective(config)->metric, "log_loss");
  config.tuning.metric = "rmse";
  EXPECT_NE(trial_objective(config).status().message().find("tuning.metric"), std::string::npos);
  config.model.task = Task::kRegression;
  EXPECT_EQ(trial_objective(config)->metric, "rmse");
  EXPECT_TRUE(lower_is_better("rmse"));
  EXPECT_FALSE(lower_is_better("auc"));
}

class StoredStudy : public ::testing::Test {
 protected:
  StoredStudy() : config_(synthetic_config()) {
    config_.evaluation.tuning_share = 0.1;
    config_.evaluation.held_out_per_set = 400;
    config_.memory.capacity_events = 3000;
    config_.tuning.max_resource = 9;
    config_.tuning.max_trials = 9;
    config_.tuning.max_compute_ratio = 0;
  }

  // A store that a pipeline has learnt 5000 events into.
  void learn() {
    PipelineLife run(config_, folder_->path(), clock_);
    ASSERT_TRUE(run.open(std::make_unique<SyntheticStream>(stream_, 1, 1'000'000, run.stop)).is_ok());
    ASSERT_TRUE(run.pipeline().run(run.stop).is_ok());
    ASSERT_TRUE(run.pipeline().finish().is_ok());
  }

  Result<TrialSnapshot> snapshot_of(std::uint64_t events_max, std::uint64_t seed, std::uint64_t change_seq = 0) {
    NullLog log;
    LocalMetrics metrics;
    const auto store = TRY(open_to_read(folder_->path(), log, metrics));
    return read_snapshot(config_, *store, {events_max, seed, change_seq});
  }

  SystemClock clock_;
  Config config_;
  StreamPlan stream_;
  Result<TemporaryFolder> folder_ = TemporaryFolder::create("freshet-test");
};

TEST_F(StoredStudy, ASnapshotHoldsTheMemoryInOrderAndHeldOutEvents) {
  learn();
  const auto snapshot = snapshot_of(100'000, 1);
  ASSERT_TRUE(snapshot.is_ok()) << snapshot.status().to_string();
  EXPECT_EQ(snapshot->training.size(), 3000U);
  for (std::size_t i = 1; i < 3000; ++i) ASSERT_LT(snapshot->training.seqs[i - 1], snapshot->training.seqs[i]);
  EXPECT_FALSE(snapshot->judged_by_newest);
  EXPECT_GE(snapshot->judging.size(), 300U);
  for (std::size_t i = 0; i < snapshot->judging.size(); ++i) {
    EXPECT_FALSE(std::ranges::binary_search(snapshot->training.seqs.begin(), snapshot->training.seqs.begin() + 3000,
                                            snapshot->judging.seqs[i]));
  }
  EXPECT_EQ(snapshot->slices.size(), 2U) << "months";
  const auto sample = snapshot_of(500, 1);
  const auto same = snapshot_of(500, 1);
  ASSERT_TRUE(sample.is_ok() && same.is_ok());
  EXPECT_EQ(sample->training.size(), 500U);
  EXPECT_EQ(sample->training.seqs, same->training.seqs);
}

TEST_F(StoredStudy, WithoutEventsForTuningTheNewestJudge) {
  config_.evaluation.tuning_share = 0;
  learn();
  const auto snapshot = snapshot_of(100'000, 1);
  ASSERT_TRUE(snapshot.is_ok()) << snapshot.status().to_string();
  EXPECT_TRUE(snapshot->judged_by_newest);
  EXPECT_EQ(snapshot->judging.size(), 300U);
  EXPECT_EQ(snapshot->training.size(), 2700U);
  EXPECT_GT(snapshot->judging.seqs[0], snapshot->training.seqs[2699]);
}

TEST_F(StoredStudy, AnEmptyStoreIsSaidSo) {
  {
    PipelineLife run(config_, folder_->path(), clock_);
    ASSERT_TRUE(run.open(std::make_unique<SyntheticStream>(StreamPlan{}, 1, 0, run.stop)).is_ok());
  }
  const auto empty = snapshot_of(1000, 1);
  ASSERT_FALSE(empty.is_ok());
  EXPECT_NE(empty.status().message().find("there is no checkpoint yet"), std::string::npos) << empty.status().message();
}

// Pausing anywhere changes nothing, for a strategy that stores with events, too.
TEST_F(StoredStudy, ATrialResumesToTheBit) {
  learn();
  const auto snapshot = snapshot_of(100'000, 1);
  ASSERT_TRUE(snapshot.is_ok()) << snapshot.status().to_string();
  TrialLearners trainers(config_, *snapshot, {"log_loss", 1.0}, 9);
  const tuning::StopFlag never{false};
  for (const char* strategy : {"er", "der_pp", "cls_er"}) {
    SCOPED_TRACE(strategy);
    const std::vector<tuning::Setting> settings = {{"learning.strategy", strategy}, {"learning.learning_rate", "0.05"}};
    auto whole = trainers.create(0, settings);
    ASSERT_TRUE(whole.is_ok()) << whole.status().to_string();
    auto paused = trainers.create(0, settings).value();
    for (const std::uint64_t resource : {1, 3, 4, 9}) {
      ASSERT_TRUE((*whole)->train_to(resource, never).is_ok());
      ASSERT_TRUE(paused->train_to(resource, never).is_ok());
      const auto expected = (*whole)->evaluate();
      const auto objective = paused->evaluate();
      ASSERT_TRUE(expected.is_ok() && objective.is_ok());
      EXPECT_EQ(*objective, *expected);
      ByteWriter out;
      ASSERT_TRUE(paused->checkpoint(out).is_ok());
      auto resumed = trainers.resume(0, settings, out.take());
      ASSERT_TRUE(resumed.is_ok()) << resumed.status().to_string();
      paused = *std::move(resumed);
    }
  }
}

// So it is for trials that live through a change; and whoever begins anew from the same beginning comes to the same.
TEST_F(StoredStudy, ATrialThatFollowsAChangeResumesToTheBit) {
  stream_.turned_from = 3500;
  learn();
  const auto snapshot = snapshot_of(100'000, 1, 3500);
  ASSERT_TRUE(snapshot.is_ok()) << snapshot.status().to_string();
  ASSERT_TRUE(snapshot->knows_change());
  EXPECT_GE(snapshot->training.seqs[snapshot->since_change], 3500U);
  EXPECT_LT(snapshot->training.seqs[snapshot->since_change - 1], 3500U);
  EXPECT_GT(snapshot->events_a_row, 1.0);
  const tuning::StopFlag never{false};
  // The optimizer in force, whose state goes on, and another.
  for (const char* optimizer : {"adagrad", "adam"}) {
    SCOPED_TRACE(optimizer);
    const std::vector<tuning::Setting> settings = {{"learning.optimizer", optimizer},
                                                   {"learning.learning_rate", "0.05"}};
    TrialLearners trainers(config_, *snapshot, {"log_loss", 1.0}, 9);
    TrialLearners others(config_, *snapshot, {"log_loss", 1.0}, 9);
    ASSERT_TRUE(trainers.prepare(never).is_ok());
    ASSERT_TRUE(others.prepare(never).is_ok());
    auto whole = trainers.create(0, settings);
    ASSERT_TRUE(whole.is_ok()) << whole.status().to_string();
    auto paused = trainers.create(0, settings).value();
    for (const std::uint64_t resource : {1, 3, 4, 9}) {
      ASSERT_TRUE((*whole)->train_to(resource, never).is_ok());
      ASSERT_TRUE(paused->train_to(resource, never).is_ok());
      const auto expected = (*whole)->evaluate();
      const auto objective = paused->evaluate();
      ASSERT_TRUE(expected.is_ok() && objective.is_ok());
      EXPECT_EQ(*objective, *expected);
      ByteWriter out;
      ASSERT_TRUE(paused->checkpoint(out).is_ok());
      auto resumed = others.resume(0, settings, out.take());
      ASSERT_TRUE(resumed.is_ok()) << resumed.status().to_string();
      paused = *std::move(resumed);
    }
  }
}

// Judged by held-out events, most of them from before the change, a rate too low to follow it would win.
TEST_F(StoredStudy, ASettingThatFollowsTheChangeWins) {
  stream_.turned_from = 3500;
  learn();
  const auto snapshot = snapshot_of(100'000, 1, 3500);
  ASSERT_TRUE(snapshot.is_ok());
  const tuning::StopFlag never{false};
  TrialLearners trainers(config_, *snapshot, {"log_loss", 0.0}, 9);
  ASSERT_TRUE(trainers.prepare(never).is_ok());
  const auto objective = [&](const char* rate) {
    const std::vector<tuning::Setting> settings = {{"learning.learning_rate", rate}};
    auto trial = trainers.create(0, settings).value();
    EXPECT_TRUE(trial->train_to(9, never).is_ok());
    return trial->evaluate().value();
  };
  const double still = objective("0.000001");
  const double follows = objective("0.1");
  EXPECT_GT(follows, still + 0.05);
}

TEST_F(StoredStudy, TooFewEventsSinceAChangeAreNoChange) {
  learn();
  const auto snapshot = snapshot_of(100'000, 1, 4900);
  ASSERT_TRUE(snapshot.is_ok());
  EXPECT_FALSE(snapshot->knows_change());
}

TEST_F(StoredStudy, TheForgettingPenaltyComesOffTheMetric) {
  learn();
  const auto snapshot = snapshot_of(100'000, 1);
  ASSERT_TRUE(snapshot.is_ok());
  const tuning::StopFlag never{false};
  const auto objective = [&](double penalty) {
    TrialLearners trainers(config_, *snapshot, {"accuracy", penalty}, 9);
    auto trial = trainers.create(0, {}).value();
    double last = 0;
    for (std::uint64_t resource = 1; resource <= 9; ++resource) {
      EXPECT_TRUE(trial->train_to(resource, never).is_ok());
      last = trial->evaluate().value();
    }
    return last;
  };
  const double plain = objective(0);
  const double once = objective(1);
  EXPECT_GE(plain, once);
  EXPECT_NEAR(plain - objective(2), 2 * (plain - once), 1e-12);
}

// A study finds the rate that learns, among some that do not.
TEST_F(StoredStudy, FindsASettingThatIsBetter) {
  learn();
  const auto snapshot = snapshot_of(100'000, 1);
  ASSERT_TRUE(snapshot.is_ok());
  config_.tuning.search.clear();
  config_.tuning.space = {{"learning.learning_rate", "0.000001|0.0001|0.05|50"}};
  config_.tuning.searcher = setting::Searcher::kGrid;
  const auto study = tuning::Study::create(*study_options(config_), *study_space(config_));
  ASSERT_TRUE(study.is_ok()) << study.status().to_string();
  TrialLearners trainers(config_, *snapshot, *trial_objective(config_), config_.tuning.max_resource);
  const auto runner = tuning::StudyRunner::create(**study, trainers, runner_options(config_));
  ASSERT_TRUE(runner.is_ok());
  ASSERT_TRUE((*runner)->run().is_ok());
  const auto best = (*study)->best();
  ASSERT_EQ(best.size(), 1U);
  EXPECT_EQ((*study)->space().settings((*study)->trials()[best[0].trial].configuration)[0].value, "0.05");
}

TEST_F(StoredStudy, SettingsThatDoNotFitFailTheTrial) {
  learn();
  const auto snapshot = snapshot_of(100'000, 1);
  ASSERT_TRUE(snapshot.is_ok());
  TrialLearners trainers(config_, *snapshot, {}, 9);
  const std::vector<tuning::Setting> settings = {{"learning.batch_size", "0"}};
  const auto refused = trainers.create(0, settings);
  ASSERT_FALSE(refused.is_ok());
  EXPECT_NE(refused.status().message().find("learning.batch_size"), std::string::npos) << refused.status().message();
}

}  // namespace
}  // namespace freshet::test
