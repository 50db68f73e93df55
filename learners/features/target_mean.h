// TargetMeanTable: for each key a decayed sum of labels and the decayed weight of the events behind it, in bounded
// memory, learnt by the ingest thread and read live by any other.
//
// An event of a key with label y and weight v turns its {sum, weight} into {sum * d + v * y, weight * d + v}, where
//   d = 0.5 ^ (1 / half_life_events)            with a half-life in events of that key, or
//   d = 0.5 ^ (gap / half_life_ms)              with a half-life in event time; gap = time since the newest event of
//                                               the key, 0 if negative; readers decay to the time they ask about.
// Arithmetic is double, sum and weight are kept as float32.
//
// Keys live in buckets of 8. A bucket that is full gives up its least recently updated key (with a half-life in time:
// the one with the oldest newest event). Capacity is keys_max rounded up to a power of two, at least 8.
//
// Threads: one writer (`update`, `save`, `load`), any number of readers; no locks. A reader that meets an update sees
// the counts before or after it; one that meets an eviction sees the key as unknown. With a half-life in time, counts
// and time stamp may be from either side of one update, which decays sum and weight alike and leaves their ratio true.
// Owns: its buckets.  Failure: `load` refuses what `save` did not write, with data_loss.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/bytes.h"
#include "core/status.h"

namespace freshet {

struct TargetMeanOptions {
  std::uint32_t keys_max = 65536;
  std::uint32_t outputs = 1;    // sums kept for each key: 1, or one a class
  double half_life_events = 0;  // exactly one of the two is > 0
  double half_life_ms = 0;
};

struct LabelCounts {
  float sum = 0;
  float weight = 0;
};

class TargetMeanTable {
 public:
  explicit TargetMeanTable(const TargetMeanOptions& options);

  std::uint32_t outputs() const { return outputs_; }
  std::size_t capacity() const { return (bucket_mask_ + 1) * kWays; }
  std::size_t keys() const { return keys_.load(std::memory_order_relaxed); }

  // Asks for the cache lines of `key`; worth a few hundred cycles when issued an event ahead.
  void prefetch(std::uint64_t key) const {
    const Line* bucket = bucket_of(normalised(key));
    for (std::uint32_t line = 0; line < stride_; ++line) __builtin_prefetch(bucket + line);
  }

  // The counts of `key` as of event time `time_ms`, into counts[0, outputs()); zeros for an unknown key.
  void read(std::uint64_t key, std::int64_t time_ms, LabelCounts* counts) const {
    key = normalised(key);
    const Line* bucket = bucket_of(key);
    // A slot that was reused while it was read may even hold the same key again: reuses_ tells, and the read is
    // repeated.
    for (int attempt = 0; attempt < kReadAttempts; ++attempt) {
      const std::uint64_t reuses = reuses_.load(std::memory_order_acquire);
      const std::uint32_t way = find(bucket, key);
      if (way == kWays) break;
      const double decay = half_life_ms_ > 0 ? time_decay(bucket, way, time_ms) : 1.0;
      for (std::uint32_t o = 0; o < outputs_; ++o) {
        counts[o] = unpack(bucket[kValues + o].words[way].load(std::memory_order_acquire));
      }
      const bool same_key = bucket[kKeys].words[way].load(std::memory_order_relaxed) == key;
      if (!same_key || reuses_.load(std::memory_order_relaxed) != reuses) continue;
      if (half_life_ms_ > 0) {
        for (std::uint32_t o = 0; o < outputs_; ++o) {
          counts[o] = {static_cast<float>(counts[o].sum * decay), static_cast<float>(counts[o].weight * decay)};
        }
      }
      return;
    }
    for (std::uint32_t o = 0; o < outputs_; ++o) counts[o] = {};
  }

  // Lets one event in: labels[0, outputs()) with weight > 0.
  void update(std::uint64_t key, std::int64_t time_ms, const float* labels, double weight) {
    key = normalised(key);
    Line* bucket = bucket_of(key);
    std::uint32_t way = find(bucket, key);
    const bool known = way != kWays;
    double decay = decay_per_event_;
    if (!known) {
      way = make_room(bucket);
    } else if (half_life_ms_ > 0) {
      decay = time_decay(bucket, way, time_ms);
    }
    for (std::uint32_t o = 0; o < outputs_; ++o) {
      std::atomic<std::uint64_t>& word = bucket[kValues + o].words[way];
      const LabelCounts old = known ? unpack(word.load(std::memory_order_relaxed)) : LabelCounts{};
      word.store(pack({static_cast<float>(old.sum * decay + weight * static_cast<double>(labels[o])),
                       static_cast<float>(old.weight * decay + weight)}),
                 std::memory_order_release);
    }
    std::atomic<std::uint64_t>& stamp = bucket[kStamps].words[way];
    if (half_life_ms_ > 0) {
      const auto newest = static_cast<std::int64_t>(stamp.load(std::memory_order_relaxed));
      if (!known || time_ms > newest) stamp.store(static_cast<std::uint64_t>(time_ms), std::memory_order_release);
    } else {
      stamp.store(++updates_, std::memory_order_relaxed);
    }
    if (!known) bucket[kKeys].words[way].store(key, std::memory_order_release);
  }

  // Occupied entries only, in table order; a table loaded from it goes on bit-identically.
  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  static constexpr std::uint32_t kWays = 8;
  static constexpr int kReadAttempts = 8;
  static constexpr std::uint64_t kEmpty = 0;
  static constexpr std::uint64_t kReused = ~std::uint64_t{0};  // a slot between two keys
  // Lines of a bucket: keys, then stamps (update number, or event time), then one line of packed counts an output.
  static constexpr std::uint32_t kKeys = 0;
  static constexpr std::uint32_t kStamps = 1;
  static constexpr std::uint32_t kValues = 2;
  struct alignas(64) Line {
    std::array<std::atomic<std::uint64_t>, kWays> words;
  };

  static std::uint64_t normalised(std::uint64_t key) { return key == kEmpty || key == kReused ? 1 : key; }
  static LabelCounts unpack(std::uint64_t word) {
    return {std::bit_cast<float>(static_cast<std::uint32_t>(word)),
            std::bit_cast<float>(static_cast<std::uint32_t>(word >> 32))};
  }
  static std::uint64_t pack(LabelCounts counts) {
    return static_cast<std::uint64_t>(std::bit_cast<std::uint32_t>(counts.weight)) << 32 |
           std::bit_cast<std::uint32_t>(counts.sum);
  }
  // The multiplication spreads keys that differ in few bits; its high half picks the bucket.
  std::size_t bucket_index(std::uint64_t key) const { return (key * 0x9E3779B97F4A7C15ULL >> 32) & bucket_mask_; }
  const Line* bucket_of(std::uint64_t key) const { return lines_.get() + bucket_index(key) * stride_; }
  Line* bucket_of(std::uint64_t key) { return lines_.get() + bucket_index(key) * stride_; }

  static std::uint32_t find(const Line* bucket, std::uint64_t key) {
    for (std::uint32_t way = 0; way < kWays; ++way) {
      const std::uint64_t held = bucket[kKeys].words[way].load(std::memory_order_acquire);
      if (held == key) return way;
      if (held == kEmpty) return kWays;  // slots fill from the front and are never emptied
    }
    return kWays;
  }
  double time_decay(const Line* bucket, std::uint32_t way, std::int64_t time_ms) const {
    const auto newest = static_cast<std::int64_t>(bucket[kStamps].words[way].load(std::memory_order_acquire));
    if (time_ms <= newest) return 1.0;
    return std::exp2((static_cast<double>(newest) - static_cast<double>(time_ms)) / half_life_ms_);
  }
  // The slot for a new key: the first empty one, else the least recent, marked as being reused.
  std::uint32_t make_room(Line* bucket);

  std::uint32_t outputs_;
  std::uint32_t stride_;  // lines a bucket
  std::size_t bucket_mask_;
  double half_life_ms_;
  double decay_per_event_;
  std::unique_ptr<Line[]> lines_;
  std::uint64_t updates_ = 0;
  std::atomic<std::size_t> keys_{0};
  std::atomic<std::uint64_t> reuses_{0};  // slots given to another key so far
};

}  // namespace freshet
