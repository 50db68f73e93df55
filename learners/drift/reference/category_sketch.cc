#include "learners/drift/reference/category_sketch.h"

#include <algorithm>

namespace freshet {
namespace {

constexpr std::size_t kSlots = 4 * CategorySketch::kCategories;  // a power of two

}  // namespace

CategorySketch::CategorySketch() : slots_(kSlots) { entries_.reserve(kCategories); }

// Where the value is, or where it would go.
std::size_t CategorySketch::slot_of(std::uint32_t value) const {
  std::size_t slot = (value * 0x9E3779B1U) >> 8 & (kSlots - 1);
  while (slots_[slot] != 0 && entries_[slots_[slot] - 1U].value != value) slot = (slot + 1) & (kSlots - 1);
  return slot;
}

void CategorySketch::index() {
  std::ranges::fill(slots_, std::uint16_t{0});
  for (std::size_t place = 0; place < entries_.size(); ++place) {
    slots_[slot_of(entries_[place].value)] = static_cast<std::uint16_t>(place + 1);
  }
}

void CategorySketch::add(std::uint32_t value) {
  ++count_;
  const std::size_t slot = slot_of(value);
  if (slots_[slot] != 0) {
    ++entries_[slots_[slot] - 1U].count;
    return;
  }
  if (entries_.size() < kCategories) {
    entries_.push_back({value, 1, 0});
    slots_[slot] = static_cast<std::uint16_t>(entries_.size());
    return;
  }
  // The rarest makes room and leaves its count, which may have been the new one's.
  Entry& rarest = *std::ranges::min_element(entries_, {}, &Entry::count);
  rarest = {value, rarest.count + 1, rarest.count};
  index();
}

void CategorySketch::save(ByteWriter& out) const {
  out.put(count_);
  out.put<std::uint64_t>(entries_.size());
  for (const Entry& entry : entries_) {
    out.put(entry.value);
    out.put(entry.count);
    out.put(entry.error);
  }
}

bool CategorySketch::load(ByteReader& in) {
  count_ = in.get<std::uint64_t>();
  const auto entries = in.get<std::uint64_t>();
  entries_.clear();
  std::ranges::fill(slots_, std::uint16_t{0});
  if (entries > kCategories) return false;
  std::uint64_t counted = 0;
  for (std::size_t i = 0; i < entries; ++i) {
    Entry entry;
    entry.value = in.get<std::uint32_t>();
    entry.count = in.get<std::uint64_t>();
    entry.error = in.get<std::uint64_t>();
    if (!in.ok() || slots_[slot_of(entry.value)] != 0) return false;
    entries_.push_back(entry);
    slots_[slot_of(entry.value)] = static_cast<std::uint16_t>(entries_.size());
    counted += entry.count;
  }
  return counted == count_;
}

}  // namespace freshet
