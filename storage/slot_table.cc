#include "storage/slot_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/bytes.h"

namespace freshet {

std::uint32_t SlotTable::to_seconds(std::int64_t time_ms) {
  constexpr std::int64_t kMax = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(time_ms / 1000, 0, kMax));
}

void SlotTable::touch(std::uint64_t slot) {
  const std::uint64_t page = slot / kSlotsPerPage;
  if (page >= dirty_.size()) dirty_.resize(page + 1, false);
  dirty_[page] = true;
}

void SlotTable::append(const ReplayItem& item) {
  seqs_.push_back(item.seq);
  if (with_times_) times_.push_back(to_seconds(item.time_ms));
  if (with_groups_) groups_.push_back(item.group);
  touch(seqs_.size() - 1);
}

void SlotTable::replace(std::uint64_t slot, const ReplayItem& item) {
  seqs_[slot] = item.seq;
  if (with_times_) times_[slot] = to_seconds(item.time_ms);
  if (with_groups_) groups_[slot] = item.group;
  touch(slot);
}

void SlotTable::remove(std::uint64_t slot) {
  seqs_[slot] = seqs_.back();
  seqs_.pop_back();
  if (with_times_) {
    times_[slot] = times_.back();
    times_.pop_back();
  }
  if (with_groups_) {
    groups_[slot] = groups_.back();
    groups_.pop_back();
  }
  if (slot < seqs_.size()) touch(slot);
  touch(seqs_.size());  // the page that became shorter
}

void SlotTable::sort_by_seq() {
  std::vector<std::uint64_t> order(size());
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  std::sort(order.begin(), order.end(), [&](std::uint64_t a, std::uint64_t b) { return seqs_[a] < seqs_[b]; });
  SlotTable sorted(with_times_, with_groups_);
  for (const std::uint64_t slot : order) sorted.append({seqs_[slot], std::int64_t{time_s(slot)} * 1000, group(slot)});
  seqs_ = std::move(sorted.seqs_);
  times_ = std::move(sorted.times_);
  groups_ = std::move(sorted.groups_);
  for (std::uint64_t slot = 0; slot < size(); slot += kSlotsPerPage) touch(slot);
}

void SlotTable::dirty_pages(const std::function<void(std::uint64_t, std::string_view)>& visitor) const {
  for (std::uint64_t page = 0; page < dirty_.size(); ++page) {
    if (!dirty_[page]) continue;
    const std::uint64_t first = page * kSlotsPerPage;
    const std::uint64_t count = first < size() ? std::min(kSlotsPerPage, size() - first) : 0;
    ByteWriter writer;  // no length inside: the value's size gives it
    writer.append(seqs_.data() + first, count * sizeof(std::uint64_t));
    if (with_times_) writer.append(times_.data() + first, count * sizeof(std::uint32_t));
    if (with_groups_) writer.append(groups_.data() + first, count * sizeof(std::uint16_t));
    visitor(page, writer.buffer());
  }
}

void SlotTable::clear_dirty() { dirty_.assign(dirty_.size(), false); }

std::uint64_t SlotTable::dirty_count() const {
  return static_cast<std::uint64_t>(std::count(dirty_.begin(), dirty_.end(), true));
}

void SlotTable::load_begin(std::uint64_t size) {
  seqs_.clear();
  times_.clear();
  groups_.clear();
  dirty_.clear();
  loaded_ = size;
}

Status SlotTable::load_page(std::uint64_t page, std::string_view bytes) {
  const std::uint64_t first = page * kSlotsPerPage;
  if (first >= loaded_) return Status::ok();  // the memory was longer when this page was written
  const std::uint64_t count = std::min(kSlotsPerPage, loaded_ - first);
  if (first != size() || bytes.size() != count * slot_bytes()) {
    return data_loss(fmt::format("page {} of the replay memory does not fit: {} bytes after {} of {} slots", page,
                                 bytes.size(), size(), loaded_));
  }
  ByteReader reader(bytes);
  seqs_.resize(first + count);
  reader.read(seqs_.data() + first, count * sizeof(std::uint64_t));
  if (with_times_) {
    times_.resize(first + count);
    reader.read(times_.data() + first, count * sizeof(std::uint32_t));
  }
  if (with_groups_) {
    groups_.resize(first + count);
    reader.read(groups_.data() + first, count * sizeof(std::uint16_t));
  }
  return Status::ok();
}

Status SlotTable::load_end() const {
  if (size() == loaded_) return Status::ok();
  return data_loss(fmt::format("the replay memory has {} of its {} slots", size(), loaded_));
}

}  // namespace freshet
