#include "storage/followed_slots.h"

#include <algorithm>

namespace freshet {

void FollowedSlots::follow_from(std::uint64_t seq, const SlotTable& slots) {
  if (on() && seq >= first_) {
    const std::uint64_t forgotten = std::min<std::uint64_t>(seq - first_, slots_.size());
    slots_.erase(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(forgotten));
    first_ = seq;
    return;
  }
  slots_.clear();
  first_ = seq;
  for (std::uint64_t slot = 0; slot < slots.size(); ++slot) placed(slots.seq(slot), slot);
}

void FollowedSlots::stop() {
  first_ = kNever;
  slots_.clear();
}

void FollowedSlots::place(std::uint64_t seq, std::uint64_t slot) {
  const std::uint64_t index = seq - first_;
  if (index >= slots_.size()) slots_.resize(index + 1, kNowhere);
  slots_[index] = static_cast<std::uint32_t>(slot);
}

}  // namespace freshet
