// BlockTree: a tree over the slots of the replay memory, 64 wide, in which each node sums up its 64 children. A node is
// always computed anew from its children in their order, never corrected by differences: it is a function of what the
// slots hold now, the same after a restart as without one, also in floating point.
//
// A change costs a pass over 64 children a level; 20 million slots have five levels, any number of them at most six.
//
// Threads: one owner.  Owns: a node for each 64 slots, and for each 64 nodes.  Failure: none.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace freshet {

inline constexpr std::uint64_t kBlockSlots = 64;

template <typename Node>
class BlockTree {
 public:
  // leaf(first slot) sums up slots [first, first + 64); join(children) sums up nodes, where empty ones are Node{}.
  template <typename Leaf, typename Join>
  void update(std::uint64_t slot, const Leaf& leaf, const Join& join) {
    std::uint64_t block = slot / kBlockSlots;
    for (std::size_t level = 0;; ++level, block /= kBlockSlots) {
      if (level == levels_.size()) levels_.emplace_back();
      if (block >= levels_[level].size()) levels_[level].resize(block + 1);
      levels_[level][block] = level == 0 ? leaf(block * kBlockSlots) : join(children(level, block));
      if (levels_[level].size() == 1) return;
    }
  }

  template <typename Leaf, typename Join>
  void rebuild(std::uint64_t size, const Leaf& leaf, const Join& join) {
    levels_.clear();
    for (std::uint64_t count = size; levels_.empty() || count > 1;) {
      count = (count + kBlockSlots - 1) / kBlockSlots;
      std::vector<Node> nodes(count);
      const std::size_t level = levels_.size();
      for (std::uint64_t block = 0; block < count; ++block) {
        nodes[block] = level == 0 ? leaf(block * kBlockSlots) : join(children(level, block));
      }
      levels_.push_back(std::move(nodes));
    }
  }

  // The level whose first node covers `size` slots: the tree may be taller, having been larger.
  std::size_t root_level(std::uint64_t size) const {
    std::size_t level = 0;
    for (std::uint64_t count = size; count > kBlockSlots; ++level) count = (count + kBlockSlots - 1) / kBlockSlots;
    return level;
  }
  const Node& node(std::size_t level, std::uint64_t block) const { return levels_[level][block]; }

  // Of a node above the lowest level.
  std::span<const Node> children(std::size_t level, std::uint64_t block) const {
    const std::vector<Node>& below = levels_[level - 1];
    const std::uint64_t first = std::min<std::uint64_t>(block * kBlockSlots, below.size());
    return std::span<const Node>(below).subspan(first, std::min<std::uint64_t>(kBlockSlots, below.size() - first));
  }

 private:
  std::vector<std::vector<Node>> levels_;
};

}  // namespace freshet
