#include "storage/balanced_reservoir.h"

#include <algorithm>

namespace freshet {
namespace {

constexpr std::uint64_t kGroupsMax = 65536;

}  // namespace

BalancedReservoir::Group& BalancedReservoir::group(std::size_t group) {
  if (group >= groups_.size()) groups_.resize(group + 1);
  return groups_[group];
}

std::optional<std::uint64_t> BalancedReservoir::place(std::uint16_t group, std::span<const std::uint16_t> column,
                                                      bool thin, Rng& rng) {
  Group& own = this->group(group);
  ++own.seen;
  const std::uint64_t held = slots_.count(group);
  if (column.size() < capacity_) {
    if (!thin || !own.full) return column.size();
    // The others are here with probability held / seen before; so is this one.
    if (own.seen > 1 && rng.below(own.seen - 1) >= held) return std::nullopt;
    return column.size();
  }
  const std::uint16_t largest = pick_largest(rng);
  groups_[largest].full = true;
  if (!own.full) return any_of(largest, column, rng);
  if (rng.below(own.seen) >= held) return std::nullopt;
  return any_of(group, column, rng);
}

void BalancedReservoir::forget_one(std::uint16_t group) {
  Group& own = this->group(group);
  const std::uint64_t held = slots_.count(group);
  if (held <= 1) {  // the last one: the group begins anew
    own = Group{};
  } else {
    own.seen -= own.seen / held;
  }
}

std::uint16_t BalancedReservoir::pick_largest(Rng& rng) const {
  std::uint64_t most = 0;
  std::uint64_t ties = 0;
  std::uint16_t picked = 0;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const std::uint64_t held = slots_.count(g);
    if (held < most || held == 0) continue;
    ties = held > most ? 1 : ties + 1;
    most = held;
    if (ties == 1 || rng.below(ties) == 0) picked = static_cast<std::uint16_t>(g);
  }
  return picked;
}

void BalancedReservoir::save(ByteWriter& writer) const {
  writer.put<std::uint64_t>(groups_.size());
  for (const Group& group : groups_) {
    writer.put(group.seen);
    writer.put(group.full);
  }
}

Status BalancedReservoir::load(ByteReader& reader) {
  const auto count = reader.get<std::uint64_t>();
  if (count > kGroupsMax) return data_loss("the replay memory's header has too many groups");
  groups_.assign(count, Group{});
  for (Group& group : groups_) {
    group.seen = reader.get<std::uint64_t>();
    group.full = reader.get<bool>();
  }
  return Status::ok();
}

}  // namespace freshet
