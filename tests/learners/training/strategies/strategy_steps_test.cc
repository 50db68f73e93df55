// The strategies that copy weights or plan rounds, against the same steps computed by hand (line.h).
#include <algorithm>
#include <cmath>

#include "tests/learners/training/strategies/line.h"

namespace freshet {
namespace {

const Points kFresh = {{1.0, 2.0}, {-0.5, 0.3, 2.0}, {0.7, -1.0}, {2.0, 1.5, 0.5}};
const Points kOther = {{-1.0, 1.0}, {0.5, 2.0}, {1.5, -0.5, 1.5}, {-2.0, 0.2}};

// Both engines take the same steps.
class StrategySteps : public testing::TestWithParam<EngineKind> {
 protected:
  LineLearner make(const std::string& strategy, std::uint32_t batch_size, const StrategySettings& settings = {},
                   float replay_ratio = 0.5F) const {
    return {strategy, batch_size, settings, replay_ratio, GetParam()};
  }
};

// Of a regression the distillation is the squared distance to the older model's outputs.
TEST_P(StrategySteps, LwfHoldsOutputsToTheModelOfTheLastRound) {
  StrategySettings settings;
  settings.lwf.alpha = 0.7F;
  LineLearner learner = make("lwf", 4, settings);
  learner.train(kFresh);
  Line line;
  line.add(-kRate, gradient(line, kFresh));  // no older model yet
  expect_line(learner.line(), line);
  for (int round = 0; round < 3; ++round) {
    const Line older = line;
    Points twice = kOther;
    twice.insert(twice.end(), kFresh.begin(), kFresh.end());
    learner.train(twice);
    for (const Points& points : {kOther, kFresh}) {
      Line sum = gradient(line, points);
      sum.add(1.0, gradient(line, points, 0.7, &older));
      line.add(-kRate, sum);
    }
    expect_line(learner.line(), line);
  }
}

TEST_P(StrategySteps, LwfKeepsAnOlderModelForSeveralRounds) {
  StrategySettings settings;
  settings.lwf.every_rounds = 2;
  LineLearner learner = make("lwf", 4, settings);
  Line line, older;
  for (int round = 0; round < 5; ++round) {
    learner.train(kFresh);
    Line sum = gradient(line, kFresh);
    if (round >= 2) sum.add(1.0, gradient(line, kFresh, 1.0, &older));
    line.add(-kRate, sum);
    if (round % 2 == 1) older = line;
  }
  expect_line(learner.line(), line);
}

TEST_P(StrategySteps, EwcPullsEachWeightBackByItsFisherInformation) {
  StrategySettings settings;
  settings.ewc.lambda = 0.8F;
  settings.ewc.decay = 0.5F;
  settings.ewc.fisher_rows = 2;
  LineLearner learner = make("ewc", 2, settings);
  Line line, anchor, fisher;
  for (int round = 0; round < 3; ++round) {
    const Points& points = round == 1 ? kOther : kFresh;
    learner.train(points);
    for (std::size_t i = 0; i < points.size(); i += 2) {
      Line sum = gradient(line, {points[i], points[i + 1]});
      if (round > 0) sum.add(0.8, {fisher.w * (line.w - anchor.w), fisher.b * (line.b - anchor.b)});
      line.add(-kRate, sum);
    }
    expect_line(learner.line(), line);
    fisher = {0.5 * fisher.w, 0.5 * fisher.b};
    for (const Point& point : {points[0], points[2]}) {  // two of four, evenly spread
      const Line own = gradient(line, {point});
      fisher.add(0.5, {own.w * own.w, own.b * own.b});
    }
    anchor = line;
  }
}

// With chances of 1 both averages move at every step; decays apart make them differ.
struct Averages {
  Line stable, plastic;
  int steps = 0;
  double stable_decay = 0.9;
  double plastic_decay = 0.4;
  void step(const Line& line) {
    const double ramp = 1.0 - 1.0 / (++steps + 1.0);
    const auto move = [&](Line& average, double decay) {
      const double keep = std::min(ramp, decay);
      average = {keep * average.w + (1.0 - keep) * line.w, keep * average.b + (1.0 - keep) * line.b};
    };
    move(stable, stable_decay);
    move(plastic, plastic_decay);
  }
  // The gradient of factor * mean of weight * (line - the better average)^2.
  Line consistency(const Line& line, const Points& points, double factor) const {
    Line sum;
    for (const Point& point : points) {
      const double stable_error = std::abs(stable.at(point.x) - point.y);
      const double plastic_error = std::abs(plastic.at(point.x) - point.y);
      sum.add(1.0 / static_cast<double>(points.size()),
              gradient(line, {point}, factor, plastic_error < stable_error ? &plastic : &stable));
    }
    return sum;
  }
};

ClsErOptions certain(float alpha, float beta) { return {alpha, beta, 0.9F, 0.4F, 1.0F, 1.0F}; }

TEST_P(StrategySteps, ClsErHoldsReplayedRowsToTheBetterAverage) {
  StrategySettings settings;
  settings.cls_er = certain(0.6F, 0.9F);
  LineLearner learner = make("cls_er", 8, settings);
  Line line;
  Averages averages;
  for (int round = 0; round < 6; ++round) {
    const Points& fresh = round % 2 == 0 ? kFresh : kOther;
    const Points& replay = round % 2 == 0 ? kOther : kFresh;
    learner.train(fresh, replay);
    Line sum = gradient(line, fresh);
    sum.add(1.0, gradient(line, replay, 0.6));
    sum.add(1.0, averages.consistency(line, replay, 0.9));
    line.add(-kRate, sum);
    averages.step(line);
    expect_line(learner.line(), line);
  }
}

// Of three averages' chances 0.7 and 0.9 nothing is known but their frequency; a model that stands still shows nothing,
// so: with no chance at all the averages stay where they began, at zero.
TEST_P(StrategySteps, ClsErMovesItsAveragesByChanceAlone) {
  StrategySettings settings;
  settings.cls_er = certain(0.6F, 0.9F);
  settings.cls_er.stable_probability = settings.cls_er.plastic_probability = 0.0F;
  LineLearner learner = make("cls_er", 8, settings);
  Line line;
  const Line zero;
  for (int round = 0; round < 4; ++round) {
    learner.train(kFresh, kOther);
    Line sum = gradient(line, kFresh);
    sum.add(1.0, gradient(line, kOther, 0.6));
    sum.add(1.0, gradient(line, kOther, 0.9, &zero));
    line.add(-kRate, sum);
  }
  expect_line(learner.line(), line);
}

// The fresh rows pull the line up at x = 1. Of six candidates for two places, those lose most that want it down there.
TEST_P(StrategySteps, MirReplaysWhatTheStepWouldHarmMost) {
  StrategySettings settings;
  settings.mir.candidates = 3;
  LineLearner learner = make("mir", 4, settings);
  const Points fresh = {{1.0, 4.0}, {1.2, 4.0}};
  const Points candidates = {{1.0, 3.0}, {1.0, -3.0}, {0.0, 0.0}, {-1.0, 0.0}, {1.5, -2.0}, {0.1, 5.0}};
  EXPECT_EQ(learner.learner().replay_rows_for(2), 6U);
  Line ahead;
  ahead.add(-kRate, gradient({}, fresh));
  std::vector<std::pair<double, std::size_t>> growth;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const double before = candidates[i].y;  // the line is zero
    const double after = ahead.at(candidates[i].x) - candidates[i].y;
    growth.emplace_back(before * before - after * after, i);
  }
  std::ranges::sort(growth);
  ASSERT_EQ(std::min(growth[0].second, growth[1].second), 1U);
  ASSERT_EQ(std::max(growth[0].second, growth[1].second), 4U);

  std::vector<float> losses(candidates.size(), std::nanf(""));
  const RoundReport report = learner.train(fresh, candidates, &losses);
  EXPECT_EQ(report.samples_replayed, 2U);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    EXPECT_EQ(std::isnan(losses[i]), i != 1 && i != 4) << i;  // known of those trained on
  }
  EXPECT_FLOAT_EQ(losses[1], 9.0F);
  Line line;
  line.add(-kRate, gradient(line, {fresh[0], fresh[1], candidates[1], candidates[4]}));
  expect_line(learner.line(), line);
}

TEST_P(StrategySteps, MirTakesFewCandidatesAsTheyAre) {
  LineLearner learner = make("mir", 8);
  Points few = {kOther[0], kOther[1]};
  learner.train(kFresh, few);
  Points all = kFresh;
  all.insert(all.end(), few.begin(), few.end());
  Line line;
  line.add(-kRate, gradient(line, all));
  expect_line(learner.line(), line);
}

TEST_P(StrategySteps, SuperErAddsItsTermsAndShrinks) {
  StrategySettings settings;
  settings.super_er.alpha = 0.3F;
  settings.super_er.beta = 0.6F;
  settings.super_er.cls = certain(0.0F, 0.2F);
  settings.super_er.shrink = 0.8F;
  settings.super_er.sigma = 0.0F;
  settings.super_er.shrink_every_rounds = 2;
  LineLearner learner = make("super_er", 8, settings);
  const Line said = {0.4, -0.2};  // what the model said of the replayed rows when they were fresh
  Line line;
  Averages averages;
  for (int round = 0; round < 5; ++round) {
    const EncodedBatch fresh = batch_of(kFresh);
    const EncodedBatch replay = batch_of(kOther);
    std::vector<float> stored;
    for (const Point& point : kOther) stored.push_back(static_cast<float>(said.at(point.x)));
    stored[2] = kNeverStored;
    std::vector<float> to_store(kFresh.size());
    const std::span<float> stored_view(stored);
    const std::span<float> store_view(to_store);
    RoundInput input{&fresh, &replay};
    input.stored = {&stored_view, 1};
    input.to_store = {&store_view, 1};
    ASSERT_TRUE(learner.learner().train_round(input).is_ok());

    if (round == 2 || round == 4) line = {0.8 * line.w, 0.8 * line.b};
    for (std::size_t i = 0; i < kFresh.size(); ++i) EXPECT_NEAR(to_store[i], line.at(kFresh[i].x), 1e-5);
    Line sum = gradient(line, kFresh);
    sum.add(1.0, gradient(line, kOther, 0.6));
    sum.add(1.0, gradient(line, {kOther[0], kOther[1], kOther[3]}, 0.3 * 3.0 / 4.0, &said));
    sum.add(1.0, averages.consistency(line, kOther, 0.2));
    line.add(-kRate, sum);
    averages.step(line);
    expect_line(learner.line(), line);
  }
}

// One step a pass, so that the order of the rows says nothing.
TEST_P(StrategySteps, RetrainingForgetsTheModelAndTrainsOnTheMemory) {
  for (const std::string strategy : {"gdumb", "joint"}) {
    StrategySettings settings;
    settings.gdumb.passes = settings.joint.passes = 3;
    settings.gdumb.every_rounds = settings.joint.every_rounds = 2;
    LineLearner learner = make(strategy, 8, settings);
    Line line;
    for (int pass = 0; pass < 3; ++pass) line.add(-kRate, gradient(line, kOther));
    EXPECT_TRUE(learner.learner().reads_memory_in_pieces());
    EXPECT_EQ(learner.learner().replay_rows_for(100, 4), 4U);
    const RoundReport report = learner.train(kFresh, kOther);
    EXPECT_EQ(report.steps, 3U);
    EXPECT_EQ(report.samples_fresh, 0U);
    EXPECT_EQ(report.samples_replayed, 12U);
    expect_line(learner.line(), line);
    // A round of rest, which asks for no rows and moves nothing.
    EXPECT_FALSE(learner.learner().reads_memory_in_pieces());
    EXPECT_EQ(learner.learner().replay_rows_for(100, 4), 0U);
    EXPECT_EQ(learner.train(kFresh, kOther).steps, 0U);
    expect_line(learner.line(), line);
    learner.train({}, kOther);
    expect_line(learner.line(), line);  // the same again, from scratch
  }
}

TEST_P(StrategySteps, RetrainingTakesFreshRowsWhileTheMemoryIsEmpty) {
  LineLearner learner = make("joint", 8);
  EXPECT_EQ(learner.train(kFresh).samples_fresh, kFresh.size());
  Line line;
  line.add(-kRate, gradient(line, kFresh));
  expect_line(learner.line(), line);
}

TEST_P(StrategySteps, OfflineErWeighsFreshRowsAndMemory) {
  const Points memory = {kOther[0], kOther[1]};
  for (const float weight : {0.0F, 0.25F}) {
    StrategySettings settings;
    settings.offline_er.fresh_weight = weight;
    settings.offline_er.passes = 2;
    LineLearner learner = make("offline_er", 8, settings);
    learner.train(kFresh, memory);
    const double fresh = weight == 0.0F ? 4.0 / 6.0 : static_cast<double>(weight);
    Line line;
    for (int pass = 0; pass < 2; ++pass) {
      Line sum = gradient(line, kFresh, fresh);
      sum.add(1.0, gradient(line, memory, 1.0 - fresh));
      line.add(-kRate, sum);
    }
    expect_line(learner.line(), line);
  }
}

TEST_P(StrategySteps, RepeatedDistillationConsolidatesExpertAndOlderModel) {
  StrategySettings settings;
  settings.repeated_distillation.expert_passes = 2;
  settings.repeated_distillation.passes = 3;
  LineLearner learner = make("repeated_distillation", 8, settings);
  Line line;
  for (int round = 0; round < 3; ++round) {
    const Points& fresh = round % 2 == 0 ? kFresh : kOther;
    const Points& memory = round % 2 == 0 ? kOther : kFresh;
    learner.train(fresh, memory);
    const Line older = line;
    Line expert = line;
    for (int pass = 0; pass < 2; ++pass) expert.add(-kRate, gradient(expert, fresh));
    for (int pass = 0; pass < 3; ++pass) {
      Line sum = gradient(line, fresh, 0.5, &expert);
      sum.add(1.0, gradient(line, memory, 0.5, &older));
      line.add(-kRate, sum);
    }
    expect_line(learner.line(), line);
  }
}

INSTANTIATE_TEST_SUITE_P(Engines, StrategySteps, testing::Values(EngineKind::kNative, EngineKind::kTorch),
                         [](const auto& tested) {
                           return tested.param == EngineKind::kNative ? std::string("native") : std::string("torch");
                         });

}  // namespace
}  // namespace freshet
