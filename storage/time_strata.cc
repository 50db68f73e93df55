#include "storage/time_strata.h"

#include <algorithm>
#include <cmath>

namespace freshet {
namespace {

constexpr std::uint64_t kStrataMost = 128;
constexpr std::uint64_t kEventsPerStratum = 8;
constexpr std::uint64_t kWidthMost = std::uint64_t{1} << 32;  // all of time, in seconds

// Adds a random choice of `count` of the `members` to `chosen`.
void choose(std::vector<std::uint64_t>& members, std::uint64_t count, Rng& rng, std::vector<std::uint64_t>& chosen) {
  for (std::uint64_t i = 0; i < count; ++i) {
    std::swap(members[i], members[i + rng.below(members.size() - i)]);
    chosen.push_back(members[i]);
  }
}

}  // namespace

std::uint64_t TimeStratified::strata_max(std::uint64_t capacity) {
  return std::clamp<std::uint64_t>(capacity / kEventsPerStratum, 2, kStrataMost);
}

bool TimeStratified::prepare(const ReplayItem& item, SlotTable& table, const SlotView& view, Rng& rng,
                             std::vector<std::uint64_t>& leaving) {
  const std::uint64_t number = number_of(item);
  if (strata_.contains(number)) return false;
  if (strata_.size() >= strata_max_) drop_empty_strata();
  if (strata_.size() < strata_max_) {
    begin_stratum(number);
    return false;
  }
  widen(table, view, rng, leaving);
  return true;
}

void TimeStratified::begin_stratum(std::uint64_t number) {
  std::vector<bool> used(strata_max_, false);
  for (const auto& [other, id] : strata_) used[id] = true;
  const auto free = std::find(used.begin(), used.end(), false);
  const auto id = static_cast<std::uint16_t>(free - used.begin());
  strata_.emplace(number, id);
  reservoir_.group(id) = {};
}

void TimeStratified::drop_empty_strata() {
  std::erase_if(strata_, [&](const auto& stratum) { return reservoir_.slots().count(stratum.second) == 0; });
}

void TimeStratified::widen(SlotTable& table, const SlotView& view, Rng& rng, std::vector<std::uint64_t>& leaving) {
  width_s_ *= 2;
  std::map<std::uint64_t, std::uint16_t> merged;
  std::vector<std::uint16_t> becomes(strata_max_);
  std::vector<std::uint64_t> leave(strata_max_, 0);  // how many events of each stratum
  for (const auto& [number, id] : strata_) {
    const auto [place, alone] = merged.try_emplace(number / 2, id);
    becomes[id] = place->second;
    if (alone) continue;
    BalancedReservoir::Group& whole = reservoir_.group(place->second);
    const BalancedReservoir::Group other = reservoir_.group(id);
    if (whole.full || other.full) {
      const auto held = [&](std::uint16_t stratum) { return static_cast<double>(reservoir_.slots().count(stratum)); };
      const auto seen = [](const BalancedReservoir::Group& group) { return static_cast<double>(group.seen); };
      const double rate = std::min(held(place->second) / seen(whole), held(id) / seen(other));
      const auto excess = [&](std::uint16_t stratum, const BalancedReservoir::Group& group) {
        const std::uint64_t have = reservoir_.slots().count(stratum);
        const double stays = std::floor(rate * seen(group) + rng.uniform());  // rate * seen on average
        return have - std::min(have, static_cast<std::uint64_t>(stays));
      };
      leave[place->second] = excess(place->second, whole);
      leave[id] = excess(id, other);
    }
    whole.seen += other.seen;
    whole.full = whole.full || other.full;
    reservoir_.group(id) = {};
  }
  std::vector<std::vector<std::uint64_t>> members(strata_max_);
  for (std::uint64_t slot = 0; slot < table.size(); ++slot) {
    const std::uint16_t id = table.strata()[slot];
    if (leave[id] > 0) members[id].push_back(slot);
    table.set_stratum(slot, becomes[id]);
  }
  for (std::uint64_t id = 0; id < strata_max_; ++id) choose(members[id], leave[id], rng, leaving);
  std::sort(leaving.begin(), leaving.end());
  strata_ = std::move(merged);
  rebuild(view);
}

std::optional<std::uint64_t> TimeStratified::place(ReplayItem& item, const SlotTable& table, Rng& rng) {
  item.stratum = strata_.at(number_of(item));
  return reservoir_.place(item.stratum, table.strata(), /*thin=*/true, rng);
}

void TimeStratified::removing(const SlotTable& table, std::uint64_t slot) {
  reservoir_.forget_one(table.strata()[slot]);
}

void TimeStratified::before(const SlotView& view, std::uint64_t slot) {
  reservoir_.slots().remove(view.table.strata()[slot], slot);
}

void TimeStratified::after(const SlotView& view, std::uint64_t slot) {
  if (slot < view.table.size()) reservoir_.slots().add(view.table.strata()[slot], slot);
}

void TimeStratified::save(ByteWriter& writer) const {
  writer.put(width_s_);
  writer.put<std::uint64_t>(strata_.size());
  for (const auto& [number, id] : strata_) {
    writer.put(number);
    writer.put(id);
  }
  reservoir_.save(writer);
}

Status TimeStratified::load(ByteReader& reader) {
  width_s_ = reader.get<std::uint64_t>();
  const auto count = reader.get<std::uint64_t>();
  if (!reader.ok() || width_s_ == 0 || width_s_ > kWidthMost || count > strata_max_) {
    return data_loss("the replay memory's header has impossible strata of time");
  }
  strata_.clear();
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto number = reader.get<std::uint64_t>();
    const auto id = reader.get<std::uint16_t>();
    if (id >= strata_max_) return data_loss("the replay memory's header has a stratum out of range");
    strata_[number] = id;
  }
  return reservoir_.load(reader);
}

}  // namespace freshet
