// QuantileSketch: the distribution of a stream of numbers in bounded memory, mergeable (Z. Karnin, K. Lang and
// E. Liberty, Optimal Quantile Approximation in Streams, FOCS 2016). The first kExact numbers are kept as they are;
// after that ranks are off by about 0.2 % of the count. Mean, spread, extremes and missing numbers are counted exactly.
//
// Threads: one owner.  Owns: at most about 3 * kExact numbers, 12 KiB; allocates only when the count doubles.
// Failure: `load` is false for damaged bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "core/bytes.h"
#include "core/rng.h"
#include "learners/drift/block_history.h"  // MeanAndSpread

namespace freshet {

class QuantileSketch {
 public:
  static constexpr std::size_t kExact = 1024;

  // Numbers that stand for `weight` of those that came.
  struct Item {
    double value = 0;
    double weight = 0;
  };

  explicit QuantileSketch(std::uint64_t seed = 1);

  // What is not finite counts as missing.
  void add(float value);
  void merge(const QuantileSketch& other);

  std::uint64_t count() const { return count_; }  // missing ones aside
  std::uint64_t missing() const { return missing_; }
  const MeanAndSpread& moments() const { return moments_; }
  std::vector<Item> items() const;  // by value, ascending; their weights add up to the count

  void save(ByteWriter& out) const;
  bool load(ByteReader& in);

 private:
  std::size_t capacity(std::size_t level) const;
  void compact();
  void promote(std::size_t level);

  std::vector<std::vector<float>> levels_;  // an item of level l stands for 2^l numbers
  MeanAndSpread moments_;
  std::uint64_t count_ = 0;
  std::uint64_t missing_ = 0;
  Rng rng_;
};

}  // namespace freshet
