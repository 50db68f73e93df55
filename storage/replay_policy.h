// ReplayPolicy: who gets a place in the replay memory. A policy decides one item at a time, from its own small state,
// the slot table and a generator; all three are part of a checkpoint, so that decisions are made again alike after a
// restart. A new policy is a class here and a line in make_replay_policy().
//
//   reservoir       Vitter's algorithm R: every event so far is in the memory with the same probability. Where events
//                   leave by age, random pairing (Gemulla, Lehner, Haas: A Dip in the Reservoir, VLDB 2006) keeps that
//                   true of the events still alive: each departure is made good by a later arrival.
//   sliding_window  the newest events.
//   class_balanced  class-balancing reservoir sampling (Chrysakis and Moens, ICML 2020): groups of equal size as far as
//                   the stream has them, each group a uniform sample of its events (without a time to live).
//
// Threads: one owner.  Owns: counters.  Failure: load() checks what it is given.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "core/bytes.h"
#include "core/rng.h"
#include "core/status.h"
#include "storage/slot_table.h"

namespace freshet {

class ReplayPolicy {
 public:
  virtual ~ReplayPolicy() = default;
  virtual std::string_view name() const = 0;
  virtual bool needs_groups() const { return false; }

  // The slot for `item`: table.size() to add one (only below the capacity), a filled slot to replace, nothing to leave
  // the item out. The table follows at once.
  virtual std::optional<std::uint64_t> place(const ReplayItem& item, const SlotTable& table, Rng& rng) = 0;

  // A held item of `group` was removed by age or erasure.
  virtual void removed(std::uint16_t group) = 0;
  // After a round of removals: `others` events of the same age were offered once and not held. The policy may reorder.
  virtual void settle(std::uint64_t held, std::uint64_t others, SlotTable& table) = 0;

  virtual void save(ByteWriter& writer) const = 0;
  virtual Status load(ByteReader& reader) = 0;
};

// Unknown names: kInvalidArgument that lists the known ones.
Result<std::unique_ptr<ReplayPolicy>> make_replay_policy(std::string_view name, std::uint64_t capacity);

}  // namespace freshet
