// The made-up streams of the drift benchmark: losses and errors of a model, with and without a change.
//
// Threads: one owner.  Owns: its generator.  Failure: none.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/rng.h"

namespace freshet::bench {

enum class Shape : std::uint8_t {
  kAbrupt,      // the error rate goes from 0.1 to 0.3 at once
  kSmall,       // from 0.1 to 0.15
  kGradual,     // over 2,000 events more and more of them come from the new concept
  kRamp,        // the rate rises evenly over 5,000 events
  kSpike,       // to 0.4 at once, then back within 2,000 events as the model learns
  kSteady,      // no change, nor in the others below
  kHeavy,       // losses with a heavy tail (Pareto of index 2.5)
  kCorrelated,  // neighbours resemble each other (autoregressive, 0.9)
  kWobble,      // the rate differs a little from round to round of 1,024 events
  kPeriodic,    // the rate swings by a half every 5,000 events
  kLearning,    // the rate falls from 0.5 to 0.1 as a model learns
};

struct ShapeOfStream {
  Shape shape;
  std::string_view name;
  bool changes;
};
inline constexpr std::array<ShapeOfStream, 11> kShapes = {{{Shape::kAbrupt, "abrupt", true},
                                                           {Shape::kSmall, "small", true},
                                                           {Shape::kGradual, "gradual", true},
                                                           {Shape::kRamp, "ramp", true},
                                                           {Shape::kSpike, "spike", true},
                                                           {Shape::kSteady, "steady", false},
                                                           {Shape::kHeavy, "heavy-tailed", false},
                                                           {Shape::kCorrelated, "correlated", false},
                                                           {Shape::kWobble, "wobbling", false},
                                                           {Shape::kPeriodic, "periodic", false},
                                                           {Shape::kLearning, "learning", false}}};

struct ScoredNumbers {
  float loss = 0;
  float error = 0;
};

class DriftStream {
 public:
  DriftStream(Shape shape, std::uint64_t seed, std::uint64_t change_at) : shape_(shape), at_(change_at), rng_(seed) {}

  ScoredNumbers next();

 private:
  double rate();

  Shape shape_;
  std::uint64_t at_;
  Rng rng_;
  std::uint64_t position_ = 0;
  double state_ = 0;  // of a stream whose neighbours resemble each other
};

}  // namespace freshet::bench
