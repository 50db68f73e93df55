// The gate at work: what it turns away stays away, also after a restart, and a redo judges the same.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <thread>

#include "daemon/cli/temporary_folder.h"
#include "tests/daemon/synthetic_stream.h"

namespace freshet::test {
namespace {

constexpr std::int64_t kOffsets = 12'000;

// Waits in the middle for who may want something.
class PatientStream final : public EventSource {
 public:
  PatientStream(const StreamPlan& plan, std::uint64_t batch_seed, std::int64_t until, std::atomic<bool>& stop)
      : inner_(plan, batch_seed, kOffsets + 1, stop), until_(until) {}
  Status start(const NextOffsets& next_offsets) override { return inner_.start(next_offsets); }
  Result<SourceState> next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds wait) override {
    batch.clear();
    if (given_ >= until_ && !go_on) {
      std::this_thread::yield();
      return SourceState::kEvents;
    }
    const auto state = TRY(inner_.next(batch, events_max, wait));
    given_ += static_cast<std::int64_t>(batch.size());
    return state;
  }
  void committed(const NextOffsets&) override {}
  Status acknowledge_dead_letters(std::uint64_t, std::chrono::milliseconds) override { return Status::ok(); }
  void stop() override {}
  SourceProgress progress() const override { return {}; }

  std::atomic<bool> go_on{false};

 private:
  SyntheticStream inner_;
  std::int64_t until_;
  std::int64_t given_ = 0;
};

// Once there is something to go back to.
Result<PublishingAnswer> ask_patiently(Pipeline& pipeline, PublishingAction action) {
  while (pipeline.snapshot().served_version < 10) std::this_thread::yield();
  return pipeline.control_publishing({action, 0}, std::chrono::seconds(60));
}

class GateInPipeline : public ::testing::Test {
 protected:
  GateInPipeline() {
    plan_.offsets = kOffsets;
    config_ = synthetic_config();
    config_.evaluation.gating_share = 0.1;
    config_.evaluation.held_out_per_set = 512;
  }

  // Steps so long that the weights jump about: most candidates are worse than what is served.
  void train_badly() {
    config_.learning.optimizer = setting::Optimizer::kSgd;
    config_.learning.learning_rate = 8;
  }
  // From the middle on, for a third of the stream.
  void spoil_labels() {
    plan_.noisy_from = 6000;
    plan_.noisy_to = 10'000;
    plan_.noise = 0.45;
    spec_.features.pop_back();  // means of labels would show the noise to the model: it would not have to learn it
    config_.learning.learning_rate = 0.1;
    config_.serving.gate.slice_margin = 0.003;  // so simple a world that the noise costs little
    config_.serving.gate.rows = 512;            // so few events are kept back here that all of them are looked at
  }

  using Life = LivedOnce;

  Result<Life> live(const std::string& folder, std::uint64_t batch_seed, std::int64_t stop_after = kOffsets + 1) {
    return live_once(config_, plan_, folder, clock_, batch_seed, stop_after, {}, spec_);
  }
  Result<Life> live() {
    const auto folder = TemporaryFolder::create("freshet-test");
    return live(folder->path(), 1);
  }
  static std::uint64_t verdicts(const Life& life, GateReason reason) {
    return life.snapshot.gate.verdicts.at(static_cast<std::size_t>(reason));
  }
  static double loss(const Life& life) { return find_metric(life.snapshot.evaluation.stream, "log_loss").value(); }

  // Stopped anywhere and started again, with checkpoints elsewhere.
  void expect_the_same_with_stops() {
    const auto whole = live();
    ASSERT_TRUE(whole.is_ok()) << whole.status().to_string();
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      SCOPED_TRACE(fmt::format("stops chosen by seed {}", seed));
      Rng stops(seed);
      const auto folder = TemporaryFolder::create("freshet-test");
      Result<Life> life = unavailable("not run");
      for (std::int64_t stop_after = 0; stop_after <= kOffsets;) {
        stop_after += 500 + static_cast<std::int64_t>(stops.below(2500));
        config_.checkpoint.every_events = 130 + stops.below(700);
        life = live(folder->path(), seed * 100 + static_cast<std::uint64_t>(stop_after), stop_after);
        ASSERT_TRUE(life.is_ok()) << life.status().to_string();
      }
      EXPECT_EQ(differing_parts(life->state, whole->state), std::vector<std::string>());
      EXPECT_EQ(life->snapshot.gate.verdicts, whole->snapshot.gate.verdicts);
      EXPECT_EQ(life->snapshot.served_version, whole->snapshot.served_version);
    }
  }

  SystemClock clock_;
  StreamPlan plan_;
  Config config_;
  EventSpec spec_ = synthetic_spec();
};

TEST_F(GateInPipeline, GoodCandidatesPass) {
  const auto life = live();
  ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  EXPECT_GT(verdicts(*life, GateReason::kPassed), life->snapshot.rounds * 9 / 10);
  EXPECT_EQ(life->snapshot.gate.rollbacks, 0U);
}

TEST_F(GateInPipeline, BadCandidatesAreNotServed) {
  train_badly();
  const auto guarded = live();
  config_.serving.gate.enabled = false;
  const auto open = live();
  ASSERT_TRUE(guarded.is_ok() && open.is_ok());
  EXPECT_GT(verdicts(*guarded, GateReason::kWorse), 0U);
  EXPECT_LT(guarded->snapshot.swaps, guarded->snapshot.rounds);
  EXPECT_EQ(open->snapshot.swaps, open->snapshot.rounds);
  EXPECT_LT(loss(*guarded), 0.8 * loss(*open));
}

TEST_F(GateInPipeline, WhatWasTurnedAwayStaysAwayAfterAStop) {
  train_badly();
  expect_the_same_with_stops();
}

TEST_F(GateInPipeline, SpoiltLabelsAreHeldOffAndARedoHoldsThemOffAgain) {
  spoil_labels();
  const auto life = live();
  ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  EXPECT_GT(verdicts(*life, GateReason::kSliceWorse), 5U);
  EXPECT_FALSE(life->snapshot.gate.veto_stands) << "the labels are good again";
  expect_the_same_with_stops();
}

// An operator's wishes, asked for from another thread while the stream is learnt; they stand in the log, and hold in
// another life.
TEST_F(GateInPipeline, AnOperatorPausesPinsPromotesAndRollsBack) {
  config_.memory.keep_events = setting::KeepEvents::kAll;
  const auto folder = TemporaryFolder::create("freshet-test");
  const auto ask = [](Pipeline& pipeline, PublishingAction action, std::uint64_t version = 0) {
    return pipeline.control_publishing({action, version}, std::chrono::seconds(60));
  };
  StateHash ended;
  std::uint64_t pinned = 0;
  {
    PipelineLife run(config_, folder->path(), clock_);
    // It hands out the middle of the stream over and over until it is told to go on.
    auto source = std::make_unique<PatientStream>(plan_, 1, kOffsets / 2, run.stop);
    std::atomic<bool>& go_on = source->go_on;
    ASSERT_TRUE(run.open(std::move(source)).is_ok());
    std::thread operating([&] {
      const auto paused = ask_patiently(run.pipeline(), PublishingAction::kPause);
      ASSERT_TRUE(paused.is_ok()) << paused.status().to_string();
      EXPECT_TRUE(paused->paused);
      const auto back = ask(run.pipeline(), PublishingAction::kRollBack);
      ASSERT_TRUE(back.is_ok()) << back.status().to_string();
      EXPECT_LT(back->served_version, paused->served_version);
      EXPECT_EQ(ask(run.pipeline(), PublishingAction::kPin, 7777).status().code(), Code::kNotFound);
      const auto promoted = ask(run.pipeline(), PublishingAction::kPromote);
      ASSERT_TRUE(promoted.is_ok()) << promoted.status().to_string();
      EXPECT_GE(promoted->served_version, paused->served_version);
      const auto pin = ask(run.pipeline(), PublishingAction::kPin);
      ASSERT_TRUE(pin.is_ok()) << pin.status().to_string();
      pinned = pin->pinned_version;
      EXPECT_EQ(pinned, promoted->served_version);
      go_on = true;
    });
    const Status status = run.pipeline().run(run.stop);
    operating.join();
    ASSERT_TRUE(status.is_ok()) << status.to_string();
    ASSERT_TRUE(run.pipeline().settle().is_ok());
    const auto state = run.pipeline().state_hash();
    ASSERT_TRUE(state.is_ok());
    ended = *state;
  }
  const auto again = live(folder->path(), 1, 0);
  ASSERT_TRUE(again.is_ok()) << again.status().to_string();
  EXPECT_EQ(again->snapshot.served_version, pinned) << "pinned, until somebody says otherwise";
  EXPECT_EQ(differing_parts(again->state, ended), std::vector<std::string>());
  EXPECT_GT(verdicts(*again, GateReason::kPinned), 10U);
}

// A store from a time without the gate, or with it switched on and off, is read.
TEST_F(GateInPipeline, MayBeSwitchedOnAndOff) {
  train_badly();
  const auto folder = TemporaryFolder::create("freshet-test");
  for (std::int64_t stop_after = 1500; stop_after < kOffsets; stop_after += 1500) {
    config_.serving.gate.enabled = !config_.serving.gate.enabled;
    const auto life = live(folder->path(), static_cast<std::uint64_t>(stop_after), stop_after);
    ASSERT_TRUE(life.is_ok()) << life.status().to_string();
  }
}

}  // namespace
}  // namespace freshet::test
