// StateAverage: the mean of the training weights of several saved learners of one model, such as those of the last
// checkpoints: layer by layer, summed in float32 as OpenNMT-tf's average of checkpoints does. What is not a
// floating-point weight (integer buffers, counters) is the newest state's. An embedding row that had not moved yet in
// an older state counts with its initial value, which follows from the seed; a row that moved in none stays at it.
//
// Threads: one owner.  Owns: a learner to read states with, and the sum.
// Failure: a state of another model, or with a weight that is not finite, is refused; the average then is of no use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/encoded_batch.h"
#include "core/status.h"
#include "learners/training/learner.h"

namespace freshet {

class StateAverage {
 public:
  // `options` are those that the states were saved with.
  static Result<StateAverage> create(const LearnerOptions& options, const EncodedLayout& layout);

  // What Learner::save() wrote; oldest first.
  Status add(std::string_view state);
  std::size_t count() const { return count_; }
  std::uint64_t steps() const { return learner_->steps(); }  // of the newest one

  // A learner that publishes the average, whichever weights are configured to be published; its saved state keeps the
  // average and nothing of the states' own averages. At least one state was added; not to be used again.
  Result<std::unique_ptr<Learner>> take();

 private:
  explicit StateAverage(std::unique_ptr<Learner> learner) : learner_(std::move(learner)) {}

  std::unique_ptr<Learner> learner_;  // holds the newest state
  std::vector<float> sum_;
  std::vector<float> weights_;         // of the newest state
  std::vector<float> before_;          // of the one before
  std::vector<std::uint8_t> differs_;  // weights that are not the same in all states
  std::size_t count_ = 0;
};

}  // namespace freshet
