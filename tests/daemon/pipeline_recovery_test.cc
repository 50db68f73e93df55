// What a run must be after a stop at any point: the same, to the bit, as a run that was never stopped.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "core/hash.h"
#include "core/rng.h"
#include "daemon/cli/temporary_folder.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/room_options.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 20130101;
constexpr std::int64_t kEvents = 5000;

// Makes the same events for the same offsets, in batches whose sizes depend on `batch_seed`; raises the stop flag once
// it has handed out `stop_after` events.
class SyntheticSource final : public EventSource {
 public:
  SyntheticSource(std::uint64_t batch_seed, std::int64_t stop_after, std::atomic<bool>& stop)
      : batch_sizes_(batch_seed), stop_after_(stop_after), stop_(stop) {}

  Status start(const NextOffsets& next_offsets) override {
    const auto found = next_offsets.find(0);
    next_ = found == next_offsets.end() ? 0 : found->second;
    return Status::ok();
  }

  Result<SourceState> next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds) override {
    batch.clear();
    const std::size_t wanted = 1 + batch_sizes_.below(300);
    while (batch.size() < std::min(wanted, events_max) && next_ < kEvents) add_event(batch);
    if (next_ >= stop_after_) stop_ = true;
    return next_ >= kEvents ? SourceState::kEnd : SourceState::kEvents;
  }

  void committed(const NextOffsets&) override {}
  Status acknowledge_dead_letters(std::uint64_t, std::chrono::milliseconds) override { return Status::ok(); }
  void stop() override {}
  SourceProgress progress() const override { return {}; }

 private:
  void add_event(EventBatch& batch) {
    Rng rng(kSeed + static_cast<std::uint64_t>(next_));
    const std::size_t row = batch.begin_row();
    const double x = rng.uniform() * 2 - 1;
    const std::uint64_t shop = rng.below(20);
    batch.numbers(0)[row] = static_cast<float>(x);
    batch.categories(0)[row] = hash_category(field_seed("shop"), static_cast<std::int64_t>(shop));
    batch.labels[row] = rng.uniform() < 0.2 + 0.3 * (x > 0 ? 1 : 0) + 0.4 * (shop % 2 == 0 ? 1 : 0) ? 1.0F : 0.0F;
    batch.positions[row] = {0, next_};
    batch.time_ms[row] = 1'356'998'400'000 + next_ * 1'000'000;  // 58 days in all: three months
    batch.key_hashes[row] = hash_category(0, next_);
    batch.value_hashes[row] = rng.next();
    batch.commit_row();
    ++next_;
  }

  Rng batch_sizes_;
  std::int64_t stop_after_;
  std::atomic<bool>& stop_;
  std::int64_t next_ = 0;
};

struct Outcome {
  std::string learner;
  PipelineSnapshot snapshot;
  std::vector<PartitionLedger> ledger;
};

class PipelineRecovery : public ::testing::Test {
 protected:
  PipelineRecovery() {
    FeatureSpec number;
    number.name = "x";
    FeatureSpec shop;
    shop.name = "shop";
    shop.kind = FeatureKind::kCategory;
    FeatureSpec mean;
    mean.name = "shop_mean";
    mean.kind = FeatureKind::kTargetMean;
    mean.of = {"shop"};
    mean.half_life_events = 50;
    spec_.features = {number, shop, mean};
    spec_.label.classes = 2;
    config_.model.hidden = {8};
    config_.model.embedding_rows = 256;
    config_.learning.round.every_events = 128;
    config_.learning.round.every_ms = 0;
    config_.learning.round.go_live = setting::GoLive::kNextCut;
    config_.memory.capacity_events = 700;  // smaller than the stream: events are replaced and payloads deleted
    config_.checkpoint.every_ms = 0;
    config_.checkpoint.every_events = 400;
    config_.evaluation.held_out_share = 0.1;
    config_.evaluation.slices_by = setting::SliceBy::kMonth;
    config_.evaluation.forgetting_every_rounds = 3;
  }

  // One life of the pipeline, to `stop_after` events or to the end.
  Result<Outcome> live(const std::string& folder, std::uint64_t batch_seed, std::int64_t stop_after) {
    std::atomic<bool> stop{false};
    SystemClock clock;
    LocalMetrics metrics;
    Config config = config_;
    config.memory.path = folder;
    const Schema schema(spec_);
    auto store = TRY(Store::open(store_options(config), store_identity(schema), log_, metrics));
    SyntheticSource source(batch_seed, stop_after, stop);
    ModelSlot slot(clock);
    auto pipeline = TRY(Pipeline::open(config, schema, {}, {*store, source, slot, clock, log_, metrics}));
    TRY(pipeline->run(stop));
    if (!stop) TRY(pipeline->finish());
    Outcome outcome;
    if (!stop) outcome.learner = pipeline->learner_bytes();  // a stopped one may still be training
    outcome.snapshot = pipeline->snapshot();
    outcome.ledger = store->ledger();
    return outcome;
  }

  EventSpec spec_;
  Config config_;
  MemoryLog log_;
};

void expect_same(const Outcome& stopped, const Outcome& uninterrupted) {
  EXPECT_TRUE(stopped.learner == uninterrupted.learner) << "the learner's state differs";
  EXPECT_EQ(stopped.ledger, uninterrupted.ledger);
  EXPECT_EQ(stopped.snapshot.events, uninterrupted.snapshot.events);
  EXPECT_EQ(stopped.snapshot.rounds, uninterrupted.snapshot.rounds);
  EXPECT_EQ(stopped.snapshot.swaps, uninterrupted.snapshot.swaps);
  EXPECT_EQ(stopped.snapshot.memory_events, uninterrupted.snapshot.memory_events);
  EXPECT_EQ(find_metric(stopped.snapshot.evaluation.stream, "log_loss"),
            find_metric(uninterrupted.snapshot.evaluation.stream, "log_loss"));
  ASSERT_EQ(stopped.snapshot.forgetting.slices.size(), uninterrupted.snapshot.forgetting.slices.size());
  for (std::size_t i = 0; i < stopped.snapshot.forgetting.slices.size(); ++i) {
    EXPECT_EQ(stopped.snapshot.forgetting.slices[i].now, uninterrupted.snapshot.forgetting.slices[i].now);
    EXPECT_EQ(stopped.snapshot.forgetting.slices[i].best, uninterrupted.snapshot.forgetting.slices[i].best);
    EXPECT_EQ(stopped.snapshot.forgetting.slices[i].learnt, uninterrupted.snapshot.forgetting.slices[i].learnt);
  }
}

TEST_F(PipelineRecovery, LearnsTheSameInBatchesOfAnySize) {
  const auto first = TemporaryFolder::create("freshet-test");
  const auto second = TemporaryFolder::create("freshet-test");
  const auto one = live(first->path(), 1, kEvents + 1);
  const auto other = live(second->path(), 2, kEvents + 1);
  ASSERT_TRUE(one.is_ok()) << one.status().to_string();
  ASSERT_TRUE(other.is_ok()) << other.status().to_string();
  EXPECT_EQ(one->snapshot.events, static_cast<std::uint64_t>(kEvents));
  EXPECT_GT(find_metric(one->snapshot.evaluation.stream, "auc").value_or(0), 0.65) << "it does not learn";
  EXPECT_GE(one->snapshot.forgetting.slices.size(), 2U);
  expect_same(*other, *one);
}

class RecoveryOfWeights : public PipelineRecovery, public ::testing::WithParamInterface<setting::Weights> {};

// The served model scores the events, so a restart must serve the same bits, whichever weights it serves.
TEST_P(RecoveryOfWeights, ContinuesToTheBitAfterStopsAnywhere) {
  config_.serving.weights = GetParam();
  config_.learning.ema_decay = 0.9;
  const auto whole = TemporaryFolder::create("freshet-test");
  const auto uninterrupted = live(whole->path(), 1, kEvents + 1);
  ASSERT_TRUE(uninterrupted.is_ok()) << uninterrupted.status().to_string();
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE(fmt::format("stops chosen by seed {}", seed));
    Rng stops(seed);
    const auto folder = TemporaryFolder::create("freshet-test");
    std::int64_t stop_after = 0;
    Result<Outcome> outcome = unavailable("not run");
    for (int life = 0; life < 12 && stop_after <= kEvents; ++life) {
      stop_after += 1 + static_cast<std::int64_t>(stops.below(1500));
      outcome = live(folder->path(), seed * 100 + static_cast<std::uint64_t>(life), stop_after);
      ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    }
    ASSERT_GT(stop_after, kEvents);
    expect_same(*outcome, *uninterrupted);
  }
}

INSTANTIATE_TEST_SUITE_P(All, RecoveryOfWeights,
                         ::testing::Values(setting::Weights::kRaw, setting::Weights::kEma, setting::Weights::kAverage));

TEST_F(PipelineRecovery, AFinishedRunGoesOnFromItsEnd) {
  const auto folder = TemporaryFolder::create("freshet-test");
  const auto first = live(folder->path(), 1, kEvents + 1);
  ASSERT_TRUE(first.is_ok()) << first.status().to_string();
  const auto again = live(folder->path(), 1, kEvents + 1);
  ASSERT_TRUE(again.is_ok()) << again.status().to_string();
  expect_same(*again, *first);
}

}  // namespace
}  // namespace freshet
