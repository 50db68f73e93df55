// ReplayMemory: which past events may be replayed. It holds sequence numbers only; payloads stand once, in the store's
// event log. A policy (storage/replay_policy.h) decides who stays.
//
// Every offered seq leaves exactly once, through `released`: at once when it is not taken in, later when it is
// replaced, too old or erased. What was released is needed by nobody but the log after the last checkpoint
// (PayloadGarbage).
//
// Time to live is event time, in steps of a 256th of it (at least a second): expire() forgets what is older. Who calls
// it chooses the watermark, so that one event from the far future does not empty the memory.
//
// Threads: one owner (ingest).  Owns: the slot table and the generator of insertions; both are part of a checkpoint.
// Failure: loading a header of another policy, capacity or time to live is kFailedPrecondition; damage is kDataLoss.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "core/status.h"
#include "storage/replay_policy.h"
#include "storage/slot_table.h"

namespace freshet {

// Where a checkpoint keeps the memory: the header as this blob, the slot table as pages of this space.
inline constexpr std::string_view kReplayBlob = "replay_memory";
inline constexpr std::uint32_t kReplaySpace = 1;

struct ReplayOptions {
  std::string policy = "reservoir";
  std::uint64_t capacity_events = 1'000'000;
  std::int64_t ttl_ms = 0;  // 0: events do not age
  std::uint64_t seed = 1;
};

// What a header says; `freshet state inspect` shows it without loading the slots.
struct ReplaySummary {
  std::string policy;
  std::uint64_t capacity = 0;
  std::int64_t ttl_ms = 0;
  std::uint64_t size = 0;
  std::uint64_t seen = 0;
};

class ReplayMemory {
 public:
  static Result<std::unique_ptr<ReplayMemory>> create(const ReplayOptions& options);

  void insert(const ReplayItem& item, std::vector<std::uint64_t>& released);

  // Forgets events with a time before `before_ms`; none without a time to live.
  void expire(std::int64_t before_ms, std::vector<std::uint64_t>& released);

  // Forgets these (ascending) where it holds them: O(size).
  void erase(std::span<const std::uint64_t> seqs, std::vector<std::uint64_t>& released);

  // Adds `n` seqs to `seqs`, in no particular order: a uniform choice of distinct events (Floyd's algorithm) while
  // n <= size(); beyond that every event comes n / size() times and a uniform choice once more. None when empty.
  void sample(std::uint64_t n, Rng& rng, std::vector<std::uint64_t>& seqs);

  std::uint64_t size() const { return slots_.size(); }
  std::uint64_t capacity() const { return options_.capacity_events; }
  std::uint64_t seen() const { return seen_; }
  const SlotTable& slots() const { return slots_; }

  // For a checkpoint: header() as the blob, dirty_pages() as the pages; clear_dirty() once it is durable.
  std::string header() const;
  void dirty_pages(const std::function<void(std::uint64_t, std::string_view)>& visitor) const {
    slots_.dirty_pages(visitor);
  }
  void clear_dirty() { slots_.clear_dirty(); }

  // load_begin, then each page by ascending index, then load_end. Leaves an unusable memory behind when it fails.
  Status load_begin(std::string_view header);
  Status load_page(std::uint64_t index, std::string_view bytes) { return slots_.load_page(index, bytes); }
  Status load_end() const { return slots_.load_end(); }

  static Result<ReplaySummary> summary(std::string_view header);

 private:
  ReplayMemory(ReplayOptions options, std::unique_ptr<ReplayPolicy> policy);
  std::uint32_t bucket_of(std::uint32_t time_s) const { return time_s / bucket_s_ * bucket_s_; }
  void count_age(std::uint32_t time_s);
  void sample_distinct(std::uint64_t n, Rng& rng, std::vector<std::uint64_t>& seqs);

  ReplayOptions options_;
  std::unique_ptr<ReplayPolicy> policy_;
  SlotTable slots_;
  Rng rng_;
  std::uint64_t seen_ = 0;
  std::uint32_t bucket_s_ = 1;
  std::uint32_t horizon_s_ = 0;                     // events before it are gone
  std::map<std::uint32_t, std::uint64_t> offered_;  // start of a step of time -> events offered from it, held or not
  std::vector<std::uint64_t> chosen_;               // scratch of sample: open addressing, slot + 1
};

}  // namespace freshet
