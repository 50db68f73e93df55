// BalancedReservoir: class-balancing reservoir sampling (Chrysakis and Moens, ICML 2020) over groups of slots. While
// there is room everything is taken; then an event of a group that was never the largest takes the place of a random
// one of the largest group, and an event of any other group that of a random one of its own, as in a reservoir.
//
// Threads: one owner.  Owns: counts of each group, and where its slots are.  Failure: load() checks what it is given.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "core/rng.h"
#include "core/status.h"
#include "storage/slot_index.h"

namespace freshet {

class BalancedReservoir {
 public:
  struct Group {
    std::uint64_t seen = 0;
    bool full = false;  // was the largest once: it holds a sample of its events, no longer all of them
  };

  explicit BalancedReservoir(std::uint64_t capacity) : capacity_(capacity) {}

  // Which slot an event of `group` gets, as ReplayPolicy::place. `column` gives each slot's group. With `thin`, a group
  // that holds a sample stays one where there is room again.
  std::optional<std::uint64_t> place(std::uint16_t group, std::span<const std::uint16_t> column, bool thin, Rng& rng);
  // An event of the group leaves by age or erasure, and with it its share of those that were seen.
  void forget_one(std::uint16_t group);

  GroupSlots& slots() { return slots_; }
  const GroupSlots& slots() const { return slots_; }
  Group& group(std::size_t group);

  void save(ByteWriter& writer) const;
  Status load(ByteReader& reader);

 private:
  std::uint16_t pick_largest(Rng& rng) const;
  std::uint64_t any_of(std::uint16_t group, std::span<const std::uint16_t> column, Rng& rng) const {
    return slots_.slot(group, rng.below(slots_.count(group)), column);
  }

  std::uint64_t capacity_;
  std::vector<Group> groups_;
  GroupSlots slots_;
};

}  // namespace freshet
