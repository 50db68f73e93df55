// What a run must be after a stop at any point: the same, to the bit, as a run that was never stopped.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <ostream>

#include "core/hash.h"
#include "core/rng.h"
#include "daemon/cli/temporary_folder.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/room_options.h"
#include "storage/backup.h"

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
  std::string memory;  // header, slots and metadata
  PipelineSnapshot snapshot;
  std::vector<PartitionLedger> ledger;
  StateHash state;
  std::map<std::uint64_t, StateHash> checkpoints;  // by the last event that each has seen
};

// The replay memory as the newest checkpoint has it.
Result<std::string> stored_memory(Store& store) {
  const auto checkpoint = TRY(store.latest_checkpoint());
  if (!checkpoint) return not_found("no checkpoint");
  const auto header = checkpoint->blobs.find(kReplayBlob);
  if (header == checkpoint->blobs.end()) return not_found("no replay memory");
  const ReplaySummary summary = TRY(ReplayMemory::summary(header->second));
  std::string bytes = header->second;
  for (const std::uint32_t space : {kReplaySpace, kReplayMetadataSpace}) {
    TRY(store.read_pages(checkpoint->info.id, space, [&](std::uint64_t page, std::string_view rows) {
      if (page * kSlotsPerPage < summary.size) bytes += rows;
      return Status::ok();
    }));
  }
  return bytes;
}

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

  // Lives that stop anywhere, each with another distance between checkpoints, until one comes to the end.
  Result<Outcome> live_with_stops(std::uint64_t seed) {
    Rng stops(seed);
    const auto folder = TemporaryFolder::create("freshet-test");
    std::int64_t stop_after = 0;
    for (int life = 0; life < 12; ++life) {
      stop_after += 1 + static_cast<std::int64_t>(stops.below(1500));
      config_.checkpoint.every_events = 200 + stops.below(1000);
      Outcome outcome = TRY(live(folder->path(), seed * 100 + static_cast<std::uint64_t>(life), stop_after));
      if (stop_after > kEvents) return outcome;
    }
    return internal_error("no life came to the end");
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
    if (!stop) {  // a stopped one may still be training
      outcome.learner = pipeline->learner_bytes();
      outcome.memory = TRY(stored_memory(*store));
    }
    outcome.snapshot = pipeline->snapshot();
    outcome.ledger = store->ledger();
    outcome.state = TRY(pipeline->state_hash());
    for (const CheckpointInfo& info : store->checkpoints()) {
      const Checkpoint checkpoint = TRY(store->read_checkpoint(info.id, kStateHashBlob));
      outcome.checkpoints[info.seq] = TRY(decode_state_hash(checkpoint.blobs.at(std::string(kStateHashBlob))));
    }
    return outcome;
  }

  // Redoes what is recorded in `folder` from checkpoint `from` (0: event 1) and writes nothing: the state at the end,
  // and how many of the kept checkpoints after it were passed with the same state.
  Result<StateHash> redo(const std::string& folder, std::uint64_t from, std::size_t& same) {
    const std::atomic<bool> stop{false};
    std::atomic<bool> unused{false};
    SystemClock clock;
    LocalMetrics metrics;
    const Schema schema(spec_);
    Config config = config_;
    config.memory.path = folder;
    StoreOptions store_settings = store_options(config);
    store_settings.read_only = true;
    auto store = TRY(Store::open(store_settings, std::nullopt, log_, metrics));
    SyntheticSource source(1, 1, unused);
    ModelSlot slot(clock);
    PipelineOptions options;
    options.redo_only.emplace();
    options.redo_only->from_checkpoint = from;
    options.redo_only->at_rest = [&](Pipeline& pipeline, std::uint64_t seq, std::uint64_t order_index) -> Status {
      for (const CheckpointInfo& info : store->checkpoints()) {
        if (info.seq != seq || info.order_index != order_index || info.id <= from) continue;
        const Checkpoint stored = TRY(store->read_checkpoint(info.id, kStateHashBlob));
        const StateHash hash = TRY(decode_state_hash(stored.blobs.at(std::string(kStateHashBlob))));
        const StateHash now = TRY(pipeline.state_hash());
        EXPECT_EQ(differing_parts(hash, now), std::vector<std::string>()) << "at event " << seq;
        if (hash == now) ++same;
      }
      return Status::ok();
    };
    auto pipeline = TRY(Pipeline::open(config, schema, options, {*store, source, slot, clock, log_, metrics}));
    TRY(pipeline->redo_log(stop));
    return pipeline->state_hash();
  }

  EventSpec spec_;
  Config config_;
  MemoryLog log_;
};

void expect_same(const Outcome& stopped, const Outcome& uninterrupted) {
  EXPECT_TRUE(stopped.learner == uninterrupted.learner) << "the learner's state differs";
  EXPECT_TRUE(stopped.memory == uninterrupted.memory) << "the replay memory differs";
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

std::string weights_name(setting::Weights weights) {
  constexpr std::array<const char*, 3> kNames = {"raw", "ema", "average"};
  return kNames.at(static_cast<std::size_t>(weights));
}

INSTANTIATE_TEST_SUITE_P(All, RecoveryOfWeights,
                         ::testing::Values(setting::Weights::kRaw, setting::Weights::kEma, setting::Weights::kAverage),
                         [](const auto& test) { return weights_name(test.param); });

// The state at each checkpoint of a run with stops, whose checkpoints fall elsewhere, is that of an uninterrupted one.
TEST_F(PipelineRecovery, HasTheSameStateHashWhereverItStoppedAndCheckpointed) {
  config_.checkpoint.keep = 100;
  config_.checkpoint.every_events = 1;  // at each cut: every position is there to compare with
  const auto whole = TemporaryFolder::create("freshet-test");
  const auto uninterrupted = live(whole->path(), 1, kEvents + 1);
  ASSERT_TRUE(uninterrupted.is_ok()) << uninterrupted.status().to_string();
  ASSERT_GT(uninterrupted->checkpoints.size(), 35U);
  EXPECT_EQ(uninterrupted->checkpoints.rbegin()->second, uninterrupted->state) << "what finish() wrote";
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(fmt::format("stops and checkpoints chosen by seed {}", seed));
    Rng stops(seed);
    config_.checkpoint.every_events = 130 + stops.below(700);
    const auto folder = TemporaryFolder::create("freshet-test");
    std::int64_t stop_after = 0;
    Result<Outcome> outcome = unavailable("not run");
    while (stop_after <= kEvents) {
      stop_after += 1 + static_cast<std::int64_t>(stops.below(1500));
      outcome = live(folder->path(), seed * 100 + static_cast<std::uint64_t>(stop_after), stop_after);
      ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    }
    EXPECT_EQ(differing_parts(outcome->state, uninterrupted->state), std::vector<std::string>());
    EXPECT_EQ(outcome->state.whole, uninterrupted->state.whole);
    EXPECT_GT(outcome->checkpoints.size(), 3U);
    for (const auto& [seq, hash] : outcome->checkpoints) {
      const auto same = uninterrupted->checkpoints.find(seq);
      ASSERT_NE(same, uninterrupted->checkpoints.end()) << "no round was cut at " << seq << " without stops";
      EXPECT_EQ(differing_parts(hash, same->second), std::vector<std::string>()) << "at event " << seq;
    }
  }
}

TEST_F(PipelineRecovery, RedoingTheLogAloneComesByEveryCheckpoint) {
  config_.checkpoint.keep = 5;
  config_.memory.keep_events = setting::KeepEvents::kAll;
  const auto folder = TemporaryFolder::create("freshet-test");
  Result<Outcome> outcome = unavailable("not run");
  for (const std::int64_t stop_after : {900L, 2300L, 3100L, kEvents + 1}) {
    outcome = live(folder->path(), static_cast<std::uint64_t>(stop_after), stop_after);
    ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
  }
  const std::uint64_t newest = outcome->checkpoints.size();
  ASSERT_EQ(newest, 5U);
  for (const bool from_start : {true, false}) {
    std::size_t same = 0;
    LocalMetrics metrics;
    StoreOptions options = store_options(config_);
    options.path = folder->path();
    options.read_only = true;
    const std::uint64_t oldest = (*Store::open(options, std::nullopt, log_, metrics))->checkpoints().front().id;
    const auto end = redo(folder->path(), from_start ? 0 : oldest, same);
    ASSERT_TRUE(end.is_ok()) << end.status().to_string();
    EXPECT_EQ(same, from_start ? 5U : 4U);
    EXPECT_EQ(differing_parts(*end, outcome->state), std::vector<std::string>());
  }
}

TEST_F(PipelineRecovery, RestoredBackupGoesOnToTheSameState) {
  const auto whole = TemporaryFolder::create("freshet-test");
  const auto uninterrupted = live(whole->path(), 1, kEvents + 1);
  ASSERT_TRUE(uninterrupted.is_ok());
  const auto folder = TemporaryFolder::create("freshet-test");
  const auto backups = TemporaryFolder::create("freshet-test");
  for (const std::int64_t stop_after : {700L, 2600L}) {  // the second one copies only what is new
    ASSERT_TRUE(live(folder->path(), 2, stop_after).is_ok());
    LocalMetrics metrics;
    StoreOptions options = store_options(config_);
    options.path = folder->path();
    const auto store = Store::open(options, std::nullopt, log_, metrics);
    ASSERT_TRUE(store.is_ok());
    const auto made = (*store)->backup(backups->path(), 0, {});
    ASSERT_TRUE(made.is_ok()) << made.status().to_string();
  }
  for (const std::uint64_t id : {1U, 2U}) {
    const auto restored = TemporaryFolder::create("freshet-test");
    const auto back = restore_backup(backups->path(), id, restored->path());
    ASSERT_TRUE(back.is_ok()) << back.status().to_string();
    const auto outcome = live(restored->path(), 3, kEvents + 1);
    ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    EXPECT_EQ(differing_parts(outcome->state, uninterrupted->state), std::vector<std::string>());
    EXPECT_EQ(outcome->ledger, uninterrupted->ledger);
  }
}

TEST_F(PipelineRecovery, SaysWhichOptionsChangedSinceTheCheckpoint) {
  const auto folder = TemporaryFolder::create("freshet-test");
  ASSERT_TRUE(live(folder->path(), 1, 2000).is_ok());
  ASSERT_TRUE(live(folder->path(), 1, 2500).is_ok());
  EXPECT_FALSE(log_.contains("options_changed"));
  config_.learning.learning_rate = 0.5;
  config_.learning.round.every_events = 50;  // shorter than the rounds that are redone
  const auto outcome = live(folder->path(), 1, 3000);
  ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
  EXPECT_TRUE(log_.contains("learning.learning_rate 0.02 -> 0.5")) << "not said";
  EXPECT_TRUE(log_.contains("learning.round.every_events 128 -> 50")) << "not said";
}

TEST_F(PipelineRecovery, StateHashDependsOnTheSeed) {
  const auto first = TemporaryFolder::create("freshet-test");
  const auto one = live(first->path(), 1, kEvents + 1);
  config_.model.seed = 2;
  const auto second = TemporaryFolder::create("freshet-test");
  const auto other = live(second->path(), 1, kEvents + 1);
  ASSERT_TRUE(one.is_ok() && other.is_ok());
  EXPECT_NE(one->state.whole, other->state.whole);
  EXPECT_EQ(one->state.parts.at("encoder"), other->state.parts.at("encoder"));
}

struct MemoryChoice {
  const char* name;
  setting::Policy policy;
  setting::Sampling sampling;
  std::int64_t ttl_ms = 0;
};
std::ostream& operator<<(std::ostream& out, const MemoryChoice& choice) { return out << choice.name; }

class PipelineRecoveryOfMemory : public PipelineRecovery, public ::testing::WithParamInterface<MemoryChoice> {
 protected:
  PipelineRecoveryOfMemory() {
    config_.memory.policy = GetParam().policy;
    config_.memory.sampling = GetParam().sampling;
    config_.memory.ttl_ms = GetParam().ttl_ms;
    config_.memory.capacity_bytes = 60'000;
    config_.memory.recency_half_life_events = 400;
  }
};

TEST_P(PipelineRecoveryOfMemory, ContinuesToTheBitAfterStopsAnywhere) {
  const auto whole = TemporaryFolder::create("freshet-test");
  const auto uninterrupted = live(whole->path(), 1, kEvents + 1);
  ASSERT_TRUE(uninterrupted.is_ok()) << uninterrupted.status().to_string();
  EXPECT_GT(uninterrupted->snapshot.memory_events, 100U);
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    SCOPED_TRACE(fmt::format("stops and distances of checkpoints chosen by seed {}", seed));
    const auto outcome = live_with_stops(seed);
    ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    expect_same(*outcome, *uninterrupted);
  }
}

// Every policy and every sampler once at least; with and without a time to live.
INSTANTIATE_TEST_SUITE_P(
    PoliciesAndSamplers, PipelineRecoveryOfMemory,
    ::testing::Values(
        MemoryChoice{"reservoir_priority", setting::Policy::kReservoir, setting::Sampling::kPriority},
        MemoryChoice{"reservoir_recency_ttl", setting::Policy::kReservoir, setting::Sampling::kRecency, 600'000'000},
        MemoryChoice{"sliding_window_priority_ttl", setting::Policy::kSlidingWindow, setting::Sampling::kPriority,
                     400'000'000},
        MemoryChoice{"class_balanced_class_balanced", setting::Policy::kClassBalanced,
                     setting::Sampling::kClassBalanced},
        MemoryChoice{"loss_prioritised_uniform", setting::Policy::kLossPrioritised, setting::Sampling::kUniform},
        MemoryChoice{"loss_prioritised_priority_ttl", setting::Policy::kLossPrioritised, setting::Sampling::kPriority,
                     600'000'000},
        MemoryChoice{"time_stratified_recency", setting::Policy::kTimeStratified, setting::Sampling::kRecency},
        MemoryChoice{"time_stratified_priority", setting::Policy::kTimeStratified, setting::Sampling::kPriority},
        MemoryChoice{"unbounded_class_balanced", setting::Policy::kUnbounded, setting::Sampling::kClassBalanced}),
    [](const auto& tested) { return tested.param.name; });

struct SiftingChoice {
  const char* name;
  setting::Sifting kind;
  bool reweigh;
  std::uint64_t loss_age_rounds_max;
};
std::ostream& operator<<(std::ostream& out, const SiftingChoice& choice) { return out << choice.name; }

class PipelineRecoveryOfSifting : public PipelineRecovery, public ::testing::WithParamInterface<SiftingChoice> {
 protected:
  PipelineRecoveryOfSifting() {
    config_.learning.sifting.kind = GetParam().kind;
    config_.learning.sifting.reweigh = GetParam().reweigh;
    config_.learning.sifting.loss_age_rounds_max = GetParam().loss_age_rounds_max;
    config_.learning.sifting.beta = 1.0;
    config_.learning.sifting.loss_history = 200;
    config_.learning.sifting.only_where_it_pays = false;  // the model is tiny
  }
};

TEST_P(PipelineRecoveryOfSifting, ContinuesToTheBitAfterStopsAnywhere) {
  const auto whole = TemporaryFolder::create("freshet-test");
  const auto uninterrupted = live(whole->path(), 1, kEvents + 1);
  ASSERT_TRUE(uninterrupted.is_ok()) << uninterrupted.status().to_string();
  const SiftingTotals& totals = uninterrupted->snapshot.sifting;
  EXPECT_GT(totals.considered, 8000U);
  EXPECT_GT(totals.left_out, totals.considered / 4);
  EXPECT_LT(totals.left_out, totals.considered * 3 / 5);
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(fmt::format("stops and distances of checkpoints chosen by seed {}", seed));
    const auto outcome = live_with_stops(seed);
    ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    expect_same(*outcome, *uninterrupted);
    EXPECT_EQ(differing_parts(outcome->state, uninterrupted->state), std::vector<std::string>());
    EXPECT_EQ(outcome->snapshot.sifting.considered, totals.considered);
    EXPECT_EQ(outcome->snapshot.sifting.left_out, totals.left_out);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, PipelineRecoveryOfSifting,
    ::testing::Values(SiftingChoice{"relative", setting::Sifting::kRelativeProbabilistic, false, 0},
                      SiftingChoice{"reweighed_with_aged_losses", setting::Sifting::kRelativeProbabilistic, true, 6},
                      SiftingChoice{"rho", setting::Sifting::kRho, true, 0}),
    [](const auto& tested) { return tested.param.name; });

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
