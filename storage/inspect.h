// inspect_store: what `freshet state inspect` tells about a store, as a struct and as JSON.
//
// 64-bit hashes are hexadecimal text in JSON: its numbers would lose their last digits.
//
// Threads: any; the store may be open for reading beside a running daemon.  Failure: what the store's reads return.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "storage/replay_memory.h"
#include "storage/store.h"

namespace freshet {

struct StoreReport {
  std::string path;
  std::uint32_t format = 0;
  std::optional<StoreIdentity> identity;
  std::vector<PartitionLedger> partitions;
  std::uint64_t last_seq = 0;
  std::uint64_t stored_events_estimate = 0;
  std::uint64_t next_order_index = 0;
  std::uint64_t order_entries = 0;  // still stored
  std::uint64_t round_cuts = 0;
  std::uint64_t go_lives = 0;
  std::vector<CheckpointInfo> checkpoints;  // oldest first
  // Of each of them, hexadecimal; empty for one that is damaged or was written before there were state hashes.
  std::vector<std::string> state_hashes;
  std::optional<ReplaySummary> memory;  // as of the newest checkpoint that is whole
  std::uint64_t bytes_on_disk = 0;
};

// Reads only, but for what latest_checkpoint() does to a damaged checkpoint of a store that is open for writing.
Result<StoreReport> inspect_store(Store& store);

std::string to_json(const StoreReport& report);

}  // namespace freshet
