// EncodedBatch: events as a model sees them, row-major: a dense part (standardised numbers, missing indicators, target
// means, vectors) and one 32-bit hash per categorical feature, which the model maps to an embedding row.
//
// Threads: one owner at a time.  Owns: its rows.  Failure: writing past capacity aborts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"

namespace freshet {

struct EncodedLayout {
  std::vector<std::string> dense_names;        // one a float, e.g. "distance", "distance:missing", "recent"
  std::vector<std::string> categorical_names;  // one a hash
  std::uint32_t dense() const { return static_cast<std::uint32_t>(dense_names.size()); }
  std::uint32_t categorical() const { return static_cast<std::uint32_t>(categorical_names.size()); }
};

class EncodedBatch {
 public:
  EncodedBatch() = default;
  EncodedBatch(std::uint32_t dense, std::uint32_t categorical, std::size_t capacity)
      : dense_width_(dense),
        categorical_width_(categorical),
        capacity_(capacity),
        dense_(capacity * dense),
        hashes_(capacity * categorical),
        labels(capacity),
        weights(capacity),
        losses(capacity),
        time_ms(capacity),
        key_hashes(capacity),
        seqs(capacity),
        arrival_ns(capacity) {}

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  std::uint32_t dense_width() const { return dense_width_; }
  std::uint32_t categorical_width() const { return categorical_width_; }
  void clear() { size_ = 0; }
  void resize(std::size_t size) {
    if (size > capacity_) abort_with("EncodedBatch resized past its capacity");
    size_ = size;
  }
  // Copies every column of one row over another.
  void copy_row(std::size_t from, std::size_t to) { take_row(*this, from, to); }
  // The same from a batch of the same widths.
  void take_row(const EncodedBatch& batch, std::size_t from, std::size_t to) {
    std::copy_n(batch.dense_.data() + from * dense_width_, dense_width_, dense_.data() + to * dense_width_);
    std::copy_n(batch.hashes_.data() + from * categorical_width_, categorical_width_,
                hashes_.data() + to * categorical_width_);
    labels[to] = batch.labels[from];
    weights[to] = batch.weights[from];
    losses[to] = batch.losses[from];
    time_ms[to] = batch.time_ms[from];
    key_hashes[to] = batch.key_hashes[from];
    seqs[to] = batch.seqs[from];
    arrival_ns[to] = batch.arrival_ns[from];
  }

  // Row-major: [size, dense_width] and [size, categorical_width]; stable until the batch is moved.
  float* dense() { return dense_.data(); }
  const float* dense() const { return dense_.data(); }
  std::uint32_t* hashes() { return hashes_.data(); }
  const std::uint32_t* hashes() const { return hashes_.data(); }
  std::span<float> dense_row(std::size_t row) { return {dense_.data() + row * dense_width_, dense_width_}; }
  std::span<const float> dense_row(std::size_t row) const { return {dense_.data() + row * dense_width_, dense_width_}; }
  std::span<std::uint32_t> hash_row(std::size_t row) {
    return {hashes_.data() + row * categorical_width_, categorical_width_};
  }
  std::span<const std::uint32_t> hash_row(std::size_t row) const {
    return {hashes_.data() + row * categorical_width_, categorical_width_};
  }

 private:
  std::uint32_t dense_width_ = 0;
  std::uint32_t categorical_width_ = 0;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  std::vector<float> dense_;
  std::vector<std::uint32_t> hashes_;

 public:
  // Row attributes, capacity() long each.
  std::vector<float> labels;  // class index, or the target of a regression
  std::vector<float> weights;
  std::vector<float> losses;  // progressive loss under the model served when the event arrived
  std::vector<std::int64_t> time_ms;
  std::vector<std::uint64_t> key_hashes;
  std::vector<std::uint64_t> seqs;       // position in the event log
  std::vector<std::int64_t> arrival_ns;  // 0 for replayed rows
};

}  // namespace freshet
