// ReplaySampler: which of the held events are replayed. draw() takes n distinct slots; its choices depend on the slots,
// their metadata and the generator alone, all of which a checkpoint keeps.
//
//   uniform         every set of n events with the same probability (Floyd's algorithm).
//   class_balanced  one after the other: a class, each with the same probability among those with events left, then an
//                   event, each with the same probability among those of the class that are left.
//   priority        one after the other, each with probability in proportion to its weight among those left:
//                   loss^alpha, of the loss as it is known last, held within kLossWeightMin and kLossWeightMax and
//                   rounded down to one of eight steps from each power of two to the next (Schaul, Quan, Antonoglou,
//                   Silver: Prioritized Experience Replay, ICLR 2016).
//   recency         the same with a weight that halves for every `half_life` events that an event lies further back, in
//                   sixteen steps of 2^(-1/16).
//
// A draw costs the same however many events are held, but for the levels of a tree 64 wide (storage/block_tree.h).
//
// Threads: one owner.  Owns: an index over the slots.  Failure: none; make_replay_sampler() refuses what it cannot be.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/rng.h"
#include "core/status.h"
#include "storage/slot_index.h"

namespace freshet {

struct SamplerOptions {
  std::string_view kind = "uniform";
  double priority_alpha = 0.6;
  std::uint64_t recency_half_life = 100'000;
};

class ReplaySampler : public SlotIndex {
 public:
  virtual std::string_view name() const = 0;
  virtual SlotColumns columns() const { return {}; }
  virtual bool follows_losses() const { return false; }  // wants after() when a loss changes

  // Adds n <= view.table.size() distinct slots to `slots`.
  virtual void draw(std::uint64_t n, const SlotView& view, Rng& rng, std::vector<std::uint64_t>& slots) = 0;
};

// Unknown names, and numbers out of range: kInvalidArgument.
Result<std::unique_ptr<ReplaySampler>> make_replay_sampler(const SamplerOptions& options);

}  // namespace freshet
