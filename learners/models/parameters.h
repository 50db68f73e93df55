// Parameters: the weights of a model and their gradients, laid out for cheap optimizer steps: all dense tensors in one
// flat buffer, all embeddings in one table whose gradients exist only for the rows that the current step touched.
//
// Threads: the trainer.  Owns: weights, gradients, the list of rows that ever left their initial value.
// Failure: load() refuses bytes of another shape and leaves the weights as they were.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/models/aligned_buffer.h"

namespace freshet {

// A matrix within the dense buffer: element (i, j) at values[offset + i * stride + j]; padding columns hold zero.
struct DenseTensor {
  std::string name;
  std::size_t offset = 0;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t stride = 0;
};

// The embedding table, [rows, width] float32 with rows `stride` floats apart (padding holds zero).
class RowTable {
 public:
  RowTable() = default;
  // rows is 0 (no table) or a power of two.
  RowTable(std::size_t rows, std::size_t width);

  std::size_t rows() const { return rows_; }
  std::size_t width() const { return width_; }
  std::size_t stride() const { return stride_; }
  float* row(std::size_t index) { return values_.data() + index * stride_; }
  const float* row(std::size_t index) const { return values_.data() + index * stride_; }
  AlignedBuffer& values() { return values_; }
  const AlignedBuffer& values() const { return values_; }

  // The gradient of `row` in this step, zero at its first use; stays where it is until the next reserve_gradients().
  float* gradient_of(std::uint32_t row) { return gradients_.data() + slot_of(row) * stride_; }
  // The place of `row` among touched().
  std::uint32_t slot_of(std::uint32_t row);
  // Makes room for `lookups` further calls of gradient_of with new rows.
  void reserve_gradients(std::size_t lookups);
  void clear_gradients();

  // Rows with a gradient in this step, each once, in order of first use; gradient of touched()[i] at gradient(i).
  std::span<const std::uint32_t> touched() const { return touched_; }
  float* gradient(std::size_t slot) { return gradients_.data() + slot * stride_; }
  const float* gradient(std::size_t slot) const { return gradients_.data() + slot * stride_; }
  std::span<float> gradients() { return {gradients_.data(), touched_.size() * stride_}; }

  // Says that an optimizer step changed the touched rows.
  void mark_changed() { mark_changed(touched_); }
  // Says that these rows were changed, each once.
  void mark_changed(std::span<const std::uint32_t> rows);
  // Rows that any step ever changed, in order of their first change.
  std::span<const std::uint32_t> used() const { return used_; }
  // Rows changed since the last take_changed(), each once.
  std::span<const std::uint32_t> changed() const { return changed_; }
  void forget_changed();
  void restore_used(std::vector<std::uint32_t> used);

 private:
  std::size_t rows_ = 0;
  std::size_t width_ = 0;
  std::size_t stride_ = 0;
  AlignedBuffer values_;
  AlignedBuffer gradients_;
  std::vector<std::uint32_t> touched_;
  // Open addressing from row to slot; small enough to stay in the nearest cache.
  struct Entry {
    std::uint32_t row;
    std::uint32_t slot;
  };
  std::vector<Entry> index_;
  unsigned index_shift_ = 0;
  std::vector<std::uint32_t> used_;
  std::vector<std::uint32_t> changed_;
  std::vector<std::uint32_t> changed_epoch_;  // a row; 0: never changed
  std::uint32_t epoch_ = 1;
};

struct Parameters {
  std::vector<DenseTensor> tensors;
  AlignedBuffer dense;
  AlignedBuffer dense_gradients;
  RowTable table;

  void clear_gradients();
  // Sum of the squares of all gradients: not finite where any gradient is not.
  double squared_gradient_norm() const;
  void scale_gradients(float factor);

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);
};

// Rows `used` of an array with one row of `stride` floats for each row of a table, of which `width` are stored.
void save_rows(ByteWriter& out, const RowTable& table, const float* values);
Status load_rows(ByteReader& in, const RowTable& table, float* values);
void save_floats(ByteWriter& out, std::span<const float> values);
Status load_floats(ByteReader& in, std::span<float> values);

}  // namespace freshet
