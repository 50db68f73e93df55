// RoundValues: what the strategy stores with events, on its way between the replay memory and a round: read for the
// events that a round replays, written for those that were fresh in it.
//
// Threads: functions on the ingest thread; the values belong to whoever has the round.  Owns: the matrices.
// Failure: none; an event that the memory let go meanwhile is passed over.
#pragma once

#include <span>
#include <vector>

#include "core/encoded_batch.h"
#include "learners/training/strategy.h"
#include "storage/replay_memory.h"

namespace freshet {

// A matrix for each column of the strategy, row-major; all are empty without columns.
struct RoundValues {
  std::vector<std::vector<float>> stored;    // of the replayed rows, in the order of the draw
  std::vector<std::vector<float>> to_store;  // of the fresh rows
};

// The same names and widths, as the memory takes them.
std::vector<MetadataColumn> metadata_columns(std::span<const StoredColumn> columns);

// What the memory has of the sample, and room for `fresh_rows`; keeps what `values` has allocated.
void read_stored(const ReplayMemory& memory, const ReplaySample& sample, std::size_t fresh_rows, RoundValues& values);

// Puts what a round has to store with its fresh rows to those that the memory still holds, wherever they stand now; it
// must have followed them, and follows events from `next_seq` after that. Nothing to do without columns.
void write_fresh(ReplayMemory& memory, const EncodedBatch& fresh, std::uint64_t next_seq, const RoundValues& values);

// As RoundInput takes them.
void view_matrices(std::vector<std::vector<float>>& matrices, std::vector<std::span<float>>& views);

}  // namespace freshet
