// Faults under a running pipeline: what it stands at afterwards is, to the bit, what it would have come to without
// them; where that cannot be, it says so in plain words and the last good model is still served.
#include <fmt/format.h>
#include <sys/stat.h>

#include <fstream>
#include <random>

#include "tests/daemon/dying_disk.h"
#include "tests/daemon/fault_run.h"
#include "tests/daemon/flaky_reads.h"

namespace freshet::test {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Flips a bit in every table file where `bytes` stand; the number of places.
int damage_tables(const std::string& folder, const std::string& bytes) {
  int places = 0;
  for (const auto& file : fs::directory_iterator(folder)) {
    if (file.path().extension() != ".sst") continue;
    std::string all = read_file(file.path());
    const int before = places;
    for (auto at = all.find(bytes); at != std::string::npos; at = all.find(bytes, at + 1)) {
      all[at] = static_cast<char>(all[at] ^ 1);
      ++places;
    }
    if (places != before) std::ofstream(file.path(), std::ios::binary | std::ios::trunc) << all;
  }
  return places;
}

class PipelineFault : public FaultRun {
 protected:
  PipelineFault() : whole_(make_folder()), folder_(make_folder()) {}

  FaultOutcome untroubled() {
    auto outcome = live(whole_.path(), {.batch_seed = 1000});
    EXPECT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    EXPECT_TRUE(outcome.is_ok() && outcome->finished);
    return outcome.is_ok() ? std::move(outcome).value() : FaultOutcome{};
  }
  const std::string& path() const { return folder_.path(); }
  double fallbacks() {
    return metrics
        .counter("freshet_checkpoint_fallbacks_total", "Damaged checkpoints that were dropped for an older one.")
        .value();
  }
  static TemporaryFolder make_folder() {
    auto folder = TemporaryFolder::create("freshet-test");
    if (!folder.is_ok()) abort_with("a test cannot make its temporary folder");
    return std::move(folder).value();
  }

  // Lives that each end when the disk dies at a random change, until one comes to the end of the stream.
  void die_again_and_again(std::uint64_t seed, bool power_cuts, const FaultOutcome& wanted) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    const TemporaryFolder folder = make_folder();
    Rng rng(seed);
    for (int attempt = 0; attempt < 200; ++attempt) {
      std::atomic<bool> stop{false};
      // The first changes are those of opening and recovering; now and then a life is long.
      const std::uint64_t dies_at = 1 + rng.below(rng.below(3) == 0 ? 30 : 250);
      const auto disk = std::make_shared<DyingDisk>(rng.next(), dies_at, [&] { stop = true; });
      const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(disk);
      const auto outcome = live(folder.path(), {.batch_seed = rng.next(), .env = env.get(), .stop = &stop});
      if (!disk->dead()) {
        ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
        ASSERT_TRUE(outcome->finished);
        expect_same(*outcome, wanted);
        return;
      }
      ++deaths_;
      if (power_cuts) disk->lose_unsynced();
    }
    FAIL() << "it never came to the end of the stream";
  }

  int deaths_ = 0;

 private:
  TemporaryFolder whole_;
  TemporaryFolder folder_;
};

std::uint64_t printed_seed() {
  const char* const given = std::getenv("FRESHET_FAULT_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  fmt::print("FRESHET_FAULT_SEED={}\n", seed);
  return seed;
}

TEST_F(PipelineFault, KilledAtAnyWriteToTheDiskItGoesOnToTheBit) {
  const FaultOutcome wanted = untroubled();
  const std::uint64_t seed = printed_seed();
  for (std::uint64_t history = 0; history < 2; ++history) {
    ASSERT_NO_FATAL_FAILURE(die_again_and_again(seed + history, false, wanted));
  }
  EXPECT_GE(deaths_, 3) << "the disk hardly ever died";
}

TEST_F(PipelineFault, AfterPowerCutsThatLoseWhatWasNotSyncedItGoesOnToTheBit) {
  const FaultOutcome wanted = untroubled();
  const std::uint64_t seed = printed_seed();
  for (std::uint64_t history = 0; history < 2; ++history) {
    ASSERT_NO_FATAL_FAILURE(die_again_and_again(seed + history, true, wanted));
  }
  EXPECT_GE(deaths_, 3) << "the disk hardly ever died";
}

TEST_F(PipelineFault, DamagedCheckpointIsRedoneFromTheOneBeforeToTheBit) {
  const FaultOutcome wanted = untroubled();
  std::string newest;
  FaultLife first;
  first.stop_after = 2500;
  first.before_closing = [&](Store& store) {
    ASSERT_TRUE(store.flush().is_ok());
    const auto kept = store.checkpoints();
    ASSERT_GE(kept.size(), 2U);
    const auto model = store.read_checkpoint(kept.back().id, "learner");
    const auto before = store.read_checkpoint(kept[kept.size() - 2].id, "learner");
    ASSERT_TRUE(model.is_ok() && before.is_ok());
    const std::string& bytes = model->blobs.at("learner");
    for (std::size_t at = bytes.size() / 2; newest.empty() && at + 48 < bytes.size(); at += 16) {
      const std::string piece = bytes.substr(at, 48);
      if (before->blobs.at("learner").find(piece) == std::string::npos) newest = piece;
    }
  };
  const auto stopped = live(path(), first);
  ASSERT_TRUE(stopped.is_ok()) << stopped.status().to_string();
  ASSERT_FALSE(newest.empty());
  ASSERT_GE(damage_tables(path(), newest), 1);
  const auto outcome = live(path(), {.batch_seed = 3});
  ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
  EXPECT_EQ(fallbacks(), 1);
  EXPECT_TRUE(log.contains("checkpoint_damaged"));
  EXPECT_TRUE(log.contains("checkpoint_fallback"));
  expect_same(*outcome, wanted);
}

TEST_F(PipelineFault, ReadsThatFailForAMomentCostNoRound) {
  const FaultOutcome wanted = untroubled();
  const auto disk = std::make_shared<FlakyReads>();
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(disk);
  FaultLife life;
  life.env = env.get();
  life.before_event = [&](std::int64_t offset) {
    if (offset % 1000 == 500) disk->fail_next(3);
  };
  const auto outcome = live(path(), life);
  ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
  EXPECT_GE(disk->failed(), 3) << "the disk never failed";
  EXPECT_FALSE(log.contains("round_failed"));
  expect_same(*outcome, wanted);
}

TEST_F(PipelineFault, DamagedEventEndsLearningInPlainWordsAndTheLastGoodModelIsThere) {
  std::string record;
  FaultLife first;
  first.stop_after = 2500;
  first.before_closing = [&](Store& store) {
    ASSERT_TRUE(store.flush().is_ok());
    const std::uint64_t last = store.last_seq();  // after the last checkpoint: the redo needs it
    ASSERT_TRUE(store
                    .scan(last, last,
                          [&](std::uint64_t, std::string_view bytes) {
                            record = std::string(bytes);
                            return Status::ok();
                          })
                    .is_ok());
  };
  ASSERT_TRUE(live(path(), first).is_ok());
  ASSERT_GE(damage_tables(path(), record), 1);
  const auto outcome = live(path(), {.batch_seed = 3});
  EXPECT_EQ(outcome.code(), Code::kDataLoss) << outcome.status().to_string();
  for (const char* words : {"family events", ".sst", "backup"}) {
    EXPECT_NE(outcome.status().message().find(words), std::string::npos) << outcome.status().message();
  }
  ASSERT_NE(slot->current(), nullptr);
  EXPECT_GT(slot->current()->version(), 1U);
}

// Rounds by a timer, a model goes live when the next round is cut, checkpoints by a timer, a time to live: one event
// comes every 10 ms, and the wall clock does what it likes.
class ClockJumps : public PipelineFault {
 protected:
  ClockJumps() {
    config.learning.round.every_events = 100'000;
    config.learning.round.every_ms = 1000;
    config.checkpoint.every_events = 0;
    config.checkpoint.every_ms = 3000;
    config.memory.ttl_ms = 400'000'000;  // 400 events
  }

  FaultOutcome live_with(const std::function<void(std::int64_t, ManualClock&)>& jump) {
    const TemporaryFolder folder = make_folder();
    ManualClock clock(1'700'000'000'000);
    FaultLife life;
    life.batch_size = 1;
    life.clock = &clock;
    life.before_event = [&](std::int64_t offset) {
      clock.advance_ms(10);
      jump(offset, clock);
    };
    checkpoints_ = metrics.counter("freshet_checkpoints_total", "Checkpoints written durably.").value();
    const auto outcome = live(folder.path(), life);
    checkpoints_ = metrics.counter("freshet_checkpoints_total", "Checkpoints written durably.").value() - checkpoints_;
    EXPECT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    return outcome.is_ok() ? *outcome : FaultOutcome{};
  }

  static constexpr std::int64_t kHour = 3'600'000;
  double checkpoints_ = 0;
};

TEST_F(ClockJumps, OfTheWallClockChangeNeitherRoundsNorCheckpointsNorWhatIsRemembered) {
  const FaultOutcome steady = live_with([](std::int64_t, ManualClock&) {});
  const double steady_checkpoints = checkpoints_;
  const FaultOutcome jumping = live_with([](std::int64_t offset, ManualClock& clock) {
    if (offset % 700 == 300) clock.set_wall_ms(clock.wall_ms() + kHour);
    if (offset % 700 == 350) clock.set_wall_ms(clock.wall_ms() - 2 * kHour);
    if (offset % 700 == 400) clock.set_wall_ms(clock.wall_ms() + kHour);
  });
  EXPECT_GE(steady.snapshot.rounds, 45U);
  EXPECT_LE(steady.snapshot.rounds, 52U);
  EXPECT_GT(steady_checkpoints, 10);
  EXPECT_EQ(checkpoints_, steady_checkpoints);
  EXPECT_EQ(jumping.snapshot.memory_events, steady.snapshot.memory_events);
  expect_same(jumping, steady);
}

TEST_F(ClockJumps, AfterAnHourAsleepOneRoundIsDueAndNotAnHourOfThem) {
  const FaultOutcome steady = live_with([](std::int64_t, ManualClock&) {});
  const FaultOutcome slept = live_with([](std::int64_t offset, ManualClock& clock) {
    if (offset == 2500) clock.advance_ms(kHour);
  });
  EXPECT_GE(slept.snapshot.rounds, steady.snapshot.rounds);
  EXPECT_LE(slept.snapshot.rounds, steady.snapshot.rounds + 1);
}

}  // namespace
}  // namespace freshet::test
