// Forgetting: what the model knew of each slice, and what it knows now. After a round each slice's held-out set is
// scored, higher is better (losses.h: score_predictions), and recorded here.
//
//   forgetting of a slice   its best score so far minus its score now; 0 or more
//   backward transfer       the mean, over past slices, of the score now minus the score when the slice had just been
//                           learnt (the first one recorded at or after the last round that trained on its events)
//   forward transfer        the mean, over slices scored before any round had trained on them, of that score (the last
//                           such) minus the score of an untrained model on the same events
// A past slice is one that the newest round with fresh events did not train on; where there is none (every round trains
// on every class) the mean forgetting runs over all slices. The transfers are those of Lopez-Paz and Ranzato, "Gradient
// Episodic Memory" (2017), forgetting that of Chaudhry et al., "Riemannian Walk" (2018), with the score now counted
// among those the best is taken from.
//
// Threads: one owner.  Owns: one record a slice and a history of at most `rows_max` rounds.
// Failure: slices at or above kSlicesMax and scores that are not finite are passed over; `load` answers data_loss.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/evaluation/slices.h"

namespace freshet {

struct SliceScore {
  std::uint32_t slice = 0;
  double score = 0;
};

struct SliceForgetting {
  std::uint32_t slice = 0;
  std::uint64_t evaluations = 0;
  double now = 0;
  double best = 0;
  std::uint64_t best_round = 0;
  double forgetting = 0;
  std::optional<double> learnt;     // the score when it had just been learnt
  std::optional<double> before;     // the last score before any round trained on it
  std::optional<double> untrained;  // what an untrained model scored on the same events
  bool past = false;
};

struct ForgettingReport {
  std::vector<SliceForgetting> slices;  // scored at least once, by number
  std::optional<double> mean_score;     // over them
  std::optional<double> mean_forgetting;
  std::optional<double> max_forgetting;
  std::optional<double> backward_transfer;
  std::optional<double> forward_transfer;
};

// One kept round of the matrix of scores.
struct ScoreRow {
  std::uint64_t round = 0;
  std::array<float, kSlicesMax> scores{};  // not a number: not scored in that round
};

class Forgetting {
 public:
  // chance: counts as the score of an untrained model where note_before() did not say it.
  explicit Forgetting(std::optional<double> chance = std::nullopt, std::size_t rows_max = 256);

  // No round has trained on `slice` yet: what the model scores on it now, and what an untrained one does. Comes before
  // the first note_trained() of the slice.
  void note_before(std::uint32_t slice, double score, double untrained);
  bool trained(std::uint32_t slice) const { return slice < kSlicesMax && slices_[slice].trained; }
  // Round `round` trained on new (not replayed) events of `slice`. Comes before record() of the same round.
  void note_trained(std::uint32_t slice, std::uint64_t round);
  // Rounds are recorded in rising order.
  void record(std::uint64_t round, std::span<const SliceScore> scores);

  ForgettingReport report() const;
  // Evenly thinned: when full, every second row is dropped and only every second round is kept from then on.
  const std::vector<ScoreRow>& history() const { return history_; }

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  struct Slice {
    std::uint64_t evaluations = 0;
    double now = 0, best = 0;
    std::uint64_t best_round = 0;
    bool trained = false;
    bool awaits_score = false;  // trained on since it was last scored
    std::uint64_t last_trained = 0;
    std::optional<double> learnt, before, untrained;
  };

  std::optional<double> chance_;
  std::size_t rows_max_;
  std::array<Slice, kSlicesMax> slices_{};
  std::vector<ScoreRow> history_;
  std::uint64_t recorded_ = 0;
  std::uint64_t stride_ = 1;  // rounds to one kept row
};

}  // namespace freshet
