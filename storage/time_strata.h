// TimeStratified: the replay policy that gives every age of the stream the same share of the memory. Event time is cut
// in strata of equal width; there are at most strata_max(capacity). When an event would begin one more, the width
// doubles: neighbours become one stratum, whose two samples are thinned to the smaller of their rates, so that it is a
// sample of all its events at one rate. The width begins at a second and follows the length of the stream.
//
// Inside a stratum every event has the same probability to be held; strata that have enough events differ in size by
// what was merged last, which evens out as events arrive, for the largest stratum is the one that gives way.
//
// Threads: one owner.  Owns: the strata, their counts.  Failure: load() checks what it is given.
#pragma once

#include <map>

#include "storage/balanced_reservoir.h"
#include "storage/replay_policy.h"

namespace freshet {

class TimeStratified final : public ReplayPolicy {
 public:
  explicit TimeStratified(std::uint64_t capacity) : strata_max_(strata_max(capacity)), reservoir_(capacity) {}

  // Between 2 and 128, with room for eight events each where there can be.
  static std::uint64_t strata_max(std::uint64_t capacity);

  std::string_view name() const override { return "time_stratified"; }
  SlotColumns columns() const override { return {.strata = true}; }
  bool prepare(const ReplayItem& item, SlotTable& table, const SlotView& view, Rng& rng,
               std::vector<std::uint64_t>& leaving) override;
  std::optional<std::uint64_t> place(ReplayItem& item, const SlotTable& table, Rng& rng) override;
  void removing(const SlotTable& table, std::uint64_t slot) override;
  void before(const SlotView& view, std::uint64_t slot) override;
  void after(const SlotView& view, std::uint64_t slot) override;
  void rebuild(const SlotView& view) override { reservoir_.slots().rebuild(view.table.strata()); }
  void save(ByteWriter& writer) const override;
  Status load(ByteReader& reader) override;

 private:
  std::uint64_t number_of(const ReplayItem& item) const { return SlotTable::to_seconds(item.time_ms) / width_s_; }
  void begin_stratum(std::uint64_t number);
  void drop_empty_strata();
  void widen(SlotTable& table, const SlotView& view, Rng& rng, std::vector<std::uint64_t>& leaving);

  std::uint64_t strata_max_;
  BalancedReservoir reservoir_;
  std::uint64_t width_s_ = 1;
  std::map<std::uint64_t, std::uint16_t> strata_;  // time / width -> the stratum's number in the slots
};

}  // namespace freshet
