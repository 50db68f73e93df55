// Strategies that store values with the events of the memory, copy weights or plan rounds, through the whole pipeline:
// what is stored is what the model said, and a run that was stopped anywhere, with keys erased meanwhile, ends as one
// that was not.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <map>

#include "daemon/cli/temporary_folder.h"
#include "daemon/pipeline/round_values.h"
#include "tests/daemon/synthetic_stream.h"

namespace freshet {
namespace {

using test::PipelineLife;
using test::StreamPlan;
using test::SyntheticStream;

constexpr std::int64_t kEvents = 4000;

struct Outcome {
  std::string learner;
  StateHash state;
  std::uint64_t memory_events = 0;
};

class PipelineStrategies : public ::testing::Test {
 protected:
  PipelineStrategies() : config_(test::synthetic_config()) { plan_.offsets = kEvents; }

  Result<Outcome> live(const std::string& folder, std::uint64_t batch_seed, std::int64_t stop_after) {
    PipelineLife life(config_, folder, clock_);
    TRY(life.open(std::make_unique<SyntheticStream>(plan_, batch_seed, stop_after, life.stop)));
    TRY(life.pipeline().run(life.stop));
    if (!life.stop) TRY(life.pipeline().finish());
    Outcome outcome;
    outcome.state = TRY(life.pipeline().state_hash());
    outcome.learner = life.pipeline().learner_bytes();
    outcome.memory_events = life.pipeline().snapshot().memory_events;
    return outcome;
  }

  // Lives stopped at places chosen by `seed`, to the end.
  Result<Outcome> live_in_pieces(const std::string& folder, std::uint64_t seed) {
    Rng stops(seed);
    std::int64_t stop_after = 0;
    Result<Outcome> outcome = unavailable("not run");
    while (stop_after <= kEvents) {
      stop_after += 1 + static_cast<std::int64_t>(stops.below(900));
      config_.checkpoint.every_events = 150 + stops.below(900);
      outcome = live(folder, seed * 100 + static_cast<std::uint64_t>(stop_after), stop_after);
      TRY(outcome.status());
    }
    return outcome;
  }

  // The values that the newest checkpoint keeps in the only column, by event.
  static Result<std::map<std::uint64_t, float>> stored_values(Store& store, ReplayOptions options) {
    options.metadata.columns = {{"logits", 1}};
    auto memory = TRY(ReplayMemory::create(options));
    const auto checkpoint = TRY(store.latest_checkpoint());
    if (!checkpoint) return not_found("no checkpoint");
    TRY(memory->load(checkpoint->blobs.at(std::string(kReplayBlob)),
                     [&](std::uint32_t space, const ReplayMemory::PageReader& reader) {
                       return store.read_pages(checkpoint->info.id, space, reader);
                     }));
    std::map<std::uint64_t, float> values;
    for (std::uint64_t slot = 0; slot < memory->size(); ++slot) {
      values[memory->slots().seq(slot)] = memory->metadata().values(0, slot)[0];
    }
    return values;
  }

  StreamPlan plan_;
  Config config_;
  SystemClock clock_;
};

struct Choice {
  const char* name;
  setting::Strategy strategy;
  setting::Policy policy = setting::Policy::kReservoir;
  setting::Sampling sampling = setting::Sampling::kUniform;
  std::int64_t ttl_ms = 0;
};
std::ostream& operator<<(std::ostream& out, const Choice& choice) { return out << choice.name; }

class RecoveryOfStrategies : public PipelineStrategies, public ::testing::WithParamInterface<Choice> {
 protected:
  RecoveryOfStrategies() {
    config_.learning.strategy = GetParam().strategy;
    config_.memory.policy = GetParam().policy;
    config_.memory.sampling = GetParam().sampling;
    config_.memory.ttl_ms = GetParam().ttl_ms;
    for (std::int64_t offset = 500; offset < kEvents; offset += 600) plan_.tombstones[offset] = offset % plan_.keys;
  }
};

TEST_P(RecoveryOfStrategies, ContinuesToTheBitAfterStopsAnywhere) {
  const auto whole = TemporaryFolder::create("freshet-test");
  const auto uninterrupted = live(whole->path(), 1, kEvents + 1);
  ASSERT_TRUE(uninterrupted.is_ok()) << uninterrupted.status().to_string();
  EXPECT_GT(uninterrupted->memory_events, 100U);
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE(fmt::format("stops and distances of checkpoints chosen by seed {}", seed));
    const auto folder = TemporaryFolder::create("freshet-test");
    const auto outcome = live_in_pieces(folder->path(), seed);
    ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    EXPECT_TRUE(outcome->learner == uninterrupted->learner) << "the learner's state differs";
    EXPECT_EQ(differing_parts(outcome->state, uninterrupted->state), std::vector<std::string>());
    EXPECT_EQ(outcome->state.whole, uninterrupted->state.whole);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RecoveryOfStrategies,
    ::testing::Values(Choice{"der_pp_reservoir", setting::Strategy::kDerPp},
                      Choice{"der_pp_sliding_window_priority_ttl", setting::Strategy::kDerPp,
                             setting::Policy::kSlidingWindow, setting::Sampling::kPriority, 400'000'000},
                      Choice{"der_loss_prioritised", setting::Strategy::kDer, setting::Policy::kLossPrioritised},
                      Choice{"pod_er_class_balanced", setting::Strategy::kPodEr, setting::Policy::kClassBalanced},
                      Choice{"er_ace_reservoir", setting::Strategy::kErAce}, Choice{"lwf", setting::Strategy::kLwf},
                      Choice{"ewc", setting::Strategy::kEwc}, Choice{"cls_er", setting::Strategy::kClsEr},
                      Choice{"mir", setting::Strategy::kMir},
                      Choice{"super_er_sliding_window", setting::Strategy::kSuperEr, setting::Policy::kSlidingWindow},
                      Choice{"gdumb", setting::Strategy::kGdumb, setting::Policy::kClassBalanced},
                      Choice{"joint_unbounded", setting::Strategy::kJoint, setting::Policy::kUnbounded},
                      Choice{"offline_er_ttl", setting::Strategy::kOfflineEr, setting::Policy::kReservoir,
                             setting::Sampling::kUniform, 400'000'000},
                      Choice{"repeated_distillation", setting::Strategy::kRepeatedDistillation}),
    [](const auto& tested) { return tested.param.name; });

// A model that goes live as soon as it is ready does so at places that depend on speed; what its round stored is
// written there. The recorded places give the same state.
TEST_F(PipelineStrategies, StoredValuesAreRedoneWhereTheyWereWritten) {
  config_.learning.strategy = setting::Strategy::kDerPp;
  config_.learning.round.go_live = setting::GoLive::kWhenReady;
  config_.checkpoint.keep = 100;
  config_.memory.keep_events = setting::KeepEvents::kAll;
  const auto folder = TemporaryFolder::create("freshet-test");
  const auto outcome = live_in_pieces(folder->path(), 5);
  ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
  Config config = config_;
  config.memory.path = folder->path();
  StoreOptions store_settings = store_options(config);
  store_settings.read_only = true;
  MemoryLog log;
  LocalMetrics metrics;
  auto store = Store::open(store_settings, std::nullopt, log, metrics);
  ASSERT_TRUE(store.is_ok()) << store.status().to_string();
  std::atomic<bool> stop{false};
  SyntheticStream source(plan_, 1, 1, stop);
  ModelSlot slot(clock_);
  PipelineOptions options;
  options.redo_only.emplace();
  auto pipeline =
      Pipeline::open(config, Schema(test::synthetic_spec()), options, {**store, source, slot, clock_, log, metrics});
  ASSERT_TRUE(pipeline.is_ok()) << pipeline.status().to_string();
  ASSERT_TRUE((*pipeline)->redo_log(stop).is_ok());
  const auto again = (*pipeline)->state_hash();
  ASSERT_TRUE(again.is_ok());
  EXPECT_EQ(differing_parts(*again, outcome->state), std::vector<std::string>());
}

// Without replay DER++ steps as fine-tuning does, so that another learner, with a round a step, tells what the model
// said of each event when it was fresh.
TEST_F(PipelineStrategies, StoredLogitsAreReadBackExactlyAsTheModelSaidThem) {
  config_.model.task = Task::kRegression;
  config_.learning.strategy = setting::Strategy::kDerPp;
  config_.learning.replay_ratio = 0;
  config_.learning.batch_size = 256;
  config_.learning.optimizer = setting::Optimizer::kSgd;
  config_.evaluation.held_out_share = config_.evaluation.gating_share = config_.evaluation.tuning_share = 0;
  config_.evaluation.slices_by = setting::SliceBy::kNone;
  config_.memory.keep_events = setting::KeepEvents::kAll;
  for (const bool in_pieces : {false, true}) {
    SCOPED_TRACE(in_pieces ? "stopped" : "in one go");
    const auto folder = TemporaryFolder::create("freshet-test");
    const auto outcome = in_pieces ? live_in_pieces(folder->path(), 3) : live(folder->path(), 1, kEvents + 1);
    ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();

    const EventSpec spec = test::synthetic_spec();
    const Schema schema(spec);
    const EncodedLayout layout = FeatureEncoder::create(spec).value()->layout();
    const EventRecordCodec codec(schema, layout);
    Config config = config_;
    config.memory.path = folder->path();
    MemoryLog log;
    LocalMetrics metrics;
    auto store = Store::open(store_options(config), std::nullopt, log, metrics);
    ASSERT_TRUE(store.is_ok()) << store.status().to_string();
    config.learning.strategy = setting::Strategy::kFinetune;
    const auto learner_settings = learner_options(config, spec);
    ASSERT_TRUE(learner_settings.is_ok());
    auto twin = Learner::create(*learner_settings, layout, Device{}).value();
    const std::uint64_t rows = config.learning.round.every_events;
    std::map<std::uint64_t, float> said;
    for (std::uint64_t begin = 1; begin <= static_cast<std::uint64_t>(kEvents); begin += rows) {
      const std::uint64_t end = std::min<std::uint64_t>(begin + rows - 1, kEvents);
      EncodedBatch batch(layout.dense(), layout.categorical(), end + 1 - begin);
      const Status read = (*store)->scan(begin, end, [&](std::uint64_t, std::string_view record) {
        batch.resize(batch.size() + 1);
        return codec.decode_encoded(record, batch, batch.size() - 1);
      });
      ASSERT_TRUE(read.is_ok()) << read.to_string();
      Predictions predictions;
      ASSERT_TRUE(twin->evaluate(batch, predictions).is_ok());
      for (std::size_t i = 0; i < batch.size(); ++i) said[begin + i] = predictions.values[i];
      ASSERT_EQ(twin->train_round({&batch, nullptr, 1}).value().steps, 1U);
    }
    const auto stored = stored_values(**store, replay_options(config, codec.record_size(), 1));
    ASSERT_TRUE(stored.is_ok()) << stored.status().to_string();
    ASSERT_EQ(stored->size(), 700U);
    for (const auto& [seq, value] : *stored) ASSERT_EQ(value, said.at(seq)) << "event " << seq;
  }
}

TEST_F(PipelineStrategies, AnotherStrategyIsRefusedInWords) {
  const auto folder = TemporaryFolder::create("freshet-test");
  config_.learning.strategy = setting::Strategy::kDerPp;
  ASSERT_TRUE(live(folder->path(), 1, 2000).is_ok());
  for (const auto other : {setting::Strategy::kEr, setting::Strategy::kDer, setting::Strategy::kPodEr}) {
    config_.learning.strategy = other;
    const auto refused = live(folder->path(), 1, 3000);
    EXPECT_EQ(refused.code(), Code::kFailedPrecondition);
    EXPECT_NE(refused.status().message().find("learning.strategy"), std::string::npos) << refused.status().to_string();
  }
  config_.learning.strategy = setting::Strategy::kDerPp;
  EXPECT_TRUE(live(folder->path(), 1, 3000).is_ok());
}

TEST(RoundValues, GoToTheEventsThatTheMemoryStillHolds) {
  ReplayOptions options{.policy = "sliding_window", .capacity_events = 8};
  options.metadata.columns = {{"logits", 2}, {"hidden0", 1}};
  auto memory = ReplayMemory::create(options).value();
  memory->follow_from(1);
  std::vector<std::uint64_t> released;
  for (std::uint64_t seq = 1; seq <= 8; ++seq) memory->insert({.seq = seq}, released);
  EncodedBatch fresh(1, 0, 6);
  fresh.resize(6);
  for (std::size_t i = 0; i < 6; ++i) fresh.seqs[i] = 3 + i;
  // 1, 2 and 3 make room for 9, 10 and 11; 6 is erased, so that another event moves into its slot.
  for (std::uint64_t seq = 9; seq <= 11; ++seq) memory->insert({.seq = seq}, released);
  memory->erase(std::vector<std::uint64_t>{6}, released);
  RoundValues values;
  values.to_store = {{30, 31, 40, 41, 50, 51, 60, 61, kNeverStored, 71, 80, 81}, {3, 4, 5, 6, 7, 8}};
  write_fresh(*memory, fresh, 9, values);
  ReplaySample sample;
  Rng rng(1);
  memory->sample(memory->size(), rng, sample);
  ASSERT_EQ(sample.seqs.size(), 7U);
  RoundValues back;
  read_stored(*memory, sample, 3, back);
  ASSERT_EQ(back.to_store[0].size(), 6U);
  ASSERT_EQ(back.to_store[1].size(), 3U);
  for (std::size_t i = 0; i < sample.seqs.size(); ++i) {
    const std::uint64_t seq = sample.seqs[i];
    const bool trained = seq == 4 || seq == 5 || seq == 8;
    SCOPED_TRACE(seq);
    EXPECT_EQ(is_stored({&back.stored[0][2 * i], 2}), trained);
    EXPECT_EQ(is_stored({&back.stored[1][i], 1}), trained || seq == 7);
    if (!trained) continue;
    EXPECT_EQ(back.stored[0][2 * i], static_cast<float>(10 * seq));
    EXPECT_EQ(back.stored[0][2 * i + 1], static_cast<float>(10 * seq + 1));
    EXPECT_EQ(back.stored[1][i], static_cast<float>(seq));
  }
  EXPECT_FALSE(memory->slot_of(8).has_value()) << "followed until it was written";
  EXPECT_TRUE(memory->slot_of(9).has_value());
}

}  // namespace
}  // namespace freshet
