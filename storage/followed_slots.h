// FollowedSlots: where the newest events of the memory stand, by their seq: so that what training says of the events of
// a round finds them again, at a cost of the round and not of the memory.
//
// Threads: one owner.  Owns: 4 bytes for each seq from the first followed one on.  Failure: none.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "storage/slot_table.h"

namespace freshet {

class FollowedSlots {
 public:
  // Follows events from `seq` on, forgetting those before. Looks at every slot when there was nothing followed before,
  // or later events alone.
  void follow_from(std::uint64_t seq, const SlotTable& slots);
  void stop();
  bool on() const { return first_ != kNever; }

  // The memory says what happens to its slots. Events come in ascending seqs without large gaps.
  void placed(std::uint64_t seq, std::uint64_t slot) {
    if (seq >= first_) place(seq, slot);
  }
  void gone(std::uint64_t seq) {
    if (seq >= first_ && seq - first_ < slots_.size()) slots_[seq - first_] = kNowhere;
  }

  // Nothing: it is not in the memory, or not followed.
  std::optional<std::uint64_t> slot_of(std::uint64_t seq) const {
    if (seq < first_ || seq - first_ >= slots_.size() || slots_[seq - first_] == kNowhere) return std::nullopt;
    return slots_[seq - first_];
  }

 private:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  static constexpr std::uint32_t kNowhere = std::numeric_limits<std::uint32_t>::max();
  static_assert(kSlotsMax < kNowhere);

  void place(std::uint64_t seq, std::uint64_t slot);

  std::uint64_t first_ = kNever;
  std::vector<std::uint32_t> slots_;  // of seq first_ + i
};

}  // namespace freshet
