// A daemon's study on its thread: the same end with and without a stop, and an answer to "over by then?" that does not
// depend on how fast it is.
#include "daemon/tuning/study_thread.h"

#include <gtest/gtest.h>

#include "core/rng.h"
#include "daemon/tuning/study_setup.h"

namespace freshet {
namespace {

// Two numbers, of which the first decides; later events judge.
std::shared_ptr<const TrialSnapshot> events_to_learn() {
  auto snapshot = std::make_shared<TrialSnapshot>();
  FeatureSpec feature;
  feature.name = "x";
  snapshot->spec.features = {feature};
  snapshot->spec.label.classes = 2;
  snapshot->layout.dense_names = {"x", "x:missing"};
  Rng rng(11);
  const auto fill = [&](EncodedBatch& rows, std::size_t count, std::uint64_t first) {
    rows = EncodedBatch(2, 0, count);
    rows.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      const auto x = static_cast<float>(rng.uniform() * 2 - 1);
      rows.dense_row(i)[0] = x;
      rows.dense_row(i)[1] = 0;
      rows.labels[i] = rng.uniform() < (x > 0 ? 0.9 : 0.1) ? 1.0F : 0.0F;
      rows.weights[i] = 1;
      rows.losses[i] = 0.7F;
      rows.seqs[i] = first + i;
      rows.time_ms[i] = static_cast<std::int64_t>(first + i);
    }
  };
  fill(snapshot->training, 1800, 1);
  fill(snapshot->judging, 200, 5000);
  return snapshot;
}

StudyPlan plan_on(std::shared_ptr<const TrialSnapshot> snapshot) {
  StudyPlan plan;
  plan.config.model.hidden = {8};
  plan.config.model.embedding_rows = 16;
  plan.config.learning.learning_rate = 0.0005;
  plan.config.learning.round.every_events = 100;
  plan.config.tuning.search = {};
  plan.config.tuning.space = {{"learning.learning_rate", "0.0005..0.3 log"}};
  plan.config.tuning.max_trials = 8;
  plan.config.tuning.max_resource = 9;
  plan.begin_seq = 1800;
  plan.snapshot = std::move(snapshot);
  plan.priority = tuning::WorkerPriority::kNormal;
  return plan;
}

StudyOutcome outcome_of(StudyThread& study) {
  EXPECT_TRUE(study.wait(nullptr));
  return study.take_outcome();
}

TEST(StudyThread, FindsMoreThanIsConfiguredAndKeepsItForLater) {
  const auto snapshot = events_to_learn();
  StudyThread study(plan_on(snapshot), {});
  const StudyOutcome outcome = outcome_of(study);
  EXPECT_EQ(outcome.failure, "");
  ASSERT_TRUE(outcome.winner.has_value());
  ASSERT_TRUE(outcome.present.has_value());
  EXPECT_GT(outcome.winner->objective, *outcome.present);
  ASSERT_EQ(outcome.winner->settings.size(), 1U);
  EXPECT_GT(std::stod(outcome.winner->settings[0].value), 0.0005);
  ASSERT_TRUE(outcome.past.has_value());
  EXPECT_EQ(outcome.past->trials.size(), study.status().trials);
  EXPECT_LE(study.status().resource, 18U) << "max_compute_ratio 2 of 9 stretches";

  // The next study begins with what was best in this one.
  StudyPlan next = plan_on(snapshot);
  next.number = 2;
  next.past = {*outcome.past};
  StudyThread second(next, {});
  const StudyOutcome warm = outcome_of(second);
  ASSERT_TRUE(warm.past.has_value());
  ASSERT_GE(warm.past->trials.size(), 2U);
  EXPECT_EQ(warm.past->trials[1].settings[0].value, outcome.winner->settings[0].value);
}

TEST(StudyThread, IsOverAtItsVirtualTimeWhoeverAsksWhen) {
  const auto snapshot = events_to_learn();
  StudyThread first(plan_on(snapshot), {});
  double end = 0;
  while (!first.over_by(end, nullptr)) end += 1;
  EXPECT_GE(end, 9.0);
  EXPECT_LE(end, 27.0);
  StudyThread second(plan_on(snapshot), {});
  ASSERT_TRUE(second.wait(nullptr));
  EXPECT_FALSE(second.over_by(end - 1, nullptr));
  EXPECT_TRUE(second.over_by(end, nullptr));
}

TEST(StudyThread, GoesOnFromWhatWasStoredToTheSameEnd) {
  const auto snapshot = events_to_learn();
  StudyThread whole(plan_on(snapshot), {});
  const StudyOutcome expected = outcome_of(whole);
  StoredStudy stored;
  std::uint64_t trained = 0;
  {
    StudyThread stopped(plan_on(snapshot), {});
    stopped.over_by(4.0, nullptr);  // some trials have paused
    StudyChanges changes = stopped.take_changes();
    trained = stopped.status().resource;
    stored.state = changes.state;
    stored.trials = changes.trials;
  }
  ASSERT_GE(trained, 3U);
  ASSERT_FALSE(stored.trials.empty());
  StudyThread resumed(plan_on(snapshot), stored);
  resumed.over_by(0.0, nullptr);
  EXPECT_GE(resumed.status().resource, 3U) << "nothing is trained twice";
  const StudyOutcome outcome = outcome_of(resumed);
  ASSERT_TRUE(outcome.winner && expected.winner);
  EXPECT_EQ(outcome.winner->trial, expected.winner->trial);
  EXPECT_EQ(outcome.winner->settings, expected.winner->settings);
  EXPECT_EQ(outcome.winner->learner, expected.winner->learner);
  ASSERT_EQ(outcome.past->trials.size(), expected.past->trials.size());
  for (std::size_t i = 0; i < outcome.past->trials.size(); ++i) {
    EXPECT_EQ(outcome.past->trials[i].settings, expected.past->trials[i].settings);
    EXPECT_EQ(outcome.past->trials[i].evaluations.size(), expected.past->trials[i].evaluations.size());
  }
  EXPECT_EQ(resumed.status().resource, whole.status().resource);

  // A trial that is lost costs time, not the end.
  stored.trials.clear();
  StudyThread anew(plan_on(snapshot), stored);
  EXPECT_EQ(outcome_of(anew).winner->learner, expected.winner->learner);
  stored.state = "damaged";
  StudyThread again(plan_on(snapshot), stored);
  EXPECT_EQ(outcome_of(again).winner->learner, expected.winner->learner);
}

TEST(StudyThread, WhatCannotBeginIsOverWithTheReason) {
  StudyPlan plan = plan_on(events_to_learn());
  plan.config.tuning.metric = "rmse";
  StudyThread study(plan, {});
  const StudyOutcome outcome = outcome_of(study);
  EXPECT_FALSE(outcome.winner.has_value());
  EXPECT_NE(outcome.failure.find("tuning.metric"), std::string::npos) << outcome.failure;
}

}  // namespace
}  // namespace freshet
