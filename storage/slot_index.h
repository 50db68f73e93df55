// SlotIndex: what policies and samplers keep over the slots so that they need not look at all of them. The memory tells
// an index of every slot that changes. An index is never stored: rebuild() makes it from the slots, and what it answers
// must not depend on how they came to be as they are.
//
//   ExtremeSlot  the slot that a column puts first: the oldest event, the largest key.
//   GroupSlots   the k-th slot of a group, in the order of the slots.
//
// Threads: one owner.  Owns: its nodes or counts.  Failure: none.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "storage/block_tree.h"
#include "storage/replay_metadata.h"
#include "storage/slot_table.h"

namespace freshet {

struct SlotView {
  const SlotTable& table;
  const ReplayMetadata& metadata;
};

class SlotIndex {
 public:
  virtual ~SlotIndex() = default;
  // Around each change of a slot; after a removal, after() names a slot that is no more.
  virtual void before(const SlotView&, std::uint64_t) {}
  virtual void after(const SlotView&, std::uint64_t) {}
  virtual void rebuild(const SlotView&) {}
};

// Order::first(table, a, b): whether slot a comes before slot b; the lower slot wins a tie.
template <typename Order>
class ExtremeSlot {
 public:
  void update(const SlotTable& table, std::uint64_t slot) { tree_.update(slot, leaf(table), join(table)); }
  void rebuild(const SlotTable& table) { tree_.rebuild(table.size(), leaf(table), join(table)); }
  // The table must not be empty.
  std::uint64_t first(const SlotTable& table) const { return tree_.node(tree_.root_level(table.size()), 0).slot; }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Node {
    std::uint32_t slot = kNone;
  };
  static auto leaf(const SlotTable& table) {
    return [&table](std::uint64_t begin) {
      const std::uint64_t end = std::min(begin + kBlockSlots, table.size());
      if (begin >= end) return Node{};
      std::uint64_t best = begin;
      for (std::uint64_t slot = begin + 1; slot < end; ++slot) {
        if (Order::first(table, slot, best)) best = slot;
      }
      return Node{static_cast<std::uint32_t>(best)};
    };
  }
  static auto join(const SlotTable& table) {
    return [&table](std::span<const Node> nodes) {
      Node best;
      for (const Node& node : nodes) {
        if (node.slot == kNone) continue;
        if (best.slot == kNone || Order::first(table, node.slot, best.slot)) best = node;
      }
      return best;
    };
  }
  BlockTree<Node> tree_;
};

// Costs 2 bytes for each group and 1024 slots. `column` is the table's groups or strata.
class GroupSlots {
 public:
  void add(std::uint16_t group, std::uint64_t slot);
  void remove(std::uint16_t group, std::uint64_t slot);
  void rebuild(std::span<const std::uint16_t> column);

  std::size_t groups() const { return rows_.size(); }  // above the largest that was ever there
  std::uint64_t count(std::size_t group) const { return group < rows_.size() ? rows_[group].total : 0; }
  std::uint64_t slot(std::uint16_t group, std::uint64_t k, std::span<const std::uint16_t> column) const;

 private:
  struct Row {
    std::uint64_t total = 0;
    std::vector<std::uint32_t> wide;    // of 65536 slots each
    std::vector<std::uint16_t> blocks;  // of 1024 slots each
  };
  std::vector<Row> rows_;
};

}  // namespace freshet
