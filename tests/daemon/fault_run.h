// What the tests of faults in a pipeline share: a stream of numbered events that can be read again from any offset, and
// one life of a pipeline over it, on a disk and with a clock of the test's choosing.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "core/hash.h"
#include "core/rng.h"
#include "daemon/cli/temporary_folder.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/room_options.h"

namespace freshet::test {

// The same event for the same offset, in batches of changing sizes.
class NumberedSource final : public EventSource {
 public:
  NumberedSource(std::uint64_t batch_seed, std::int64_t events, std::function<void(std::int64_t)> before_event)
      : batch_sizes_(batch_seed), events_(events), before_event_(std::move(before_event)) {}

  Status start(const NextOffsets& next_offsets) override {
    const auto found = next_offsets.find(0);
    next_ = found == next_offsets.end() ? 0 : found->second;
    return Status::ok();
  }
  Result<SourceState> next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds) override {
    batch.clear();
    const std::size_t wanted = batch_size_ > 0 ? batch_size_ : 1 + batch_sizes_.below(300);
    while (batch.size() < std::min(wanted, events_max) && next_ < events_) add_event(batch);
    return next_ >= events_ ? SourceState::kEnd : SourceState::kEvents;
  }
  void committed(const NextOffsets&) override {}
  Status acknowledge_dead_letters(std::uint64_t, std::chrono::milliseconds) override { return Status::ok(); }
  void stop() override {}
  SourceProgress progress() const override { return {}; }
  void use_batches_of(std::size_t events) { batch_size_ = events; }

 private:
  void add_event(EventBatch& batch) {
    if (before_event_) before_event_(next_);
    Rng rng(20130101 + static_cast<std::uint64_t>(next_));
    const std::size_t row = batch.begin_row();
    const double x = rng.uniform() * 2 - 1;
    const std::uint64_t shop = rng.below(20);
    batch.numbers(0)[row] = static_cast<float>(x);
    batch.categories(0)[row] = hash_category(field_seed("shop"), static_cast<std::int64_t>(shop));
    batch.labels[row] = rng.uniform() < 0.2 + 0.3 * (x > 0 ? 1 : 0) + 0.4 * (shop % 2 == 0 ? 1 : 0) ? 1.0F : 0.0F;
    batch.positions[row] = {0, next_};
    batch.time_ms[row] = 1'356'998'400'000 + next_ * 1'000'000;
    batch.key_hashes[row] = hash_category(0, next_);
    batch.value_hashes[row] = rng.next();
    batch.commit_row();
    ++next_;
  }

  Rng batch_sizes_;
  std::int64_t events_;
  std::function<void(std::int64_t)> before_event_;
  std::size_t batch_size_ = 0;
  std::int64_t next_ = 0;
};

struct FaultLife {
  std::uint64_t batch_seed = 1;
  std::size_t batch_size = 0;                                          // 0: of changing sizes
  std::int64_t stop_after = std::numeric_limits<std::int64_t>::max();  // events
  rocksdb::Env* env = nullptr;
  const Clock* clock = nullptr;  // null: the system's
  std::atomic<bool>* stop = nullptr;
  std::function<void(std::int64_t)> before_event;
  std::function<void(Store&)> before_closing;
};

struct FaultOutcome {
  bool finished = false;
  StateHash state;  // of a finished one
  PipelineSnapshot snapshot;
  std::vector<PartitionLedger> ledger;
};

class FaultRun : public ::testing::Test {
 protected:
  static constexpr std::int64_t kEvents = 5000;

  FaultRun() {
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
    spec.features = {number, shop, mean};
    spec.label.classes = 2;
    config.model.hidden = {8};
    config.model.embedding_rows = 256;
    config.learning.round.every_events = 128;
    config.learning.round.every_ms = 0;
    config.learning.round.go_live = setting::GoLive::kNextCut;
    config.memory.capacity_events = 700;  // smaller than the stream: events are replaced and payloads deleted
    config.checkpoint.every_ms = 0;
    config.checkpoint.every_events = 400;
    config.evaluation.held_out_share = 0.1;
    config.evaluation.slices_by = setting::SliceBy::kMonth;
    config.evaluation.forgetting_every_rounds = 3;
  }

  // To its end, or until something raises the stop flag.
  Result<FaultOutcome> live(const std::string& folder, const FaultLife& life) {
    std::atomic<bool> own_stop{false};
    std::atomic<bool>& stop = life.stop != nullptr ? *life.stop : own_stop;
    const SystemClock system_clock;
    const Clock& clock = life.clock != nullptr ? *life.clock : system_clock;
    Config with_path = config;
    with_path.memory.path = folder;
    StoreOptions options = store_options(with_path);
    options.env = life.env;
    options.write_buffer_bytes = 64 << 10;  // tables are written and merged all the time
    options.record_cache_bytes = 0;
    const Schema schema(spec);
    auto store = TRY(Store::open(options, store_identity(schema), log, metrics));
    NumberedSource source(life.batch_seed, kEvents, [&](std::int64_t offset) {
      if (offset >= life.stop_after) stop = true;
      if (life.before_event) life.before_event(offset);
    });
    source.use_batches_of(life.batch_size);
    slot = std::make_unique<ModelSlot>(clock);
    auto pipeline = TRY(Pipeline::open(with_path, schema, {}, {*store, source, *slot, clock, log, metrics}));
    TRY(pipeline->run(stop));
    FaultOutcome outcome;
    if (!stop) {
      TRY(pipeline->finish());
      outcome.finished = !stop;
    }
    if (outcome.finished) outcome.state = TRY(pipeline->state_hash());
    outcome.snapshot = pipeline->snapshot();
    outcome.ledger = store->ledger();
    pipeline.reset();
    if (life.before_closing) life.before_closing(*store);
    return outcome;
  }

  static void expect_same(const FaultOutcome& faulty, const FaultOutcome& untroubled) {
    std::string parts;
    for (const std::string& part : differing_parts(faulty.state, untroubled.state)) parts += part + " ";
    EXPECT_EQ(faulty.state.whole, untroubled.state.whole) << "these differ: " << parts;
    EXPECT_EQ(faulty.ledger, untroubled.ledger);
    EXPECT_EQ(faulty.snapshot.rounds, untroubled.snapshot.rounds);
    EXPECT_EQ(faulty.snapshot.swaps, untroubled.snapshot.swaps);
    EXPECT_EQ(find_metric(faulty.snapshot.evaluation.stream, "log_loss"),
              find_metric(untroubled.snapshot.evaluation.stream, "log_loss"));
  }

  EventSpec spec;
  Config config;
  MemoryLog log;
  LocalMetrics metrics;
  std::unique_ptr<ModelSlot> slot;
};

}  // namespace freshet::test
