// NumberStatistics: running mean and variance of columns of numbers (Welford 1962, weighted as by West 1979), read live
// while they are learnt.
//
// Threads: one writer (`update`, `save`, `load`); `standardise` from any thread. A reader sees the mean and the scale
// of one moment: they are published together in one word.
// Owns: the statistics.  Failure: `load` refuses bytes of another width with data_loss.
#pragma once

#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"

namespace freshet {

inline constexpr float kStandardisedMax = 5.0F;

class NumberStatistics {
 public:
  explicit NumberStatistics(std::size_t columns) : columns_(columns), published_(columns) {}

  std::size_t columns() const { return columns_.size(); }

  // (x - mean) / deviation, clipped to +-5; 0 while the column has shown a single value only. x must be finite.
  float standardise(std::size_t column, float x) const {
    const std::uint64_t packed = published_[column].load(std::memory_order_relaxed);
    const auto mean = std::bit_cast<float>(static_cast<std::uint32_t>(packed));
    const auto scale = std::bit_cast<float>(static_cast<std::uint32_t>(packed >> 32));
    const double z = (static_cast<double>(x) - static_cast<double>(mean)) * static_cast<double>(scale);
    const double below = z < kStandardisedMax ? z : kStandardisedMax;
    return static_cast<float>(below > -kStandardisedMax ? below : -kStandardisedMax);
  }

  // Lets a finite x in, counting as `weight` > 0 events.
  void update(std::size_t column, float x, double weight) {
    Column& c = columns_[column];
    c.weight += weight;
    const double inverse = 1.0 / c.weight;
    const double delta = static_cast<double>(x) - c.mean;
    c.mean += delta * weight * inverse;
    c.squares += weight * delta * (static_cast<double>(x) - c.mean);
    const double variance = c.squares * inverse;
    // Below this the column is a constant up to rounding.
    const double least = 1e-12 * c.mean * c.mean + 1e-30;
    publish(column, static_cast<float>(variance > least ? 1.0 / std::sqrt(variance) : 0.0));
  }

  double mean(std::size_t column) const { return columns_[column].mean; }  // writer's thread

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  struct Column {
    double weight = 0;
    double mean = 0;
    double squares = 0;  // weighted sum of squared distances from the mean
    float scale = 0;
  };

  void publish(std::size_t column, float scale) {
    Column& c = columns_[column];
    c.scale = scale;
    const auto mean_bits = std::bit_cast<std::uint32_t>(static_cast<float>(c.mean));
    const auto scale_bits = static_cast<std::uint64_t>(std::bit_cast<std::uint32_t>(scale));
    published_[column].store(scale_bits << 32 | mean_bits, std::memory_order_relaxed);
  }

  std::vector<Column> columns_;
  std::vector<std::atomic<std::uint64_t>> published_;  // float mean (low half), float 1/deviation (high half)
};

}  // namespace freshet
