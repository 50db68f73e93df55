// RecordCache: copies of event records in memory, so that a replayed event costs a copy instead of a walk through table
// blocks (measured: 2 us a record from cached blocks, where nearly every step is a cache miss). A record has one
// possible place, by its seq: the newest records fill it like a ring, records read from disk take their place back.
//
// Threads: thread-safe; a lock each for stretches of neighbouring places.
// Owns: at most `bytes` of memory, touched only as it fills.
// Failure: none; records of another size than the first are not kept.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>

namespace freshet {

class RecordCache {
 public:
  explicit RecordCache(std::uint64_t bytes) : bytes_(bytes) {}

  // Records of `stride` bytes each, of consecutive seqs.
  void put(std::uint64_t first_seq, std::string_view records, std::size_t stride);

  // Calls visitor(record) under the place's lock when `seq` is there; tells whether it was. The visitor must not use
  // the cache.
  template <typename Visitor>
  bool get(std::uint64_t seq, Visitor&& visitor) const {
    const Table* table = table_.load(std::memory_order_acquire);
    if (table == nullptr) return false;
    const std::uint64_t place = seq % table->places;
    const std::lock_guard lock(locks_[stripe(place)]);
    if (table->seqs[place] != seq) return false;
    visitor(std::string_view(table->records.get() + place * table->stride, table->stride));
    return true;
  }

  // Begins to load what get(seq) will touch.
  void prefetch(std::uint64_t seq) const {
    const Table* table = table_.load(std::memory_order_acquire);
    if (table == nullptr) return;
    const std::uint64_t place = seq % table->places;
    __builtin_prefetch(&table->seqs[place]);
    const char* record = table->records.get() + place * table->stride;
    for (std::size_t at = 0; at < table->stride && at < kPrefetchBytesMax; at += 64) __builtin_prefetch(record + at);
  }

  void forget(std::uint64_t first, std::uint64_t last);  // both ends belong to it

 private:
  static constexpr std::size_t kLocks = 64;
  static constexpr std::uint64_t kNeighbours = 256;  // places that share a lock
  static constexpr std::size_t kPrefetchBytesMax = 512;

  struct FreeMemory {
    void operator()(char* memory) const { std::free(memory); }
  };
  struct Table {
    std::uint64_t places = 0;
    std::size_t stride = 0;
    std::unique_ptr<std::uint64_t[]> seqs;  // 0: empty
    std::unique_ptr<char[], FreeMemory> records;
  };
  static std::size_t stripe(std::uint64_t place) { return static_cast<std::size_t>(place / kNeighbours % kLocks); }
  const Table* table_for(std::size_t stride);

  std::uint64_t bytes_;
  std::unique_ptr<Table> owned_;
  std::atomic<const Table*> table_{nullptr};  // set once, by the first record
  std::once_flag made_;
  mutable std::array<std::mutex, kLocks> locks_;
};

}  // namespace freshet
