// ReplayMemory: which past events may be replayed. It holds sequence numbers and metadata only; payloads stand once, in
// the store's event log. A policy (storage/replay_policy.h) decides who stays, a sampler (storage/replay_sampler.h) who
// is replayed.
//
// Every offered seq leaves exactly once, through `released`: at once when it is not taken in, later when it is
// replaced, too old or erased. What was released is needed by nobody but the log after the last checkpoint
// (PayloadGarbage).
//
// Time to live is event time, in steps of a 256th of it (at least a second): expire() forgets what is older. Who calls
// it chooses the watermark, so that one event from the far future does not empty the memory.
//
// Threads: one owner (ingest).  Owns: slot table, metadata, the generator of insertions (all part of a checkpoint), and
// indexes made from them.
// Failure: loading a header of another policy, capacity or time to live is kFailedPrecondition; damage is kDataLoss.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "core/status.h"
#include "storage/followed_slots.h"
#include "storage/replay_metadata.h"
#include "storage/replay_policy.h"
#include "storage/replay_sampler.h"
#include "storage/slot_table.h"

namespace freshet {

// Where a checkpoint keeps the memory: the header as this blob, the slot table as pages of this space, the metadata as
// pages of kReplayMetadataSpace and on.
inline constexpr std::string_view kReplayBlob = "replay_memory";
inline constexpr std::uint32_t kReplaySpace = 1;

struct ReplayOptions {
  std::string policy = "reservoir";
  std::uint64_t capacity_events = 1'000'000;  // 0: nothing is held; of no meaning to the policy `unbounded`
  std::int64_t ttl_ms = 0;                    // 0: events do not age
  std::uint64_t seed = 1;
  std::uint64_t capacity_bytes = 0;  // of event records; 0: no such limit
  std::uint64_t record_bytes = 0;    // of an event's record, for capacity_bytes
  std::string sampling = "uniform";
  double priority_alpha = 0.6;
  std::uint64_t recency_half_life = 100'000;
  MetadataOptions metadata = {};
};

// What a header says; `freshet state inspect` shows it without loading the slots.
struct ReplaySummary {
  std::string policy;
  std::uint64_t capacity = 0;  // events; the smaller of the two limits
  std::int64_t ttl_ms = 0;
  std::uint64_t size = 0;
  std::uint64_t seen = 0;
  std::uint64_t capacity_bytes = 0;  // 0: no such limit
  std::uint64_t record_bytes = 0;    // 0: not recorded
  std::string sampling = "uniform";
  std::uint64_t metadata_bytes = 0;
  std::vector<MetadataColumn> columns;  // declared ones
};

// Events that were drawn: their seqs, and the slots they stood in then.
struct ReplaySample {
  std::vector<std::uint64_t> seqs;
  std::vector<std::uint64_t> slots;
};

class ReplayMemory {
 public:
  static Result<std::unique_ptr<ReplayMemory>> create(const ReplayOptions& options);

  void insert(const ReplayItem& item, std::vector<std::uint64_t>& released);

  // Forgets events with a time before `before_ms`; none without a time to live.
  void expire(std::int64_t before_ms, std::vector<std::uint64_t>& released);

  // Forgets these (ascending) where it holds them: O(size).
  void erase(std::span<const std::uint64_t> seqs, std::vector<std::uint64_t>& released);

  // Adds `n` events to `sample`, in no particular order: distinct ones, by the sampler, while n <= size(); beyond that
  // every event comes n / size() times and the sampler chooses once more. None when empty.
  void sample(std::uint64_t n, Rng& rng, ReplaySample& sample);
  void sample(std::uint64_t n, Rng& rng, std::vector<std::uint64_t>& seqs);

  // A round has replayed sample.seqs[i] with losses[i], which is skipped where another event stands in its slot now.
  void note_replayed(const ReplaySample& sample, std::span<const float> losses, std::uint64_t round);

  std::uint64_t size() const { return slots_.size(); }
  std::uint64_t capacity() const { return capacity_; }
  std::uint64_t seen() const { return seen_; }
  const SlotTable& slots() const { return slots_; }
  const ReplayMetadata& metadata() const { return metadata_; }
  // A declared column of a slot.
  void set_values(std::size_t column, std::uint64_t slot, std::span<const float> values) {
    metadata_.set_values(column, slot, values);
  }
  // From now on, and until load(), slot_of() finds events from this seq on in O(1); those before it are forgotten.
  // O(size) the first time.
  void follow_from(std::uint64_t seq) { followed_.follow_from(seq, slots_); }
  // Nothing where the memory does not hold the event, or does not follow it.
  std::optional<std::uint64_t> slot_of(std::uint64_t seq) const { return followed_.slot_of(seq); }

  // For a checkpoint: header() as the blob, dirty_pages(visitor(space, page, bytes)) as the pages; clear_dirty() once
  // it is durable.
  std::string header() const;
  using PageVisitor = ReplayMetadata::PageVisitor;
  void dirty_pages(const PageVisitor& visitor) const;
  void clear_dirty();
  // Pages that the memory has now, by space.
  std::map<std::uint32_t, std::uint64_t> page_counts() const;
  // Those that belong to a header, as a check without the memory needs them.
  static std::map<std::uint32_t, std::uint64_t> page_counts(const ReplaySummary& summary);

  // `read_space` calls the visitor it is given with each page of a space, by ascending index. A memory that could not
  // be loaded is unusable.
  using PageReader = std::function<Status(std::uint64_t, std::string_view)>;
  Status load(std::string_view header, const std::function<Status(std::uint32_t, const PageReader&)>& read_space);

  static Result<ReplaySummary> summary(std::string_view header);

 private:
  ReplayMemory(const ReplayOptions& options, std::uint64_t capacity, std::unique_ptr<ReplayPolicy> policy,
               std::unique_ptr<ReplaySampler> sampler);
  SlotView view() const { return {slots_, metadata_}; }
  std::uint32_t bucket_of(std::uint32_t time_s) const { return time_s / bucket_s_ * bucket_s_; }
  void count_age(std::uint32_t time_s);
  void fill(std::uint64_t slot, const ReplayItem& item);
  void take_out(std::uint64_t slot, std::vector<std::uint64_t>& released);
  Status check_agreement(const ReplaySummary& stored) const;
  Status load_header(std::string_view header, std::uint32_t& format);

  ReplayOptions options_;
  std::uint64_t capacity_;
  std::unique_ptr<ReplayPolicy> policy_;
  std::unique_ptr<ReplaySampler> sampler_;
  SlotTable slots_;
  ReplayMetadata metadata_;
  FollowedSlots followed_;
  Rng rng_;
  std::uint64_t seen_ = 0;
  std::uint64_t loading_ = 0;  // slots that a header has announced
  std::uint32_t bucket_s_ = 1;
  std::uint32_t horizon_s_ = 0;                     // events before it are gone
  std::map<std::uint32_t, std::uint64_t> offered_;  // start of a step of time -> events offered from it, held or not
  std::vector<std::uint64_t> leaving_;              // room to work in
};

}  // namespace freshet
