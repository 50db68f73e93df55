// Made-up encoded events for the tests of models and training: numbers, categories and labels that follow from them.
//
// Threads: any.  Owns: nothing.  Failure: none.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <fmt/core.h>

#include "core/encoded_batch.h"
#include "core/predictor.h"
#include "core/rng.h"

namespace freshet {

inline EncodedLayout synthetic_layout(std::uint32_t numbers, std::uint32_t categories) {
  EncodedLayout layout;
  for (std::uint32_t i = 0; i < numbers; ++i) layout.dense_names.push_back(fmt::format("number{}", i));
  for (std::uint32_t i = 0; i < categories; ++i) layout.categorical_names.push_back(fmt::format("category{}", i));
  return layout;
}

// The label depends on the sum of the numbers and on the first category's value; `classes` of a multiclass task.
inline EncodedBatch synthetic_events(const EncodedLayout& layout, std::size_t rows, std::uint64_t seed, Task task,
                                     std::uint32_t classes = 3) {
  EncodedBatch batch(layout.dense(), layout.categorical(), rows);
  batch.resize(rows);
  Rng rng(seed);
  for (std::size_t i = 0; i < rows; ++i) {
    double signal = 0.0;
    for (auto& value : batch.dense_row(i)) {
      value = static_cast<float>(2.0 * rng.uniform() - 1.0);
      signal += static_cast<double>(value);
    }
    for (std::uint32_t c = 0; c < layout.categorical(); ++c) {
      const auto value = static_cast<std::uint32_t>(rng.below(c == 0 ? 5 : 40));
      batch.hash_row(i)[c] = (value * 31 + c + 1) * 0x85EBCA6BU;
      if (c == 0) signal += static_cast<double>(value) - 2.0;
    }
    signal += 0.3 * (rng.uniform() - 0.5);
    switch (task) {
      case Task::kBinary:
        batch.labels[i] = signal > 0.0 ? 1.0F : 0.0F;
        break;
      case Task::kMulticlass:
        batch.labels[i] = static_cast<float>(
            std::clamp(static_cast<int>(std::floor(signal + 1.5)), 0, static_cast<int>(classes) - 1));
        break;
      case Task::kRegression:
        batch.labels[i] = static_cast<float>(signal);
        break;
    }
    batch.weights[i] = 0.5F + static_cast<float>(rng.uniform());
  }
  return batch;
}

}  // namespace freshet
