// The label loss of the parts of a mini-batch after a forward pass over them, for strategies that add terms of their
// own to it.
//
// Threads: the trainer.  Owns: nothing.  Failure: none; the caller answers for sizes.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

#include "learners/training/strategy.h"

namespace freshet::strategies {

// A mean over no rows is 0.
inline float share_of(std::size_t rows, float factor = 1.0F) {
  return rows == 0 ? 0.0F : factor / static_cast<float>(rows);
}

// Of an event without a usable weight nothing is learnt.
inline float usable_weight(float weight) { return std::isfinite(weight) && weight > 0.0F ? weight : 0.0F; }

// Writes scale * weight * d loss / d output for the rows of `part` to `gradients` ([part.size(), outputs]) and, where
// it has room for them, the loss of each row to part.losses.
inline LossSum part_loss(const Loss& loss, const RowRange& part, std::span<const float> outputs, float scale,
                         std::span<float> gradients) {
  if (part.size() == 0) return {};
  const std::span<float> losses(part.losses, part.losses == nullptr ? 0 : part.size());
  return loss.evaluate(outputs, std::span<const float>(part.batch->labels).subspan(part.begin, part.size()),
                       std::span<const float>(part.batch->weights).subspan(part.begin, part.size()), scale, losses,
                       gradients);
}

// Rows [begin, end) of a part.
inline RowRange rows_of(const RowRange& part, std::size_t begin, std::size_t end) {
  return {part.batch, part.begin + begin, part.begin + end, part.losses == nullptr ? nullptr : part.losses + begin};
}

inline LossSum operator+(const LossSum& a, const LossSum& b) {
  return {a.weighted + b.weighted, a.usable + b.usable, a.unusable + b.unusable};
}

// At least `size` floats; never shrinks, so that a warm step allocates nothing.
inline std::span<float> room(std::vector<float>& values, std::size_t size) {
  if (values.size() < size) values.resize(size);
  return std::span<float>(values).first(size);
}

}  // namespace freshet::strategies
