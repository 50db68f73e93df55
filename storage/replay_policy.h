// ReplayPolicy: who gets a place in the replay memory. A policy decides one item at a time, from its own small state,
// the slot table and a generator; all three are part of a checkpoint, so that decisions are made again alike after a
// restart. A new policy is a class and a line in make_replay_policy().
//
//   reservoir         Vitter's algorithm R: every event so far is in the memory with the same probability. Where events
//                     leave by age, random pairing (Gemulla, Lehner, Haas: A Dip in the Reservoir, VLDB 2006) keeps
//                     that true of the events still alive: each departure is made good by a later arrival.
//   sliding_window    the newest events.
//   unbounded         the same, with no other capacity than bytes.
//   class_balanced    class-balancing reservoir sampling (Chrysakis and Moens, ICML 2020): classes of equal size as far
//                     as the stream has them, each a uniform sample of its events (without a time to live).
//   loss_prioritised  weighted sampling without replacement by the loss at arrival, held within kLossWeightMin and
//                     kLossWeightMax: A-Res of Efraimidis and Spirakis (2006), whose keys u^(1/w) stand here as
//                     -ln(u)/w: the largest leaves. Room that events leave by age goes to whoever comes next.
//   time_stratified   strata of event time with equal shares, each a uniform sample of its events: class-balancing
//                     reservoir sampling over strata (time_strata.h says how they widen as the stream grows).
//
// Threads: one owner.  Owns: counters and indexes.  Failure: load() checks what it is given.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/rng.h"
#include "core/status.h"
#include "storage/slot_index.h"

namespace freshet {

inline constexpr float kLossWeightMin = 1.0F / 64;
inline constexpr float kLossWeightMax = 64.0F;
// A loss as a weight; one that is not known, or not finite, weighs as a loss of 1.
float loss_weight(float loss);

class ReplayPolicy : public SlotIndex {
 public:
  virtual std::string_view name() const = 0;
  virtual SlotColumns columns() const { return {}; }

  // Makes ready for `item`. True: the slots in `leaving` (ascending) must be emptied first, then this called again.
  virtual bool prepare(const ReplayItem& /*item*/, SlotTable& /*table*/, const SlotView& /*view*/, Rng& /*rng*/,
                       std::vector<std::uint64_t>& /*leaving*/) {
    return false;
  }

  // The slot for `item`: table.size() to add one (only below the capacity), a filled slot to replace, nothing to leave
  // the item out. Fills in what of the item is the policy's. The table follows at once.
  virtual std::optional<std::uint64_t> place(ReplayItem& item, const SlotTable& table, Rng& rng) = 0;

  // The event in this slot is about to be removed, by age or erasure.
  virtual void removing(const SlotTable& /*table*/, std::uint64_t /*slot*/) {}
  // After a round of removals: `others` events of the same age were offered once and not held.
  virtual void settle(std::uint64_t /*held*/, std::uint64_t /*others*/) {}

  virtual void save(ByteWriter& writer) const = 0;
  virtual Status load(ByteReader& reader) = 0;
};

// Unknown names: kInvalidArgument that lists the known ones.
Result<std::unique_ptr<ReplayPolicy>> make_replay_policy(std::string_view name, std::uint64_t capacity);

}  // namespace freshet
