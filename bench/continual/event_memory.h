// EventMemory: the replay memory of a run: ReplayMemory says which events stay and which are replayed; their features
// lie in memory, or in the event log of a store on disk.
//
// Threads: one owner.  Owns: the events held.  Failure: what the store refuses.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/encoded_batch.h"
#include "core/event_record.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/rng.h"
#include "core/status.h"
#include "storage/payload_garbage.h"
#include "storage/replay_memory.h"
#include "storage/store.h"

namespace freshet::bench {

class EventMemory {
 public:
  // `folder`: of the store; empty: events lie in memory. `fresh_max`: most events of an insert(). `stored`: floats a
  // row that a strategy keeps beside the events, by column.
  static Result<std::unique_ptr<EventMemory>> create(const ReplayOptions& options, const EncodedLayout& layout,
                                                     std::size_t fresh_max, const std::string& folder,
                                                     const std::vector<std::uint32_t>& stored);

  // Draws up to `n` events into `rows`, and what is stored with them into a matrix for each column.
  Status sample(std::size_t n, Rng& rng, EncodedBatch& rows, std::span<const std::span<float>> stored);
  // The losses that the sampled events had.
  void note_replayed(std::span<const float> losses, std::uint64_t round);
  // Offers events whose seqs follow those offered before, with what is to be stored of them.
  Status insert(const EncodedBatch& fresh, std::span<const std::span<float>> stored);
  // With a store: makes what was inserted durable and lets go of what the memory released.
  Status checkpoint();

  std::uint64_t size() const { return memory_->size(); }
  // Events and what is known of each; on disk what the store's files take.
  std::uint64_t bytes() const;

 private:
  EventMemory(const EncodedLayout& layout, std::size_t fresh_max, std::size_t rows);
  Status append(const EncodedBatch& fresh);
  Status read(EncodedBatch& rows);
  std::uint32_t hold(std::uint64_t seq);
  void let_go();

  std::unique_ptr<ReplayMemory> memory_;
  ReplaySample drawn_;
  std::vector<std::uint64_t> released_;
  // Rows of `held_` and `stored_` that the events in memory have, and those that are free.
  bool keeps_rows_ = false;  // false: a store has the events, and there is nothing beside them
  std::unordered_map<std::uint64_t, std::uint32_t> row_of_;
  std::vector<std::uint32_t> free_;
  EncodedBatch held_;  // no rows where a store has them
  struct Column {
    std::uint32_t width = 0;
    std::vector<float> values;
  };
  std::vector<Column> stored_;

  NullLog log_;
  LocalMetrics metrics_;
  Schema schema_;
  EventRecordCodec codec_;
  EventBatch no_columns_;
  std::unique_ptr<Store> store_;
  PayloadGarbage garbage_;
  std::string records_;
  std::vector<Position> positions_;
  std::vector<std::uint64_t> hashes_;
};

}  // namespace freshet::bench
