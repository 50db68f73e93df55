// World: what a simulated history is made of. Events follow from (seed, partition, offset) alone, so that the broker
// can deliver any of them again, and the same for the rules that a history runs under.
//
// Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "core/event_batch.h"
#include "core/hash.h"
#include "core/position.h"
#include "storage/held_out.h"
#include "storage/replay_memory.h"
#include "storage/store.h"

namespace freshet::sim {

// An erasure's entry in the order log; its key stands in `round`.
inline constexpr auto kErase = static_cast<OrderKind>(3);

struct Rules {
  std::uint64_t seed = 1;
  ReplayOptions memory;
  std::int32_t partitions = 1;
  std::uint64_t round_events = 16;
  std::uint64_t checkpoint_every = 40;
  std::uint64_t replay_rows = 8;
  std::uint64_t keys = 12;
  double held_out_share = 0.2;
  std::uint32_t held_out_per_slice = 6;
  bool timer_cuts = false;  // rounds are cut early at random; else they are counted
  bool when_ready = false;  // models go live as soon as they are made; else at the next cut
  std::uint32_t checkpoints_kept = 2;
  SyncPolicy sync = SyncPolicy::kCheckpoints;
  std::uint64_t write_buffer_bytes = std::uint64_t{64} << 10;
  std::uint64_t warm_up = 0;  // events before anything goes wrong
  std::uint64_t steps = 60;
};

enum class Fate : std::uint8_t { kEvent, kSkipped, kMissing };

struct Event {
  Position position;
  std::uint64_t key = 0;
  std::uint64_t value = 0;
  std::int64_t time_ms = 0;
  std::uint16_t group = 0;
};

// What the model that was served is said to have lost on it.
inline float loss_of(const Event& event) { return 0.1F * static_cast<float>(1 + event.value % 40); }

inline std::uint64_t noise(std::uint64_t seed, std::uint64_t a, std::uint64_t b) {
  return hash_combine(hash_combine(seed, a), b);
}

inline Fate fate_of(const Rules& rules, Position at) {
  const std::uint64_t roll =
      noise(rules.seed ^ 1, static_cast<std::uint64_t>(at.partition), static_cast<std::uint64_t>(at.offset)) % 32;
  if (roll == 0 && at.offset != 0) return Fate::kMissing;
  return roll == 1 ? Fate::kSkipped : Fate::kEvent;
}

inline SkipReason reason_of(Position at) {
  return at.offset % 2 == 0 ? SkipReason::kMalformed : SkipReason::kTombstone;
}

inline Event event_at(const Rules& rules, Position at) {
  const std::uint64_t roll =
      noise(rules.seed ^ 2, static_cast<std::uint64_t>(at.partition), static_cast<std::uint64_t>(at.offset));
  Event event;
  event.position = at;
  event.key = 1 + roll % rules.keys;
  event.value = hash_combine(roll, 3);
  event.time_ms = 1'000'000'000 + at.offset * 1000 + static_cast<std::int64_t>(roll >> 32) % 3000;
  event.group = static_cast<std::uint16_t>((roll >> 20) % 10 < 6 ? 0 : 1 + (roll >> 24) % 3);
  return event;
}

inline bool held_out(const Rules& rules, std::uint64_t key) {
  return static_cast<double>(hash_combine(rules.seed ^ 3, key) >> 11) * 0x1.0p-53 < rules.held_out_share;
}

// What the store keeps of an event: the event, what encoding and scoring made of it, and ballast.
struct Row {
  Event event;
  std::uint64_t encoded = 0;
  std::uint64_t loss = 0;
};

struct RowBytes {
  std::int64_t partition, offset;
  std::uint64_t key, value;
  std::int64_t time_ms;
  std::uint64_t group, encoded, loss;
  char ballast[56];
};
inline constexpr std::size_t kRowBytes = sizeof(RowBytes);

inline std::string to_bytes(const Row& row) {
  RowBytes bytes{row.event.position.partition,
                 row.event.position.offset,
                 row.event.key,
                 row.event.value,
                 row.event.time_ms,
                 row.event.group,
                 row.encoded,
                 row.loss,
                 {}};
  std::memset(bytes.ballast, static_cast<int>('a' + row.event.value % 26), sizeof bytes.ballast);
  return {reinterpret_cast<const char*>(&bytes), sizeof bytes};
}

inline Row to_row(std::string_view record) {
  RowBytes bytes{};
  if (record.size() == sizeof bytes) std::memcpy(&bytes, record.data(), sizeof bytes);
  Row row;
  row.event = {{static_cast<std::int32_t>(bytes.partition), bytes.offset},
               bytes.key,
               bytes.value,
               bytes.time_ms,
               static_cast<std::uint16_t>(bytes.group)};
  row.encoded = bytes.encoded;
  row.loss = bytes.loss;
  return row;
}

}  // namespace freshet::sim
