// What the pipeline does when the stream changes: it says so once, acts as configured, and does the same in a redo.
#include "daemon/pipeline/drift_response.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "daemon/cli/temporary_folder.h"
#include "tests/daemon/synthetic_stream.h"

namespace freshet::test {
namespace {

constexpr std::int64_t kOffsets = 9000;
constexpr std::int64_t kTurn = 6000;

class DriftInPipeline : public ::testing::Test {
 protected:
  DriftInPipeline() {
    plan_.offsets = kOffsets;
    plan_.turned_from = kTurn;
    // A window of encoder statistics shorter than the wait for a confirmation would hide the change.
    config_ = synthetic_config();
    config_.learning.learning_rate = 0.005;
  }

  struct Life : LivedOnce {
    std::vector<std::string> posted;
  };

  Result<Life> live(const std::string& folder, std::uint64_t batch_seed, std::int64_t stop_after = kOffsets + 1) {
    Life life;
    PipelineOptions options;
    options.on_drift = [&](std::string_view json) { life.posted.emplace_back(json); };
    static_cast<LivedOnce&>(life) = TRY(live_once(config_, plan_, folder, clock_, batch_seed, stop_after, options));
    return life;
  }
  Result<Life> live() {
    const auto folder = TemporaryFolder::create("freshet-test");
    return live(folder->path(), 1);
  }

  SystemClock clock_;
  StreamPlan plan_;
  Config config_;
};

TEST_F(DriftInPipeline, AChangeIsSaidOnceWithWhenAndWhat) {
  const auto life = live();
  ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  EXPECT_EQ(life->snapshot.drift.counts.confirmed, 1U);
  ASSERT_EQ(life->posted.size(), 1U);
  EXPECT_NE(life->posted[0].find("\"statistic\": \"loss\""), std::string::npos) << life->posted[0];
  // The pipeline is gone by now: what is shown stands by itself.
  ASSERT_EQ(life->snapshot.drift.watches.size(), 2U);
  EXPECT_EQ(life->snapshot.drift.watches[0].statistic, "loss");
  EXPECT_EQ(life->snapshot.drift.watches[1].statistic, "loss of the reference model");
  ASSERT_FALSE(life->snapshot.drift.notices.empty());
  const DriftFinding& finding = life->snapshot.drift.notices.back().finding;
  EXPECT_EQ(finding.kind, FindingKind::kConfirmed);
  EXPECT_GT(finding.position, static_cast<std::uint64_t>(kTurn));
  EXPECT_LT(finding.position, static_cast<std::uint64_t>(kTurn) + 1000);
  EXPECT_NEAR(static_cast<double>(finding.since), static_cast<double>(kTurn), 300.0);
  EXPECT_GT(finding.after, finding.before);
}

TEST_F(DriftInPipeline, WithoutAChangeNothingIsConfirmed) {
  plan_.turned_from = -1;
  const auto life = live();
  ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  EXPECT_EQ(life->snapshot.drift.counts.confirmed, 0U);
  EXPECT_TRUE(life->posted.empty());
}

TEST_F(DriftInPipeline, WithoutDetectorsNothingIsWatched) {
  config_.drift.detectors.clear();
  const auto life = live();
  ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  EXPECT_TRUE(life->snapshot.drift.watches.empty());
  EXPECT_TRUE(life->posted.empty());
}

// The cut comes with the batch in which the change was confirmed; it is recorded, so that a redo cuts there too.
TEST_F(DriftInPipeline, AConfirmedChangeCutsTheRoundWhenAsked) {
  config_.learning.round.every_events = 900;
  config_.serving.gate.enabled =
      false;  // after the turn it would go back to a version that knew the old world less well
  config_.memory.keep_events = setting::KeepEvents::kAll;
  const auto plain = live();
  config_.drift.cut_round = true;
  const auto folder = TemporaryFolder::create("freshet-test");
  const auto cut = live(folder->path(), 1);
  ASSERT_TRUE(plain.is_ok() && cut.is_ok());
  EXPECT_EQ(plain->snapshot.rounds, 10U);
  EXPECT_EQ(cut->snapshot.drift.counts.confirmed, 1U);
  EXPECT_EQ(cut->snapshot.rounds, 11U) << "the rest of the stream begins a round anew";
  EXPECT_NE(cut->state, plain->state);

  const auto state = redo_alone(config_, plan_, folder->path(), clock_);
  ASSERT_TRUE(state.is_ok()) << state.status().to_string();
  EXPECT_EQ(*state, cut->state);
}

TEST_F(DriftInPipeline, AHigherRateAndANewerWindowMakeUpForTheChangeSooner) {
  const auto plain = live();
  config_.drift.rate_factor = 5;
  config_.drift.window_events = 300;
  const auto acting = live();
  ASSERT_TRUE(plain.is_ok() && acting.is_ok());
  const auto loss = [](const Result<Life>& life) {
    return find_metric(life->snapshot.evaluation.stream, "log_loss").value();
  };
  EXPECT_LT(loss(acting), loss(plain));
}

// Features that know the labels of some events ago, and a quick learner: the loss is soon where it was.
TEST_F(DriftInPipeline, TheReferenceModelShowsAChangeThatTheLearnerMakesUpFor) {
  config_.learning.learning_rate = 0.1;
  config_.learning.round.every_events = 64;
  config_.drift.detectors = {{"adwin", "reference", {}}};
  config_.drift.reference_events = 3000;
  const auto life = live();
  ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  EXPECT_EQ(life->snapshot.drift.counts.confirmed, 1U);
  ASSERT_FALSE(life->snapshot.drift.notices.empty());
  const DriftFinding& finding = life->snapshot.drift.notices.back().finding;
  EXPECT_EQ(finding.kind, FindingKind::kConfirmed);
  EXPECT_EQ(finding.statistic, "loss of the reference model");
  EXPECT_GT(finding.position, static_cast<std::uint64_t>(kTurn));
  EXPECT_LT(finding.position, static_cast<std::uint64_t>(kTurn) + 1000);

  plan_.turned_from = -1;
  const auto steady = live();
  ASSERT_TRUE(steady.is_ok()) << steady.status().to_string();
  EXPECT_EQ(steady->snapshot.drift.counts.confirmed, 0U);
}

// Stops before there is a reference, with the first one and with the one after the change.
TEST_F(DriftInPipeline, AReferenceModelIsKeptOverStops) {
  config_.drift.detectors = {{"adwin", "loss", {}}, {"adwin", "reference", {}}};
  config_.drift.reference_events = 1500;
  config_.drift.cooldown_events = 800;
  const auto whole = live();
  ASSERT_TRUE(whole.is_ok()) << whole.status().to_string();
  EXPECT_GE(whole->snapshot.drift.counts.confirmed, 1U);
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(fmt::format("stops chosen by seed {}", seed));
    Rng stops(seed);
    const auto folder = TemporaryFolder::create("freshet-test");
    Result<Life> life = unavailable("not run");
    for (std::int64_t stop_after = 0; stop_after <= kOffsets;) {
      stop_after += 300 + static_cast<std::int64_t>(stops.below(1500));
      config_.checkpoint.every_events = 200 + stops.below(2000);
      life = live(folder->path(), seed, stop_after);
      ASSERT_TRUE(life.is_ok()) << life.status().to_string();
    }
    EXPECT_EQ(life->snapshot.drift.counts.confirmed, whole->snapshot.drift.counts.confirmed);
    EXPECT_EQ(life->state, whole->state);
  }
}

TEST_F(DriftInPipeline, ARedoFindsAndDoesTheSameAndPostsNothingAgain) {
  config_.drift.rate_factor = 3;
  config_.drift.window_events = 500;
  config_.drift.act_events = 1500;
  const auto whole = live();
  ASSERT_TRUE(whole.is_ok()) << whole.status().to_string();
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(fmt::format("stops chosen by seed {}", seed));
    Rng stops(seed);
    const auto folder = TemporaryFolder::create("freshet-test");
    std::size_t posted = 0;
    Result<Life> life = unavailable("not run");
    for (std::int64_t stop_after = 0; stop_after <= kOffsets;) {
      stop_after += 500 + static_cast<std::int64_t>(stops.below(2500));
      config_.checkpoint.every_events = 200 + stops.below(3000);
      life = live(folder->path(), 1, stop_after);
      ASSERT_TRUE(life.is_ok()) << life.status().to_string();
      posted += life->posted.size();
    }
    EXPECT_EQ(posted, 1U);
    EXPECT_EQ(life->snapshot.rounds, whole->snapshot.rounds);
    EXPECT_EQ(life->state, whole->state);
  }
}

EncodedLayout one_number() {
  EncodedLayout layout;
  layout.dense_names = {"x"};
  return layout;
}

// Losses that jump: the response alone, without a pipeline.
TEST(DriftResponse, ActsForSoManyEventsAfterAChangeAndNotBefore) {
  Config config;
  config.drift.rate_factor = 4;
  config.drift.window_events = 100;
  config.drift.act_events = 1000;
  const auto response = DriftResponse::create(config, one_number());
  ASSERT_TRUE(response.is_ok()) << response.status().to_string();
  EncodedBatch rows(1, 0, 1000);
  rows.resize(1000);
  Predictions predictions;
  predictions.rows = 1000;
  predictions.values.assign(1000, 0.4F);
  Rng rng(5);
  std::uint64_t confirmed = 0;
  for (std::uint64_t first = 1; first < 20'000 && confirmed == 0; first += 1000) {
    for (std::size_t i = 0; i < 1000; ++i) {
      rows.losses[i] = static_cast<float>(rng.uniform() + (first > 8000 ? 1.0 : 0.0));
      rows.labels[i] = 0.0F;
    }
    ASSERT_TRUE((*response)->observe(first, rows, 0, 1000, predictions).is_ok());
    for (const DriftNotice& notice : (*response)->found()) {
      if (notice.finding.kind == FindingKind::kConfirmed) confirmed = notice.finding.position;
    }
    if (confirmed == 0) {
      EXPECT_EQ((*response)->rate_factor(first + 1000), 1.0F);
      EXPECT_EQ((*response)->replay_from(first + 1000), 0U);
    }
  }
  ASSERT_GT(confirmed, 8000U);
  EXPECT_EQ((*response)->rate_factor(confirmed + 1), 4.0F);
  EXPECT_EQ((*response)->rate_factor(confirmed + 1000), 4.0F);
  EXPECT_EQ((*response)->rate_factor(confirmed + 1001), 1.0F);
  EXPECT_NEAR(static_cast<double>((*response)->replay_from(confirmed + 1)), 8001.0 - 100.0, 64.0);
  EXPECT_EQ((*response)->replay_from(confirmed + 1001), 0U);

  ByteWriter saved;
  (*response)->save(saved);
  const std::string bytes = saved.take();
  const auto second = DriftResponse::create(config, one_number());
  ByteReader in(bytes);
  ASSERT_TRUE((*second)->load(in).is_ok());
  EXPECT_EQ((*second)->rate_factor(confirmed + 1), 4.0F);
  config.drift.detectors[0].kind = "page_hinkley";
  const auto other = DriftResponse::create(config, one_number());
  ByteReader again(bytes);
  EXPECT_TRUE((*other)->load(again).is_ok()) << "a watch with other settings begins anew";
  ByteReader cut(std::string_view(bytes).substr(0, bytes.size() / 2));
  EXPECT_EQ((*second)->load(cut).code(), Code::kDataLoss);
}

TEST(DriftResponse, WatchesAFeatureByItsName) {
  Config config;
  config.drift.detectors = {{"adwin", "feature:x", {}}};
  EXPECT_TRUE(DriftResponse::create(config, one_number()).is_ok());
  config.drift.detectors = {{"adwin", "feature:y", {}}};
  const auto refused = DriftResponse::create(config, one_number());
  ASSERT_FALSE(refused.is_ok());
  EXPECT_NE(refused.status().message().find("no numeric feature 'y'"), std::string::npos) << refused.status().message();
}

}  // namespace
}  // namespace freshet::test
