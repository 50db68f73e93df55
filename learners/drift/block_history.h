// BlockHistory: the newest events of a statistic, as means and spreads of blocks of them, for telling what it was like
// before a change.
//
// Noise is measured between blocks as well as between events: in a stream whose neighbours resemble each other (a model
// that wobbles from round to round, hours of a day) the mean of many events is less certain than as many independent
// ones would make it. It is measured on both sides of the change, around the mean of each: where there is a cycle, what
// looks like a change is one of its many rises. The estimate is that of batch means (G. S. Fishman, Grouping
// Observations in Digital Simulation, Management Science 24, 1978).
//
// Threads: one owner.  Owns: a ring of kBlocks summaries, 12 KiB.  Failure: `load` is false for damaged bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/bytes.h"

namespace freshet {

// Mean and spread of some numbers (Welford 1962; put together as by Chan, Golub and LeVeque 1983).
struct MeanAndSpread {
  double count = 0;
  double mean = 0;
  double squares = 0;  // of the distances from the mean, summed

  void add(double value);
  void add(const MeanAndSpread& other);
  double variance() const { return count > 1 ? squares / (count - 1) : 0; }
  void save(ByteWriter& out) const;
  bool load(ByteReader& in);
};

// What the statistic was like before a change.
struct Baseline {
  MeanAndSpread events;
  double long_run_variance = 0;    // times 1 / n: the variance of the mean of n events
  double after = 0;                // mean of the events that came after it, up to now
  std::uint64_t events_since = 0;  // how many came after it, up to now
};

enum class ChangeDirection : std::uint8_t { kRise, kFall, kBoth };

class BlockHistory {
 public:
  static constexpr std::size_t kBlockEvents = 32;
  static constexpr std::size_t kBlocks = 512;
  static constexpr std::size_t kBaselineBlocksMin = 8;

  BlockHistory();

  void add(double value);

  // The events before the place where those after it differ most in their mean, in this direction (the change point of
  // least squares), where that is 3 standard errors or more; else all but the newest block, where that moved in this
  // direction. None where neither is so, or fewer than kBaselineBlocksMin blocks are before.
  std::optional<Baseline> before_change(ChangeDirection direction) const;

  // Forgets all but about the newest so many events.
  void keep_newest(std::uint64_t events);

  void save(ByteWriter& out) const;
  bool load(ByteReader& in);

 private:
  const MeanAndSpread& block(std::size_t age_order) const { return ring_[(first_ + age_order) % kBlocks]; }
  std::optional<Baseline> before_split(std::size_t split, ChangeDirection direction, double deviations) const;
  double long_run_variance(std::size_t split, const MeanAndSpread& before, double mean_after) const;

  std::vector<MeanAndSpread> ring_;
  std::size_t first_ = 0;  // the oldest block
  std::size_t count_ = 0;
  MeanAndSpread current_;  // the block that is not full yet
};

}  // namespace freshet
