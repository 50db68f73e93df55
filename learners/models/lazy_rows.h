// LazyRows: which rows of an embedding table another set of values keeps apart from the model's, and how far each kept
// row is behind a decay that all of them share. A row that is not kept is the model's own; one that is kept and lags is
// caught up when it is needed, so that neither a new beginning nor a decay costs anything by the row.
//
// Threads: the trainer.  Owns: the list, a few bytes a row of the table.
// Failure: load() refuses rows that the table does not have.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"

namespace freshet {

class LazyRows {
 public:
  explicit LazyRows(std::size_t rows) : epoch_of_(rows), log_product_of_(rows) {}

  void restart();           // no row is kept any more
  void decay(double keep);  // of all kept rows, in [0, 1]
  bool is_kept(std::uint32_t row) const { return epoch_of_[row] == epoch_; }
  std::span<const std::uint32_t> kept() const { return kept_; }

  // Keeps the row and notes that it is up to date: the product of the decays that it lagged behind, 1 if none, or kNew
  // where it was not kept.
  static constexpr float kNew = -1.0F;
  float catch_up(std::uint32_t row);

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  std::vector<std::uint32_t> epoch_of_;
  std::vector<double> log_product_of_;  // log_product_ when the row was last up to date
  std::vector<std::uint32_t> kept_;     // in the order in which they came
  std::uint32_t epoch_ = 1;
  double log_product_ = 0.0;  // of the decays since restart()
};

}  // namespace freshet
