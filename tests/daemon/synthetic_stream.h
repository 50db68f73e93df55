// A stream made from offsets, for tests of the pipeline: events of few keys, tombstones at some offsets, labels that
// can be scrambled; and one life of a pipeline on it.
//
// Threads: one owner.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/hash.h"
#include "core/rng.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/room_options.h"
#include "stream/event_source.h"

namespace freshet::test {

struct StreamPlan {
  std::int64_t offsets = 5000;
  std::int64_t keys = 300;
  std::uint64_t seed = 20130101;
  std::map<std::int64_t, std::int64_t> tombstones{};           // offset -> key
  std::function<bool(std::uint64_t key_hash)> scrambled = {};  // whose labels are turned round
  std::int64_t turned_from = -1;                               // offset from which on all labels are; -1: none
  std::int64_t noisy_from = -1;                                // offsets of which some labels are, by chance
  std::int64_t noisy_to = -1;
  double noise = 0.3;  // so many of them
};

inline std::uint64_t synthetic_key(std::int64_t key) { return hash_category(0, key); }

class SyntheticStream final : public EventSource {
 public:
  SyntheticStream(const StreamPlan& plan, std::uint64_t batch_seed, std::int64_t stop_after, std::atomic<bool>& stop)
      : plan_(plan), batch_sizes_(batch_seed), stop_after_(stop_after), stop_(stop) {}

  Status start(const NextOffsets& next_offsets) override {
    const auto found = next_offsets.find(0);
    next_ = found == next_offsets.end() ? 0 : found->second;
    return Status::ok();
  }

  Result<SourceState> next(EventBatch& batch, std::size_t events_max, std::chrono::milliseconds) override {
    batch.clear();
    const std::size_t wanted = std::min<std::size_t>(1 + batch_sizes_.below(300), events_max);
    while (batch.size() < wanted && next_ < plan_.offsets) add(batch);
    if (next_ >= stop_after_) stop_ = true;
    return next_ >= plan_.offsets ? SourceState::kEnd : SourceState::kEvents;
  }

  void committed(const NextOffsets&) override {}
  Status acknowledge_dead_letters(std::uint64_t, std::chrono::milliseconds) override { return Status::ok(); }
  void stop() override {}
  SourceProgress progress() const override { return {}; }

 private:
  void add(EventBatch& batch) {
    const std::int64_t offset = next_++;
    if (const auto tombstone = plan_.tombstones.find(offset); tombstone != plan_.tombstones.end()) {
      batch.skipped.push_back({{0, offset},
                               SkipReason::kTombstone,
                               synthetic_key(tombstone->second),
                               static_cast<std::uint32_t>(batch.size())});
      return;
    }
    Rng rng(plan_.seed + static_cast<std::uint64_t>(offset));
    const std::size_t row = batch.begin_row();
    const double x = rng.uniform() * 2 - 1;
    const std::uint64_t shop = rng.below(20);
    batch.numbers(0)[row] = static_cast<float>(x);
    batch.categories(0)[row] = hash_category(field_seed("shop"), static_cast<std::int64_t>(shop));
    const bool yes = rng.uniform() < 0.2 + 0.3 * (x > 0 ? 1 : 0) + 0.4 * (shop % 2 == 0 ? 1 : 0);
    batch.key_hashes[row] = synthetic_key(offset % plan_.keys);
    const bool scrambled = plan_.scrambled && plan_.scrambled(batch.key_hashes[row]);
    const bool noisy = offset >= plan_.noisy_from && offset < plan_.noisy_to;
    const bool turned = (plan_.turned_from >= 0 && offset >= plan_.turned_from) !=
                        (noisy && Rng(~plan_.seed * static_cast<std::uint64_t>(offset)).uniform() < plan_.noise);
    batch.labels[row] = yes != (scrambled != turned) ? 1.0F : 0.0F;
    batch.positions[row] = {0, offset};
    batch.time_ms[row] = 1'356'998'400'000 + offset * 1'000'000;
    batch.value_hashes[row] = rng.next();
    batch.commit_row();
  }

  StreamPlan plan_;
  Rng batch_sizes_;
  std::int64_t stop_after_;
  std::atomic<bool>& stop_;
  std::int64_t next_ = 0;
};

inline EventSpec synthetic_spec() {
  EventSpec spec;
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
  return spec;
}

inline Config synthetic_config() {
  Config config;
  config.model.hidden = {8};
  config.model.embedding_rows = 256;
  config.learning.round.every_events = 128;
  config.learning.round.every_ms = 0;
  config.learning.round.go_live = setting::GoLive::kNextCut;
  config.memory.capacity_events = 700;  // smaller than the stream: events are replaced and payloads deleted
  config.checkpoint.every_ms = 0;
  config.checkpoint.every_events = 400;
  config.evaluation.held_out_share = 0.1;
  config.evaluation.gating_share = 0.05;
  config.evaluation.tuning_share = 0.05;
  config.evaluation.held_out_per_set = 64;
  config.evaluation.slices_by = setting::SliceBy::kMonth;
  config.evaluation.forgetting_every_rounds = 3;
  return config;
}

// One life of a pipeline on a store: open, run, look.
class PipelineLife {
 public:
  PipelineLife(const Config& config, const std::string& folder, const Clock& clock,
               const EventSpec& spec = synthetic_spec())
      : config_(config), clock_(clock), schema_(spec) {
    config_.memory.path = folder;
  }
  Status open(std::unique_ptr<EventSource> source, const PipelineOptions& options = {}) {
    store_ = TRY(Store::open(store_options(config_), store_identity(schema_), log, metrics_));
    source_ = std::move(source);
    pipeline_ = TRY(Pipeline::open(config_, schema_, options, {*store_, *source_, slot_, clock_, log, metrics_}));
    return Status::ok();
  }
  Store& store() { return *store_; }
  Pipeline& pipeline() { return *pipeline_; }

  MemoryLog log;
  std::atomic<bool> stop{false};

 private:
  Config config_;
  const Clock& clock_;
  const Schema schema_;
  LocalMetrics metrics_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<EventSource> source_;
  ModelSlot slot_{clock_};
  std::unique_ptr<Pipeline> pipeline_;
};

struct LivedOnce {
  PipelineSnapshot snapshot;
  StateHash state;
  std::vector<std::string> log;
};

// One life on the stream: to its end and finished there, or to a stop after `stop_after` offsets.
inline Result<LivedOnce> live_once(const Config& config, const StreamPlan& plan, const std::string& folder,
                                   const Clock& clock, std::uint64_t batch_seed, std::int64_t stop_after,
                                   const PipelineOptions& options = {}, const EventSpec& spec = synthetic_spec()) {
  PipelineLife run(config, folder, clock, spec);
  TRY(run.open(std::make_unique<SyntheticStream>(plan, batch_seed, stop_after, run.stop), options));
  TRY(run.pipeline().run(run.stop));
  if (stop_after > plan.offsets) TRY(run.pipeline().finish());
  return LivedOnce{run.pipeline().snapshot(), TRY(run.pipeline().state_hash()), run.log.lines()};
}

// The state that redoing the log of a folder alone comes to.
inline Result<StateHash> redo_alone(const Config& config, const StreamPlan& plan, const std::string& folder,
                                    const Clock& clock) {
  PipelineLife redo(config, folder, clock);
  PipelineOptions options;
  options.redo_only.emplace();
  TRY(redo.open(std::make_unique<SyntheticStream>(plan, 1, 0, redo.stop), options));
  TRY(redo.pipeline().redo_log(redo.stop));
  return redo.pipeline().state_hash();
}

}  // namespace freshet::test
