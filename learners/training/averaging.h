// Averages of a model's weights over its training steps (Ema) and rounds (SnapshotAverage). Both cost nothing for
// embedding rows that do not move.
//
// Threads: the trainer.  Owns: a copy of the weights each, and what the sums need.
// Failure: load() refuses bytes of another shape.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/models/parameters.h"
#include "learners/training/learner.h"

namespace freshet {

// Weights that the averages make, in the layout of Parameters.
struct AveragedWeights {
  AlignedBuffer dense;
  AlignedBuffer rows;
};

// Where a moving average keeps its state, for an engine that moves it on a device and saves and loads it through here.
struct EmaState {
  std::uint64_t* steps;
  double* log_product;
  std::size_t* turn;
  AveragedWeights* weights;
  std::span<double> row_log_product;
};

// Exponential moving average with the ramp of OpenNMT-tf: after step t (1, 2, ...) the shadow moves towards the weights
// by 1 - min(decay, (1 + t) / (10 + t)). A row that steps leave alone is caught up when it is next needed: the product
// of the decays since then is kept as a sum of logarithms, so the result is that of updating every row at every step.
class Ema {
 public:
  // Rows that a publication brings up to date beside those that just moved.
  static constexpr std::size_t kCaughtUpRows = 4096;

  Ema(double decay, const Parameters& parameters);

  // Around each optimizer step: before it moves the touched rows, and after.
  void before_step(const Parameters& parameters) { before_move(parameters, parameters.table.touched()); }
  // Before these rows move otherwise.
  void before_move(const Parameters& parameters, std::span<const std::uint32_t> rows);
  void after_step(const Parameters& parameters);

  // Brings rows up to date for publication and appends them to `moved`: all rows changed since the last call and, of
  // the rows that ever moved, at most `most` others, by turns.
  void catch_up(const Parameters& parameters, std::size_t most, std::vector<std::uint32_t>& moved);

  const AveragedWeights& weights() const { return shadow_; }
  static double decay_at(std::uint64_t step, double decay);
  static double log_of(double decay);
  EmaState state() { return {&steps_, &log_product_, &turn_, &shadow_, row_log_product_}; }

  void save(ByteWriter& out, const Parameters& parameters) const;
  Status load(ByteReader& in, const Parameters& parameters);
  void reset(const Parameters& parameters);

 private:
  void catch_up_row(const RowTable& table, std::uint32_t row);

  double decay_;
  std::uint64_t steps_ = 0;
  double log_product_ = 0.0;  // sum of log(decay) over all steps
  AveragedWeights shadow_;
  std::vector<double> row_log_product_;  // log_product_ when the row was last up to date
  std::size_t turn_ = 0;                 // next of the used rows to catch up
};

// Mean of the weights at the end of the last `count` rounds (fewer at the start), summed in float32 as OpenNMT-tf does.
class SnapshotAverage {
 public:
  SnapshotAverage(std::size_t count, const Parameters& parameters);

  // After a round: takes the weights in; `parameters.table.changed()` are the rows that the round moved. Rows whose
  // average moved are appended to `moved`.
  void end_round(const Parameters& parameters, std::vector<std::uint32_t>& moved);

  const AveragedWeights& weights() const { return average_; }
  std::size_t rounds() const { return snapshots_.size(); }

  void save(ByteWriter& out, const Parameters& parameters) const;
  Status load(ByteReader& in, const Parameters& parameters);
  void reset(const Parameters& parameters);

 private:
  struct Snapshot {
    std::vector<float> dense;
    std::vector<std::uint32_t> rows;  // moved in this round
    std::vector<float> values;        // [rows, stride] after the round
  };
  void average_rows(const RowTable& table, std::vector<std::uint32_t>& moved);

  std::size_t count_;
  std::deque<Snapshot> snapshots_;
  AlignedBuffer oldest_rows_;  // every row as it was at the end of the oldest snapshot's round
  AveragedWeights average_;
};

// The averages of a learner's state: at most one is kept, the one that is published. load_averages() refuses bytes that
// were saved with another.
void save_averages(ByteWriter& out, PublishedWeights published, const std::optional<Ema>& ema,
                   const std::optional<SnapshotAverage>& average, const Parameters& parameters);
Status load_averages(ByteReader& in, PublishedWeights published, std::optional<Ema>& ema,
                     std::optional<SnapshotAverage>& average, const Parameters& parameters);

}  // namespace freshet
