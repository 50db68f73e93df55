#include "storage/slot_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/bytes.h"

namespace freshet {

std::uint32_t SlotTable::to_seconds(std::int64_t time_ms) {
  constexpr std::int64_t kMax = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(time_ms / 1000, 0, kMax));
}

// The order of the columns here is their order in a page.
template <typename Visit>
void SlotTable::each_column(const Visit& visit) {
  visit(seqs_, [](const ReplayItem& item) { return item.seq; });
  if (with_.times) visit(times_, [](const ReplayItem& item) { return to_seconds(item.time_ms); });
  if (with_.groups) visit(groups_, [](const ReplayItem& item) { return item.group; });
  if (with_.strata) visit(strata_, [](const ReplayItem& item) { return item.stratum; });
  if (with_.keys) visit(keys_, [](const ReplayItem& item) { return item.key; });
}

void SlotTable::touch(std::uint64_t slot) {
  const std::uint64_t page = slot / kSlotsPerPage;
  if (page >= dirty_.size()) dirty_.resize(page + 1, false);
  dirty_[page] = true;
}

void SlotTable::append(const ReplayItem& item) {
  each_column([&](auto& column, const auto& value) { column.push_back(value(item)); });
  touch(size() - 1);
}

void SlotTable::replace(std::uint64_t slot, const ReplayItem& item) {
  each_column([&](auto& column, const auto& value) { column[slot] = value(item); });
  touch(slot);
}

void SlotTable::remove(std::uint64_t slot) {
  each_column([&](auto& column, const auto&) {
    column[slot] = column.back();
    column.pop_back();
  });
  if (slot < size()) touch(slot);
  touch(size());  // the page that became shorter
}

void SlotTable::set_stratum(std::uint64_t slot, std::uint16_t stratum) {
  if (strata_[slot] == stratum) return;
  strata_[slot] = stratum;
  touch(slot);
}

void SlotTable::dirty_pages(const std::function<void(std::uint64_t, std::string_view)>& visitor) const {
  for (std::uint64_t page = 0; page < dirty_.size(); ++page) {
    if (!dirty_[page]) continue;
    const std::uint64_t first = page * kSlotsPerPage;
    const std::uint64_t count = first < size() ? std::min(kSlotsPerPage, size() - first) : 0;
    ByteWriter writer;  // no length inside: the value's size gives it
    writer.append(seqs_.data() + first, count * sizeof(std::uint64_t));
    if (with_.times) writer.append(times_.data() + first, count * sizeof(std::uint32_t));
    if (with_.groups) writer.append(groups_.data() + first, count * sizeof(std::uint16_t));
    if (with_.strata) writer.append(strata_.data() + first, count * sizeof(std::uint16_t));
    if (with_.keys) writer.append(keys_.data() + first, count * sizeof(float));
    visitor(page, writer.buffer());
  }
}

void SlotTable::clear_dirty() { dirty_.assign(dirty_.size(), false); }

std::uint64_t SlotTable::dirty_count() const {
  return static_cast<std::uint64_t>(std::count(dirty_.begin(), dirty_.end(), true));
}

void SlotTable::load_begin(std::uint64_t size) {
  each_column([](auto& column, const auto&) { column.clear(); });
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
  each_column([&](auto& column, const auto&) {
    column.resize(first + count);
    reader.read(column.data() + first, count * sizeof(column.front()));
  });
  return Status::ok();
}

Status SlotTable::load_end() const {
  if (size() == loaded_) return Status::ok();
  return data_loss(fmt::format("the replay memory has {} of its {} slots", size(), loaded_));
}

}  // namespace freshet
