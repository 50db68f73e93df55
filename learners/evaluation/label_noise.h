// LabelNoise: what the served model's losses would be if a share of the labels were drawn blindly: a model flattened
// towards uniform by just that share, which is followed as events come.
//
// It tells noise from change. Labels that turn noisy make every confident model worse, and a model that learns from
// them better, but no better than the old one flattened; where the world changed, a model that learns beats that.
// The mixture (1 - share) * p + share / classes needs only p of the true class, exp(-loss); the share follows its
// likelihood by the online Newton step (Hazan, Agarwal and Kale, "Logarithmic regret algorithms for online convex
// optimization", 2007), here with a memory that fades.
//
// Threads: one owner.  Owns: three numbers.  Failure: load() answers data_loss for bytes cut short.
#pragma once

#include <cstdint>
#include <span>

#include "core/bytes.h"
#include "core/status.h"

namespace freshet {

class LabelNoise {
 public:
  explicit LabelNoise(std::uint32_t classes) : classes_(classes) {}

  // losses: cross-entropies of events under the model. flattened: those of the flattened model; each follows from the
  // share as it was before its event, then the event moves the share.
  void flatten(std::span<const float> losses, std::span<float> flattened);

  double share() const { return share_; }
  std::uint64_t rows() const { return rows_; }

  void clear();
  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  std::uint32_t classes_;
  std::uint64_t rows_ = 0;
  double share_ = kInitialShare;
  double curvature_ = 0;  // sum of squared slopes, fading
  static constexpr double kInitialShare = 0.02;
};

}  // namespace freshet
