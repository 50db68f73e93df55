#include "storage/slot_index.h"

namespace freshet {
namespace {

constexpr std::uint64_t kBlock = 1024;
constexpr std::uint64_t kWide = 64 * kBlock;

}  // namespace

void GroupSlots::add(std::uint16_t group, std::uint64_t slot) {
  if (group >= rows_.size()) rows_.resize(std::size_t{group} + 1);
  Row& row = rows_[group];
  if (slot / kWide >= row.wide.size()) row.wide.resize(slot / kWide + 1);
  if (slot / kBlock >= row.blocks.size()) row.blocks.resize(slot / kBlock + 1);
  ++row.total;
  ++row.wide[slot / kWide];
  ++row.blocks[slot / kBlock];
}

void GroupSlots::remove(std::uint16_t group, std::uint64_t slot) {
  Row& row = rows_[group];
  --row.total;
  --row.wide[slot / kWide];
  --row.blocks[slot / kBlock];
}

void GroupSlots::rebuild(std::span<const std::uint16_t> column) {
  rows_.clear();
  for (std::uint64_t slot = 0; slot < column.size(); ++slot) add(column[slot], slot);
}

std::uint64_t GroupSlots::slot(std::uint16_t group, std::uint64_t k, std::span<const std::uint16_t> column) const {
  const Row& row = rows_[group];
  std::uint64_t wide = 0;
  while (wide < row.wide.size() && k >= row.wide[wide]) k -= row.wide[wide++];
  std::uint64_t block = wide * (kWide / kBlock);
  while (block < row.blocks.size() && k >= row.blocks[block]) k -= row.blocks[block++];
  for (std::uint64_t slot = block * kBlock; slot < column.size(); ++slot) {
    if (column[slot] == group && k-- == 0) return slot;
  }
  abort_with("a group of the replay memory has fewer slots than were counted");
}

}  // namespace freshet
