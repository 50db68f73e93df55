// What an erasure leaves behind: nothing of the key, whatever happens meanwhile, and the model that it would have left
// without a stop.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/event_record.h"
#include "daemon/cli/temporary_folder.h"
#include "tests/daemon/synthetic_stream.h"

namespace freshet::test {
namespace {

// Copies the store's folder right before and right after each checkpoint that erases: what a kill there leaves.
class KillingClock final : public Clock {
 public:
  void watch(Store& store, std::string copies) {
    store_ = &store;
    copies_ = std::move(copies);
  }
  std::size_t copies() const { return count_; }
  std::string copy_at(std::size_t at) const { return fmt::format("{}/{}", copies_, at); }

  std::int64_t monotonic_ns() const override {
    if (armed_.exchange(false)) copy();
    return real_.monotonic_ns();
  }
  // Asked right before the store writes a checkpoint.
  std::int64_t wall_ms() const override {
    if (store_ != nullptr && !store_->erasures().empty()) {
      copy();
      armed_ = true;
    }
    return real_.wall_ms();
  }

 private:
  void copy() const {
    std::filesystem::copy(store_->path(), copy_at(count_++), std::filesystem::copy_options::recursive);
  }
  SystemClock real_;
  Store* store_ = nullptr;
  std::string copies_;
  mutable std::atomic<bool> armed_{false};
  mutable std::size_t count_ = 0;
};

struct Outcome {
  std::string learner;
  std::map<std::string, std::string, std::less<>> blobs;
  PipelineSnapshot snapshot;
  std::vector<PartitionLedger> ledger;
};

class PipelineErasure : public ::testing::Test {
 protected:
  PipelineErasure() {
    plan_.tombstones = {{1000, 7},  {1281, 8},  // after 1,280 events: exactly between two rounds
                        {1400, 9},  {1401, 7},  {2500, 250}, {3333, 31},
                        {3334, 32}, {3600, 12}, {4999, 13}};  // the last record of the stream
  }

  Result<Outcome> live(const std::string& folder, const Clock& clock, std::uint64_t batch_seed, std::int64_t stop_after,
                       KillingClock* watch = nullptr, const std::string& copies = {}) {
    PipelineLife life(config_, folder, clock);
    TRY(life.open(std::make_unique<SyntheticStream>(plan_, batch_seed, stop_after, life.stop)));
    if (watch != nullptr) watch->watch(life.store(), copies);
    TRY(life.pipeline().run(life.stop));
    Outcome outcome;
    if (!life.stop) {
      TRY(life.pipeline().finish());
      outcome.learner = life.pipeline().learner_bytes();
      outcome.blobs = TRY(life.store().latest_checkpoint())->blobs;
    }
    outcome.snapshot = life.pipeline().snapshot();
    outcome.ledger = life.store().ledger();
    expect_nothing_left(life.store(), life.stop);
    return outcome;
  }

  // No event of a key from before its tombstone, once the cut that follows has come.
  void expect_nothing_left(const Store& store, bool stopped) {
    const Schema schema(synthetic_spec());
    const auto ledger = store.ledger();
    const std::int64_t read = ledger.empty() ? 0 : ledger[0].next_offset;
    const auto waiting = store.erasures();
    if (!stopped) {
      EXPECT_TRUE(waiting.empty());
    }
    ASSERT_TRUE(store
                    .scan(0, UINT64_MAX,
                          [&](std::uint64_t seq, std::string_view record) {
                            std::int64_t offset = 0;
                            std::memcpy(&offset, record.data() + 16, sizeof offset);
                            for (const auto& [at, key] : plan_.tombstones) {
                              const bool done = std::none_of(waiting.begin(), waiting.end(), [&](const auto& erasure) {
                                return erasure.key_hash == synthetic_key(key);
                              });
                              if (!done || read <= at) continue;
                              EXPECT_FALSE(offset < at && record_key_hash(record) == synthetic_key(key))
                                  << "event " << seq << " of key " << key << " is still there";
                            }
                            return Status::ok();
                          })
                    .is_ok());
  }

  static void expect_same(const Outcome& one, const Outcome& other) {
    EXPECT_TRUE(one.learner == other.learner) << "the learner's state differs";
    EXPECT_EQ(one.ledger, other.ledger);
    EXPECT_EQ(one.snapshot.rounds, other.snapshot.rounds);
    EXPECT_EQ(one.snapshot.memory_events, other.snapshot.memory_events);
    for (const std::string name : {"encoder", "replay_memory", "held_out_forgetting", "held_out_gating",
                                   "held_out_tuning", "evaluation", "forgetting", "run"}) {
      EXPECT_TRUE(one.blobs.at(name) == other.blobs.at(name)) << name << " differs";
    }
  }

  Config config_ = synthetic_config();
  StreamPlan plan_;
  SystemClock clock_;
};

TEST_F(PipelineErasure, ATombstoneErasesTheSameInBatchesOfAnySize) {
  const auto first = TemporaryFolder::create("freshet-test");
  const auto second = TemporaryFolder::create("freshet-test");
  const auto one = live(first->path(), clock_, 1, plan_.offsets + 1);
  const auto other = live(second->path(), clock_, 2, plan_.offsets + 1);
  ASSERT_TRUE(one.is_ok()) << one.status().to_string();
  ASSERT_TRUE(other.is_ok()) << other.status().to_string();
  expect_same(*other, *one);
  EXPECT_EQ(one->ledger[0].skipped[static_cast<std::size_t>(SkipReason::kTombstone)], plan_.tombstones.size());

  plan_.tombstones.clear();
  const auto third = TemporaryFolder::create("freshet-test");
  const auto without = live(third->path(), clock_, 1, plan_.offsets + 1);
  ASSERT_TRUE(without.is_ok()) << without.status().to_string();
  EXPECT_FALSE(without->learner == one->learner) << "the erasures changed nothing";
}

TEST_F(PipelineErasure, KilledBeforeOrAfterTheCheckpointThatErasesItEndsAlike) {
  const auto whole = TemporaryFolder::create("freshet-test");
  const auto copies = TemporaryFolder::create("freshet-test");
  KillingClock clock;
  const auto uninterrupted = live(whole->path(), clock, 1, plan_.offsets + 1, &clock, copies->path());
  ASSERT_TRUE(uninterrupted.is_ok()) << uninterrupted.status().to_string();
  ASSERT_GE(clock.copies(), 10U) << "before and after the erasing checkpoints";
  for (std::size_t at = 0; at < clock.copies(); ++at) {
    SCOPED_TRACE(fmt::format("killed at {}", at));
    const auto resumed = live(clock.copy_at(at), clock_, 77 + at, plan_.offsets + 1);
    ASSERT_TRUE(resumed.is_ok()) << resumed.status().to_string();
    expect_same(*resumed, *uninterrupted);
  }
}

TEST_F(PipelineErasure, StopsAnywhereChangeNothing) {
  const auto whole = TemporaryFolder::create("freshet-test");
  const auto uninterrupted = live(whole->path(), clock_, 1, plan_.offsets + 1);
  ASSERT_TRUE(uninterrupted.is_ok()) << uninterrupted.status().to_string();
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(fmt::format("stops chosen by seed {}", seed));
    Rng stops(seed);
    const auto folder = TemporaryFolder::create("freshet-test");
    std::int64_t stop_after = 0;
    Result<Outcome> outcome = unavailable("not run");
    for (int life = 0; life < 16 && stop_after <= plan_.offsets; ++life) {
      stop_after += 1 + static_cast<std::int64_t>(stops.below(1000));
      outcome = live(folder->path(), clock_, seed * 100 + static_cast<std::uint64_t>(life), stop_after);
      ASSERT_TRUE(outcome.is_ok()) << outcome.status().to_string();
    }
    ASSERT_GT(stop_after, plan_.offsets);
    expect_same(*outcome, *uninterrupted);
  }
}

TEST_F(PipelineErasure, LeavesNoByteOfTheEventsOnTheDisk) {
  plan_.tombstones.clear();
  const auto folder = TemporaryFolder::create("freshet-test");
  const std::uint64_t key = synthetic_key(42);
  const auto on_disk = [&] {
    for (const auto& file : std::filesystem::recursive_directory_iterator(folder->path())) {
      if (!file.is_regular_file()) continue;
      std::ostringstream content;
      content << std::ifstream(file.path(), std::ios::binary).rdbuf();
      if (content.str().find(std::string_view(reinterpret_cast<const char*>(&key), sizeof key)) != std::string::npos) {
        return true;
      }
    }
    return false;
  };
  PipelineLife life(config_, folder->path(), clock_);
  const Status opened = life.open(std::make_unique<SyntheticStream>(plan_, 1, plan_.offsets + 1, life.stop));
  ASSERT_TRUE(opened.is_ok()) << opened.to_string();
  ASSERT_TRUE(life.pipeline().run(life.stop).is_ok());
  ASSERT_TRUE(life.store().flush().is_ok());
  ASSERT_TRUE(on_disk());
  const auto report = life.pipeline().erase_now({&key, 1});
  ASSERT_TRUE(report.is_ok()) << report.status().to_string();
  EXPECT_TRUE(report->durable);
  EXPECT_EQ(report->keys, 1U);
  EXPECT_GE(report->seqs.size(), 1U);
  EXPECT_GE(report->learnt_by.size(), 1U);
  const Status purged = life.store().purge(report->seqs);
  ASSERT_TRUE(purged.is_ok()) << purged.to_string();
  EXPECT_FALSE(on_disk());
  EXPECT_NE(to_json(*report).find("\"durable\": true"), std::string::npos) << to_json(*report);
}

TEST_F(PipelineErasure, AKeyThatIsNotThereCostsNoCheckpoint) {
  plan_.tombstones = {{1000, 100'000}, {1500, 100'001}};
  config_.checkpoint.every_events = 1'000'000;
  const auto folder = TemporaryFolder::create("freshet-test");
  PipelineLife life(config_, folder->path(), clock_);
  ASSERT_TRUE(life.open(std::make_unique<SyntheticStream>(plan_, 1, 4000, life.stop)).is_ok());
  ASSERT_TRUE(life.pipeline().run(life.stop).is_ok());
  EXPECT_TRUE(life.store().checkpoints().empty());
  EXPECT_EQ(life.store().erasures().size(), 2U) << "they go with the next checkpoint";
  std::size_t entries = 0;
  const auto order = life.store().order_since(0);
  for (const auto& [index, entry] : *order) entries += entry.kind == OrderKind::kErase ? 1U : 0U;
  EXPECT_EQ(entries, 2U) << "each takes effect once";
}

}  // namespace
}  // namespace freshet::test
