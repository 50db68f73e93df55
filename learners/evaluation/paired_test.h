// PairedTest: two models on the same events: is the challenger worse, is it better? It may be asked after every event,
// and for as long as one likes, and errs with probability alpha at most over all of that.
//
// Each side is a bet against "the mean difference of the losses is not on my side" with a fortune that begins at 1:
// under that hypothesis it reaches 1 / alpha with probability alpha at most (Ville's inequality). Stakes follow the
// mean and variance of earlier differences (aGRAPA of Waudby-Smith and Ramdas, "Estimating means of bounded random
// variables by betting", 2023). What may be staked depends on how much can be lost: differences are divided by the
// largest bound so far, which must not depend on the events' labels, or many cheap events would outvote the rare dear
// ones. Without bounds (a regression) the largest difference so far stands in, a new one is clipped to it, and the
// first kBurnInRows rows only set it.
//
// Threads: one owner.  Owns: its sums.  Failure: load() answers data_loss for bytes cut short.
#pragma once

#include <cstdint>
#include <span>

#include "core/bytes.h"
#include "core/status.h"

namespace freshet {

class PairedTest {
 public:
  static constexpr std::uint64_t kBurnInRows = 32;

  explicit PairedTest(double alpha = 0.05);

  // Losses of the same events under both, and their weights: rows whose weight is not above 0 are passed over. A loss
  // of the challenger that is not finite counts as much worse, one of the incumbent as much better, both as equal.
  // bounds: of each row, how much the losses could differ, whatever its label were (ModelComparison); empty: not known.
  void add(std::span<const float> challenger, std::span<const float> incumbent, std::span<const float> weights,
           std::span<const float> bounds);

  bool challenger_worse() const { return worse_.highest >= threshold_; }
  bool challenger_better() const { return better_.highest >= threshold_; }
  // Against "not worse" and "not better": the highest fortune so far, as its natural logarithm; -log(alpha) decides.
  double evidence_worse() const { return worse_.highest; }
  double evidence_better() const { return better_.highest; }
  std::uint64_t rows() const { return rows_; }
  // Of the challenger's loss minus the incumbent's, in units of the loss; 0 without rows.
  double mean_difference() const;

  void clear();
  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  struct Bet {
    double fortune = 0;  // natural logarithm
    double highest = 0;
    void place(double stake, double outcome);
  };

  double threshold_;
  std::uint64_t rows_ = 0;
  double scale_ = 0;       // the largest bound, or difference, so far
  double difference_ = 0;  // sum over rows
  double shares_ = 0;      // sum of clipped differences in units of the scale
  double squares_ = 0;
  Bet worse_;
  Bet better_;
};

}  // namespace freshet
