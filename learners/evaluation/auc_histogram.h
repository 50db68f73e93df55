// AucHistogram: area under the ROC curve of a stream in bounded memory (1 MiB), whatever the length.
//
// A probability falls in one of 65,536 bins, 1,024 to each halving of min(p, 1-p) down to 2^-33, so that bins are as
// fine near 0 and 1, where rare events live, as in the middle. Pairs within a bin count half, as ties do. The value is
// therefore off by at most sum(P_b * N_b) / (2 P N) over the bins b (`error_bound`), in truth by far less.
//
// Threads: one owner.  Owns: its bins.  Failure: `load` answers data_loss for bytes that `save` did not write.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"

namespace freshet {

class AucHistogram {
 public:
  static constexpr std::uint32_t kBins = 65'536;

  AucHistogram() : bins_(kBins) {}

  // Rises with p; p outside [0, 1] counts as the nearer end.
  static std::uint32_t bin(float p) {
    constexpr std::uint32_t kHalf = kBins / 2;
    if (p > 0.5F) return kBins - 1 - lower_bin(1.0F - p);
    const std::uint32_t index = lower_bin(p);
    return index < kHalf ? index : kHalf - 1;
  }

  void add(float p, bool positive, double weight) {
    const std::uint32_t index = bin(p);
    bins_[index][positive ? 1 : 0] += weight;
    lowest_ = std::min(lowest_, index);
    highest_ = std::max(highest_, index);
  }

  void merge(const AucHistogram& other);
  void clear();

  // Nothing until both classes have been seen.
  std::optional<double> auc() const;
  std::optional<double> error_bound() const;

  void save(ByteWriter& out) const;  // used bins only
  Status load(ByteReader& in);

 private:
  // q in [0, 0.5], by exponent and the 10 highest bits of the mantissa.
  static std::uint32_t lower_bin(float q) {
    constexpr float kLeast = 0x1p-33F;
    if (!(q > kLeast)) return 0;
    const std::uint32_t index = (std::bit_cast<std::uint32_t>(q) - std::bit_cast<std::uint32_t>(kLeast)) >> 13;
    return index < kBins / 2 ? index : kBins / 2 - 1;
  }

  std::vector<std::array<double, 2>> bins_;  // weight of negatives, of positives
  std::uint32_t lowest_ = kBins;             // the range in use
  std::uint32_t highest_ = 0;
};

}  // namespace freshet
