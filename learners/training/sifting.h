// Sifter: which rows of a round are worth a step. A row is kept with the probability (percentile of its loss within the
// last `loss_history` losses)^beta (Jiang et al., "Accelerating Deep Learning by Focusing on the Biggest Losers", 2019;
// the relative probabilistic sifting of SageMaker), so 1 / (1 + beta) of the rows are kept on average. The losses are
// those that are known already: of the progressive evaluation for fresh rows, of the replay memory for replayed ones,
// so that choosing costs no forward pass, and what is not replayed need not be read. A row whose loss is not known is
// kept.
//
//   relative_probabilistic  fresh and replayed rows in one history.
//   rho                     fresh rows by how far their loss lies above that under the moving average of the weights,
//                           which leaves out noise as well as what is known (after Mindermann et al., "Prioritized
//                           Training on Points that are Learnable, Worth Learning, and Not Yet Learnt", ICML 2022);
//                           costs a forward pass of each fresh row. Replayed rows by their stored loss, in a history of
//                           their own.
//
// What choosing costs and saves is counted in units of SiftingCosts, never by a clock: the same events always give the
// same choices. Where it does not pay for a window of rows, sifting rests for many windows and then tries again.
//
// Threads: the trainer.  Owns: the histories, generator, counts; all of them are part of a learner's state.
// Failure: create() refuses options out of bounds, load() bytes that do not fit.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/rng.h"
#include "core/status.h"

namespace freshet {

enum class SiftingKind : std::uint8_t { kNone, kRelativeProbabilistic, kRho };
Result<SiftingKind> parse_sifting(std::string_view name);

struct SiftingOptions {
  SiftingKind kind = SiftingKind::kNone;
  double beta = 0.5;
  double replay_beta = 0.0;  // of replayed rows; 0: as beta
  std::uint32_t loss_history = 500;
  std::uint64_t delay_steps = 10;  // rounds that begin before so many steps are trained whole
  bool reweigh = false;            // a kept row weighs the inverse of its probability: no bias towards high losses
  bool only_where_it_pays = true;
  std::uint64_t seed = 1;
};

// In the multiplications of a step, about; a function of the model's shape alone.
struct SiftingCosts {
  std::uint64_t row = 0;      // forward and backward pass of a row
  std::uint64_t step = 0;     // of a step, whatever its rows
  std::uint64_t forward = 0;  // forward pass of a row
  std::uint64_t choice = 0;   // to look at a row
};
SiftingCosts sifting_costs(std::uint64_t dense_weights, std::uint64_t row_values);

// The last losses, counted in bins of a 32nd of an octave, so that a percentile takes one look and a loss costs the
// same whatever the length; two losses that differ by less than 3 % may count as equal.
class LossHistory {
 public:
  explicit LossHistory(std::uint32_t length);
  // Takes in those that are finite, each in place of the oldest of a full history.
  void take(std::span<const float> losses);
  // Of the finite losses held now, how many are not above one of them. After take() rank() makes it so.
  void rank();
  std::uint32_t not_above(float loss) const { return not_above_[bin_of(loss)]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(losses_.size()); }
  std::uint32_t length() const { return length_; }
  void save(ByteWriter& out) const;
  Status load(ByteReader& in);  // of another length: the newest that fit

 private:
  static constexpr std::uint32_t kBinsASign = 1U << 13;  // 256 octaves
  // Ascends with the loss: sign, exponent and the first five bits of the fraction.
  static std::uint32_t bin_of(float loss) {
    const auto bits = std::bit_cast<std::uint32_t>(loss);
    const std::uint32_t magnitude = (bits & 0x7FFFFFFFU) >> 18;
    return (bits >> 31) != 0 ? kBinsASign - 1 - magnitude : kBinsASign + magnitude;
  }

  std::uint32_t length_;
  std::uint32_t next_ = 0;  // the oldest, once all are there
  std::vector<float> losses_;
  std::vector<std::uint32_t> counts_;     // by bin
  std::vector<std::uint32_t> not_above_;  // by bin, as of rank()
  std::uint32_t first_ = 2 * kBinsASign;  // all losses are in the bins from here
  std::uint32_t last_ = 0;                // to here
};

// Places of the rows of a round that are kept, ascending; and factors of their weights, with SiftingOptions::reweigh.
struct KeptRows {
  std::vector<std::uint32_t> fresh;
  std::vector<std::uint32_t> replay;
  std::vector<float> fresh_factors;
  std::vector<float> replay_factors;
};

// Rows, since the learner was made.
struct SiftingTotals {
  std::uint64_t considered = 0;
  std::uint64_t left_out = 0;   // so many forward and backward passes were saved
  std::uint64_t looked_at = 0;  // so many forward passes were spent (rho)
};

class Sifter {
 public:
  static Result<Sifter> create(const SiftingOptions& options, const SiftingCosts& costs);

  // Whether the coming round is sifted: after the delay, and while it pays. Counts the rest that a round takes part in.
  bool begin_round(std::uint64_t steps_so_far, std::size_t rows);

  // The losses, not finite where unknown, of the rows that `steps` steps would train on. Valid until the next call.
  // Rows are looked at in blocks, fresh and replayed ones in even shares: the history takes in a block, which is then
  // ranked. fresh_reference: with rho, the losses of the fresh rows under the average.
  const KeptRows& choose(std::span<const float> fresh, std::span<const float> replay, std::size_t steps,
                         std::span<const float> fresh_reference = {});
  // The round that choose() was for took so many steps.
  void end_round(std::size_t steps_taken);

  const SiftingOptions& options() const { return options_; }
  const SiftingTotals& totals() const { return totals_; }
  bool resting() const { return rest_rows_ > 0; }
  double probability(std::uint32_t not_above, std::uint32_t of, bool replayed) const {
    if (of == options_.loss_history) return probabilities_[replayed ? 1 : 0][not_above];
    return probability_among(not_above, of, replayed);
  }

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);
  void restart() { *this = Sifter(options_, costs_); }  // as newly made

 private:
  Sifter(const SiftingOptions& options, const SiftingCosts& costs);
  double probability_among(std::uint32_t not_above, std::uint32_t of, bool replayed) const;
  void keep(std::span<const float> losses, std::size_t begin, std::size_t end, bool replayed);

  SiftingOptions options_;
  SiftingCosts costs_;
  std::array<double, 2> beta_;                        // of fresh, of replayed rows
  std::array<std::vector<double>, 2> probabilities_;  // by the rank within a full history
  std::vector<LossHistory> histories_;                // one for all, or one each for fresh and replayed rows
  Rng rng_;
  SiftingTotals totals_;
  std::uint64_t window_rows_ = 0;  // considered in the window so far
  std::int64_t window_whole_ = 0;  // what they would cost without sifting
  std::int64_t window_saved_ = 0;  // of which saved
  std::uint64_t rest_rows_ = 0;    // to go until sifting is tried again
  // Of the round that is being chosen for:
  KeptRows kept_;
  std::array<std::size_t, 2> round_kept_{};  // of fresh, of replayed rows
  std::vector<float> excess_;                // of fresh rows over their reference
  double probability_sum_ = 0.0;
  std::uint64_t round_rows_ = 0;
  std::uint64_t round_steps_ = 0;
  std::uint64_t round_looked_at_ = 0;
};

}  // namespace freshet
