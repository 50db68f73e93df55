#include "tests/storage/fault_child.h"

#include <fmt/format.h>
#include <rocksdb/env.h>

#include <algorithm>
#include <functional>
#include <set>

#include "core/event_record.h"
#include "core/rng.h"
#include "tests/storage/store_fixture.h"

namespace freshet::testing {
namespace {

constexpr std::uint64_t kAppendEvents = 300;
constexpr int kSteps = 46;
constexpr int kTriesMax = 24;  // a fault that passes is over by then
constexpr int kTriesOfTheDead = 2;
constexpr int kRefusedMax = 6;  // steps in a row, then a life on a dead disk ends

std::string blob_of(std::uint64_t seq) { return std::string(40'000, static_cast<char>('a' + seq % 26)); }
std::string page_of(std::uint64_t seq) { return std::string(2'000, static_cast<char>('A' + seq % 26)); }

class Life {
 public:
  Life(const std::string& path, const FaultPlan& plan)
      : folder_(path),
        plan_(plan),
        disk_(std::make_shared<FaultyDisk>(plan)),
        env_(std::make_unique<FaultyEnv>(disk_)),
        rng_(plan.seed) {
    options_ = options_for(path + "/store");
    options_.write_buffer_bytes = 64 << 10;
    options_.record_cache_bytes = 0;
  }

  int run() {
    options_.env = env_.get();
    for (int step = 0; step < kSteps && wrong_.empty() && refused_ < kRefusedMax; ++step) live_through(step);
    opened_.store.reset();
    const std::uint64_t operations = disk_->operations();
    if (disk_->heals() && plan_.kind == FaultyKind::kChanges && refused_ > 0) wrong("it did not recover");
    options_.env = nullptr;
    if (wrong_.empty()) compare();
    fmt::print("{}\n", operations);
    if (wrong_.empty()) return 0;
    fmt::print(stderr, "{}\n", wrong_);
    return 7;
  }

 private:
  void wrong(std::string what) {
    if (wrong_.empty()) wrong_ = std::move(what);
  }

  // Tries until it succeeds, as the pipeline does. A restart in between is what it does after other failures.
  bool attempt(const char* what, const std::function<Status()>& work) {
    for (int tries = 0; tries < (disk_->heals() ? kTriesMax : kTriesOfTheDead); ++tries) {
      if (opened_.store == nullptr) {
        if (!open_into(opened_, options_).is_ok()) continue;
        settle();
      }
      const Status status = work();
      if (status.is_ok()) {
        refused_ = 0;
        return true;
      }
      last_ = fmt::format("{}: {}", what, status.to_string());
      const bool passes = status.code() == Code::kResourceExhausted || status.code() == Code::kUnavailable;
      if (!passes && !disk_->failed()) wrong(last_);
      if (!passes) opened_.store.reset();
    }
    ++refused_;
    return false;
  }

  // After opening: a write that was refused may be there wholly, nothing else may differ.
  void settle() {
    const std::uint64_t found = opened_.store->last_seq();
    if (!allowed_.contains(found)) wrong(fmt::format("after {} it ends at {}", last_, found));
    last_seq_ = found;
    allowed_ = {found};
  }

  void live_through(int step) {
    append();
    if (step % 4 == 1) checkpoint(false);
    if (step == 17 || step == 33) rollback();
    if (step == 21 || step == 37) erase();
    if (step == 12 || step == 30) attempt("flush", [&] { return opened_.store->flush(); });
    if (step % 5 == 2) attempt("sync", [&] { return opened_.store->sync(); });
    if (step == 25) attempt("compact", [&] { return opened_.store->compact({}).status(); });
    if (step == 27) attempt("backup", [&] { return opened_.store->backup(folder_ + "/backup", 1, {}).status(); });
    if (step % 3 == 0) {
      attempt("scan", [&] {
        return opened_.store->scan(last_seq_ - std::min<std::uint64_t>(last_seq_, 50), last_seq_,
                                   [](std::uint64_t, std::string_view) { return Status::ok(); });
      });
    }
    if (step == 20 || step == 35) opened_.store.reset();
  }

  void append() {
    attempt("append", [&] {
      Batch batch(last_seq_ + 1);
      batch.events(0, static_cast<std::int64_t>(last_seq_), kAppendEvents).cut(last_seq_ / kAppendEvents + 1);
      allowed_ = {last_seq_, last_seq_ + kAppendEvents};
      Status status = opened_.store->append(batch.view());
      if (status.is_ok()) {
        last_seq_ += kAppendEvents;
        allowed_ = {last_seq_};
      }
      return status;
    });
  }

  void checkpoint(bool erasing) {
    attempt("checkpoint", [&] {
      CheckpointWrite write;
      write.seq = last_seq_;
      write.order_index = opened_.store->next_order_index();
      write.order_keep_from = write.order_index;
      std::vector<std::uint64_t> erased;
      if (erasing) {
        const auto pending = opened_.store->erasures();
        auto found = opened_.store->find(pending);
        if (!found.is_ok()) return found.status();
        erased = std::move(found).value();
        write.erasures_through = pending.empty() ? 0 : pending.back().id;
        write.erased = erased;
      }
      // Mostly a long dead stretch of the log, now and then single events.
      const std::uint64_t end = last_seq_ - std::min<std::uint64_t>(last_seq_, 500);
      std::vector<SeqRange> garbage;
      if (end > dead_to_ + 2 && rng_.below(4) != 0) {
        garbage = {{dead_to_ + 1, end}};
      } else {
        for (std::uint64_t seq = dead_to_ + 1; seq < end && garbage.size() < 50; seq += 3)
          garbage.push_back({seq, seq});
      }
      const std::string blob = blob_of(last_seq_);
      const std::string page = page_of(last_seq_);
      const CheckpointBlob blobs[] = {{"weights", blob}};
      const CheckpointPage pages[] = {{1, 0, page}, {1, last_seq_ % 7, page}};
      write.blobs = blobs;
      write.pages = std::span(pages).first(last_seq_ % 7 == 0 ? 1 : 2);
      write.garbage = garbage;
      for (const std::uint64_t seq : erased) gone_.insert(seq);
      for (const SeqRange& range : garbage) {
        for (std::uint64_t seq = range.first; seq <= range.last; ++seq) gone_.insert(seq);
        dead_to_ = std::max(dead_to_, range.last);
      }
      const auto written = opened_.store->checkpoint(write);
      if (written.is_ok()) checkpoint_ = *written;
      if (written.is_ok() && erasing) return opened_.store->purge(erased);
      return written.status();
    });
  }

  void rollback() {
    attempt("rollback", [&] {
      const auto kept = opened_.store->checkpoints();
      if (kept.size() < 2) return Status::ok();
      const CheckpointInfo target = kept[kept.size() - 2];
      allowed_ = {last_seq_, target.seq};
      Status status = opened_.store->rollback(target.id);
      if (status.is_ok()) settle();
      if (status.is_ok()) checkpoint_ = target.id;
      if (!status.is_ok()) {
        last_ = status.to_string();
        checkpoint_ = std::min(checkpoint_, target.id);
        opened_.store.reset();  // rolling back is a command of its own; whoever failed starts again
      }
      return status;
    });
  }

  void erase() {
    const std::uint64_t key = record_key_hash(record_of(5, {0, 4}));
    attempt("asking for an erasure", [&] { return opened_.store->request_erasures({&key, 1}); });
    checkpoint(true);
  }

  // On a healthy disk, what was acknowledged is there.
  void compare() {
    if (const Status status = open_into(opened_, options_); !status.is_ok()) return wrong(status.to_string());
    settle();
    Store& store = *opened_.store;
    std::set<std::uint64_t> stored;
    const Status scanned = store.scan(0, UINT64_MAX, [&](std::uint64_t seq, std::string_view bytes) {
      stored.insert(seq);
      if (bytes != record_of(seq, {0, static_cast<std::int64_t>(seq) - 1}))
        wrong(fmt::format("event {} is wrong", seq));
      return Status::ok();
    });
    if (!scanned.is_ok()) wrong(scanned.to_string());
    for (std::uint64_t seq = 1; seq <= last_seq_; ++seq) {
      if (!stored.contains(seq) && !gone_.contains(seq)) return wrong(fmt::format("event {} is lost", seq));
    }
    if (!stored.empty() && *stored.rbegin() > last_seq_) wrong("there are events after the last one");
    if (store.next_order_index() != last_seq_ / kAppendEvents) wrong("order and events do not agree");
    const auto ledger = store.ledger();
    if (last_seq_ > 0 && (ledger.size() != 1 || ledger[0].learnt != last_seq_ || ledger[0].missing != 0)) {
      wrong("ledger and events do not agree");
    }
    const auto found = store.latest_checkpoint();
    if (!found.is_ok()) return wrong(found.status().to_string());
    if (!found->has_value()) {
      if (checkpoint_ != 0) wrong("the checkpoint is lost");
      return;
    }
    const Checkpoint& checkpoint = **found;
    if (checkpoint.info.id < checkpoint_ || checkpoint.info.seq > last_seq_) wrong("the newest checkpoint is lost");
    if (checkpoint.blobs.at("weights") != blob_of(checkpoint.info.seq)) wrong("a checkpoint holds another's bytes");
    bool page_is_right = false;
    const Status pages = store.read_pages(checkpoint.info.id, 1, [&](std::uint64_t index, std::string_view bytes) {
      if (index == 0) page_is_right = bytes == page_of(checkpoint.info.seq);
      return Status::ok();
    });
    if (!pages.is_ok() || !page_is_right) wrong("a checkpoint's page is not as it was written");
  }

  std::string folder_;
  FaultPlan plan_;
  std::shared_ptr<FaultyDisk> disk_;
  std::unique_ptr<rocksdb::Env> env_;
  Rng rng_;
  StoreOptions options_;
  Opened opened_;
  std::uint64_t last_seq_ = 0;
  std::set<std::uint64_t> allowed_ = {0};  // where the log may end
  std::set<std::uint64_t> gone_;           // events that may have been deleted
  std::uint64_t dead_to_ = 0;
  std::uint64_t checkpoint_ = 0;
  int refused_ = 0;
  std::string last_;
  std::string wrong_;
};

}  // namespace

std::vector<std::string> fault_child_arguments(const std::string& path, const FaultPlan& plan) {
  return {kFaultChildFlag,
          path,
          std::to_string(plan.at),
          std::to_string(static_cast<int>(plan.faults)),
          std::to_string(static_cast<int>(plan.kind)),
          plan.full ? "1" : "0",
          std::to_string(plan.seed)};
}

int run_fault_child(const std::vector<std::string>& arguments) {
  if (arguments.size() != 7) return 2;
  FaultPlan plan;
  plan.at = std::stoull(arguments[2]);
  plan.faults = static_cast<Faults>(std::stoi(arguments[3]));
  plan.kind = static_cast<FaultyKind>(std::stoi(arguments[4]));
  plan.full = arguments[5] == "1";
  plan.seed = std::stoull(arguments[6]);
  return Life(arguments[1], plan).run();
}

}  // namespace freshet::testing
