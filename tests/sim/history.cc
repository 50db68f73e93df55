#include "tests/sim/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/log.h"
#include "core/metrics.h"
#include "tests/sim/disk.h"
#include "tests/sim/plain_model.h"

namespace freshet::sim {
namespace {

constexpr std::uint64_t kRetriesMax = 24;
constexpr int kCrashesInARow = 4;

class History final : public ToyRun::Observer {
 public:
  History(std::uint64_t seed, std::string path)
      : rng_(seed), rules_(make_rules(seed)), path_(std::move(path)), disk_(seed ^ 21), model_(rules_) {}

  Outcome run() {
    say("rules: {} of {} with ttl {} ms, {} partition(s), rounds of {}{}{}, checkpoint every {}, {} kept, {} steps",
        rules_.memory.policy, rules_.memory.capacity_events, rules_.memory.ttl_ms, rules_.partitions,
        rules_.round_events, rules_.timer_cuts ? " or sooner" : "", rules_.when_ready ? ", live when ready" : "",
        rules_.checkpoint_every, rules_.checkpoints_kept, rules_.steps);
    if (!restart()) return std::move(outcome_);
    while (model_.events() < rules_.warm_up) {
      if (!finish_step(ingest())) return std::move(outcome_);
    }
    for (std::uint64_t step = 0; step < rules_.steps; ++step) {
      plan_fault();
      if (!finish_step(random_step())) return std::move(outcome_);
    }
    wind_down();
    outcome_.tally.failed_checkpoints += run_ == nullptr ? 0 : run_->checkpoints_failed();
    outcome_.tally.events = model_.events();
    close();
    return std::move(outcome_);
  }

  void appending(const AppendBatch& batch, const std::vector<Row>& rows) override { model_.appending(batch, rows); }
  void appended() override { model_.appended(); }
  void checkpointing(const CheckpointWrite& write) override { model_.checkpointing(write); }
  void checkpointed(std::uint64_t id) override {
    ++outcome_.tally.checkpoints;
    say("checkpoint {} at event {}", id, run_->fingerprint().next_seq - 1);
    model_.checkpointed(id);
  }
  bool try_again(const Status& status) override {
    disk_.drain();
    if (disk_.frozen()) return false;
    ++outcome_.tally.refused_writes;
    if (retries_ == 0) say("refused: {}", status.message());
    if (++retries_ > kRetriesMax) return false;
    if (full_for_ != 0 && --full_for_ == 0) disk_.make_room();
    return status.code() == Code::kResourceExhausted || status.code() == Code::kUnavailable;
  }

 private:
  static Rules make_rules(std::uint64_t seed) {
    Rng rng(seed ^ 31);
    Rules rules;
    rules.seed = rng.next();
    constexpr std::array<const char*, 5> kPolicies = {"reservoir", "sliding_window", "class_balanced",
                                                      "loss_prioritised", "time_stratified"};
    rules.memory.policy = kPolicies[rng.below(kPolicies.size())];
    rules.memory.seed = rng.next();
    const bool wide = rng.below(16) == 0;  // more slots than a page has
    rules.memory.capacity_events = wide ? 600 + rng.below(600) : 4 + rng.below(80);
    if (rng.below(4) == 0) rules.memory.ttl_ms = static_cast<std::int64_t>(10'000 + rng.below(90'000));
    if (wide) {
      rules.memory.ttl_ms *= 20;
      rules.warm_up = 500 + rng.below(700);
    }
    rules.partitions = 1 + static_cast<std::int32_t>(rng.below(3));
    rules.round_events = wide ? 64 + rng.below(64) : 4 + rng.below(28);
    rules.checkpoint_every = rules.round_events * (1 + rng.below(4));
    rules.replay_rows = rng.below(2) == 0 ? rules.round_events : 1 + rng.below(40);
    rules.keys = 4 + rng.below(30);
    rules.held_out_share = 0.1 * static_cast<double>(rng.below(4));
    rules.held_out_per_slice = 1 + static_cast<std::uint32_t>(rng.below(8));
    rules.timer_cuts = rng.below(3) == 0;
    rules.when_ready = rng.below(3) == 0;
    rules.checkpoints_kept = 1 + static_cast<std::uint32_t>(rng.below(3));
    rules.sync = rng.below(8) == 0 ? SyncPolicy::kEveryAppend : SyncPolicy::kCheckpoints;
    rules.write_buffer_bytes = std::uint64_t{1} << (13 + rng.below(6));
    rules.steps = 8 + rng.below(30);
    return rules;
  }

  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    outcome_.steps.push_back(fmt::format(format, std::forward<Args>(args)...));
  }
  bool fail(std::string text) {
    if (outcome_.wrong.empty()) outcome_.wrong = std::move(text);
    return false;
  }
  bool holds(const std::string& text) { return text.empty() || fail(text); }

  void plan_fault() {
    retries_ = 0;
    switch (rng_.below(20)) {
      case 0: {
        const bool power = rng_.below(2) == 0;
        const std::uint64_t operations = 1 + rng_.below(power ? 12 : 24);
        say("planned: {} at write operation {}", power ? "power cut" : "kill", operations);
        disk_.plan_crash(power ? CrashKind::kPowerCut : CrashKind::kKill, operations);
        break;
      }
      case 1: {
        const std::uint64_t operations = 1 + rng_.below(10);
        say("planned: an error at write operation {}", operations);
        disk_.plan_error(operations);
        break;
      }
      case 2:
        if (rng_.below(2) != 0) break;
        full_for_ = 1 + rng_.below(6);
        say("the disk is full, for {} refused writes", full_for_);
        disk_.fill();
        break;
      default:
        break;
    }
  }

  Status random_step() {
    const std::uint64_t roll = rng_.below(100);
    if (roll < 62) return ingest();
    if (roll < 70) {
      say("train");
      return run_->train();
    }
    if (roll < 78) return early();
    if (roll < 83) {
      const std::uint64_t key = 1 + rng_.below(rules_.keys);
      say("erasure of key {} asked for", key);
      model_.request_erasure(key);
      return Status::ok();
    }
    if (roll < 87) {
      say("flush");
      return patiently([&] { return store_->flush(); });
    }
    if (roll < 91) {
      say("sync");
      return synced();
    }
    if (roll < 93) {
      say("stop");
      Status status = synced();
      disk_.drain();
      if (!disk_.frozen()) stopped_ = true;
      return status;
    }
    if (roll < 96) return run_->train();
    disk_.drain();
    const bool power = rng_.below(2) == 0;
    say("{} between two operations", power ? "power cut" : "kill");
    disk_.crash(power ? CrashKind::kPowerCut : CrashKind::kKill);
    return Status::ok();
  }

  template <typename Work>
  Status patiently(const Work& work) {
    for (;;) {
      Status status = work();
      if (status.is_ok() || !try_again(status)) return status;
    }
  }

  Status synced() {
    TRY(patiently([&] { return store_->sync(); }));
    model_.synced();
    return Status::ok();
  }

  Status early() {
    if (rules_.when_ready && run_->pending() && rng_.below(2) == 0) {
      say("go live");
      return run_->go_live();
    }
    if (rules_.timer_cuts && run_->gathered() > 0) return cut();
    return Status::ok();
  }

  Status cut() {
    const auto erased = model_.due_erasures();
    const bool due = !erased.empty() || run_->since_checkpoint() >= rules_.checkpoint_every;
    say("cut{}{}", erased.empty() ? "" : fmt::format(", {} key(s) erased", erased.size()), due ? ", checkpoint" : "");
    ++outcome_.tally.rounds;
    outcome_.tally.erasures += erased.size();
    return run_->cut(erased, due);
  }

  Status ingest() {
    if (run_->gathered() >= rules_.round_events) TRY(cut());
    const std::uint64_t room = rules_.round_events - run_->gathered();
    const std::uint64_t count = 1 + rng_.below(std::min<std::uint64_t>(room, 48));
    std::vector<Event> events;
    std::vector<SkippedRecord> skipped;
    const auto partition = static_cast<std::int32_t>(rng_.below(static_cast<std::uint64_t>(rules_.partitions)));
    std::int64_t offset = model_.next_offset(partition);
    for (std::uint64_t taken = 0; taken < count; ++offset) {
      const Position at{partition, offset};
      const Fate fate = fate_of(rules_, at);
      if (fate == Fate::kEvent) {
        events.push_back(event_at(rules_, at));
        ++taken;
      } else if (fate == Fate::kSkipped) {
        skipped.push_back({at, reason_of(at)});
      }
    }
    say("append {} events of partition {} up to offset {}", count, partition, offset - 1);
    return run_->ingest(events, skipped);
  }

  // After each step: background work has ended; a crash is followed by a restart.
  bool finish_step(const Status& status) {
    disk_.drain();
    if (disk_.frozen() || stopped_) return restart();
    if (!status.is_ok()) return fail(status.to_string());
    if (rng_.below(16) == 0) return holds(model_.check_store(*store_, /*tidy=*/false));
    return true;
  }

  void close() {
    if (run_ != nullptr) outcome_.tally.failed_checkpoints += run_->checkpoints_failed();
    run_.reset();
    store_.reset();
  }

  // Opens the store as a new process does, perhaps with crashes on the way, and redoes the log.
  bool restart() {
    for (int attempt = 0;; ++attempt) {
      const bool power = disk_.frozen() && disk_.crash_kind() == CrashKind::kPowerCut;
      lost_ = lost_ || power;
      if (disk_.frozen()) ++(power ? outcome_.tally.power_cuts : outcome_.tally.kills);
      if (disk_.frozen() && attempt > 0) ++outcome_.tally.crashes_in_recovery;
      close();
      disk_.restart();
      stopped_ = false;
      full_for_ = retries_ = 0;
      ++outcome_.tally.restarts;
      if (attempt < kCrashesInARow && rng_.below(8) == 0) {
        disk_.plan_crash(rng_.below(2) == 0 ? CrashKind::kPowerCut : CrashKind::kKill, 1 + rng_.below(40));
      }
      StoreOptions options;
      options.path = path_;
      options.env = disk_.env();
      options.record_cache_bytes = 16 << 10;
      options.write_buffer_bytes = rules_.write_buffer_bytes;
      options.file_opening_threads = 1;  // to start a thread takes asan longer than to open what a history has
      options.checkpoints_kept = rules_.checkpoints_kept;
      options.sync = rules_.sync;
      auto opened = Store::open(options, std::nullopt, log_, metrics_);
      disk_.drain();
      if (disk_.frozen()) continue;
      if (!opened.is_ok()) return fail("the store does not open: " + opened.status().to_string());
      store_ = std::move(opened).value();
      say("restart {}: events up to {}, {} order entries, {} checkpoint(s)", outcome_.tally.restarts,
          store_->last_seq(), store_->next_order_index(), store_->checkpoints().size());
      if (!holds(model_.reopened(*store_, std::exchange(lost_, false)))) return false;
      Status status = resume();
      disk_.drain();
      if (disk_.frozen()) continue;
      disk_.cancel_plans();
      if (!status.is_ok()) return fail("the log cannot be redone: " + status.to_string());
      return holds(model_.check_run(*run_)) && holds(model_.check_store(*store_, /*tidy=*/false));
    }
  }

  Status resume() {
    const auto checkpoint = TRY(store_->latest_checkpoint());
    if (std::string text = model_.check_checkpoint(checkpoint); !text.empty()) return internal_error(text);
    run_ = TRY(ToyRun::open(rules_, *store_));
    run_->observe(this);
    TRY(run_->redo());
    return Status::ok();
  }

  // No more faults: in the end nothing is left that nobody needs, and a last restart comes to the same state.
  void wind_down() {
    disk_.cancel_plans();
    full_for_ = 0;
    const auto round = [&](bool checkpoint) {
      while (run_->gathered() < rules_.round_events) {
        if (!finish_quiet(ingest())) return false;
      }
      return finish_quiet(run_->cut(model_.due_erasures(), checkpoint));
    };
    for (std::uint32_t i = 0; i < rules_.checkpoints_kept + 2; ++i) {
      if (!round(/*checkpoint=*/true)) return;
    }
    const std::uint64_t until = model_.events() + 2 * rules_.round_events + rules_.memory.capacity_events / 2 + 8;
    while (model_.events() < until) {
      if (!round(/*checkpoint=*/false)) return;
    }
    if (!holds(model_.check_run(*run_)) || !holds(model_.check_store(*store_, /*tidy=*/true))) return;
    disk_.crash(CrashKind::kKill);
    restart();
  }
  bool finish_quiet(const Status& status) {
    disk_.drain();
    return status.is_ok() || fail("without faults: " + status.to_string());
  }

  Rng rng_;
  const Rules rules_;
  const std::string path_;
  NullLog log_;
  LocalMetrics metrics_;
  Disk disk_;
  PlainModel model_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ToyRun> run_;
  Outcome outcome_;
  std::uint64_t retries_ = 0;
  std::uint64_t full_for_ = 0;
  bool stopped_ = false;
  bool lost_ = false;  // a power cut since the model last saw the store
};

}  // namespace

void Tally::add(const Tally& other) {
  events += other.events;
  rounds += other.rounds;
  checkpoints += other.checkpoints;
  erasures += other.erasures;
  kills += other.kills;
  power_cuts += other.power_cuts;
  refused_writes += other.refused_writes;
  restarts += other.restarts;
  failed_checkpoints += other.failed_checkpoints;
  crashes_in_recovery += other.crashes_in_recovery;
}

std::string Tally::text() const {
  return fmt::format(
      "{} events, {} rounds, {} checkpoints ({} failed), {} erasures; {} kills, {} power cuts, {} of them during "
      "recovery; {} restarts, {} refused writes",
      events, rounds, checkpoints, failed_checkpoints, erasures, kills, power_cuts, crashes_in_recovery, restarts,
      refused_writes);
}

Outcome run_history(std::uint64_t seed, const std::string& path) { return History(seed, path).run(); }

}  // namespace freshet::sim
