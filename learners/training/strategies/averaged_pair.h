// AveragedPair: the two moving averages of a model that CLS-ER and Super-ER learn from, and the term that holds
// replayed rows to the better of them (Arani, Sarfraz and Zonooz, "Learning Fast, Learning Slow: A General Continual
// Learning Method based on Complementary Learning System", 2022).
//
// After each step either average moves, by chance, towards the weights by 1 - min(1 - 1 / (t + 1), decay), t counting
// steps from 1: the plastic one more often than the stable one.
//
// Threads: the trainer.  Owns: the averages and a generator of its own.  Failure: what the weights' engine refuses.
#pragma once

#include <memory>
#include <vector>

#include "core/rng.h"
#include "learners/training/strategies/part_losses.h"
#include "learners/training/strategy.h"

namespace freshet::strategies {

class AveragedPair {
 public:
  AveragedPair(const ClsErOptions& options, std::uint64_t seed) : options_(options), rng_(seed ^ kSeedMix) {}
  static Status check(const ClsErOptions& options, std::string_view strategy);

  Status attach(TrainedWeights& weights);
  // Adds `factor` * the mean over rows and outputs of (output - the same of the better average)^2: for each row that
  // one which has the smaller loss, of equal ones the stable one.
  Status add_consistency(const Loss& loss, const RowRange& part, std::span<const float> outputs, float factor,
                         std::span<float> gradients);
  Status after_step();
  Status went_back();  // both begin anew at the weights

  Status save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  static constexpr std::uint64_t kSeedMix = 0x636C735F65720001;

  ClsErOptions options_;
  Rng rng_;
  std::uint64_t steps_ = 0;
  std::unique_ptr<WeightsCopy> stable_, plastic_;
  std::vector<float> stable_losses_, plastic_losses_;
  std::vector<float> targets_;  // [rows, outputs]
};

}  // namespace freshet::strategies
