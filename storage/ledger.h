// Ledger: the account of every offset that was received. For each partition it says which offsets were learnt from,
// how many were skipped and why, and where offsets are missing.
//
// first_offset .. next_offset - 1 are accounted for: learnt + skipped (duplicates aside) + missing + left out, each
// offset once.
// Where a topic was made anew, that holds since the last of `restarts`, and the counts go on.
// `hash` is a sum over the learnt records, so that it does not depend on how they came in batches: two stores that
// learnt from the same records of a partition have the same hash.
//
// Threads: one owner.  Owns: plain values.
// Failure: an offset below a partition's next one, or twice in a batch, is kInvalidArgument and changes nothing.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/event_batch.h"
#include "core/position.h"
#include "core/status.h"

namespace freshet {

struct PartitionLedger {
  std::int32_t partition = 0;
  std::int64_t first_offset = -1;  // -1: nothing yet
  std::int64_t last_offset = -1;
  std::int64_t next_offset = 0;
  std::uint64_t learnt = 0;
  std::uint64_t gaps = 0;     // jumps over offsets (transaction markers, compaction, retention)
  std::uint64_t missing = 0;  // offsets jumped over
  std::uint64_t hash = 0;
  std::array<std::uint64_t, kSkipReasons> skipped{};  // by SkipReason
  std::uint64_t restarts = 0;  // times that the partition went on below its next offset: the topic was made anew
  std::uint64_t left_out = 0;  // learnt once, but not by this model: it was made anew of what was still stored

  std::uint64_t skipped_total() const;  // duplicates aside: their offsets are accounted for elsewhere
  std::uint64_t duplicates() const { return skipped[static_cast<std::size_t>(SkipReason::kDuplicate)]; }
  friend bool operator==(const PartitionLedger&, const PartitionLedger&) = default;
};

// The term that a learnt record adds to PartitionLedger::hash.
std::uint64_t ledger_mix(std::int64_t offset, std::uint64_t value_hash);

// The ledger of a model that was made anew of stored events: reading goes on where `before` stands, what was learnt is
// what `anew` counted.
PartitionLedger relearnt(const PartitionLedger& before, const PartitionLedger& anew);

std::string encode_ledger(const PartitionLedger& ledger);
Result<PartitionLedger> decode_ledger(std::int32_t partition, std::string_view bytes);

class Ledger {
 public:
  // Works out what the partitions touched by a batch will look like; staged() shows them, commit() makes them current.
  // The resets take effect first; one to the offset that is the next one anyway changes nothing.
  Status stage(std::span<const Position> positions, std::span<const std::uint64_t> value_hashes,
               std::span<const SkippedRecord> skipped, std::span<const OffsetReset> resets = {});
  const std::vector<PartitionLedger>& staged() const { return staged_; }
  void commit();

  void set(const PartitionLedger& ledger) { partitions_[ledger.partition] = ledger; }
  const std::map<std::int32_t, PartitionLedger>& partitions() const { return partitions_; }

 private:
  struct Item {
    Position position;
    std::uint64_t value_hash;
    std::int32_t reason;  // -1: learnt
  };
  PartitionLedger& staged_for(std::int32_t partition);

  std::map<std::int32_t, PartitionLedger> partitions_;
  std::vector<PartitionLedger> staged_;
  std::map<std::int32_t, std::size_t> staged_index_;
  std::vector<Item> items_;
};

}  // namespace freshet
