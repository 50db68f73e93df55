#include "learners/models/hidden_activations.h"

#include <algorithm>

#include "learners/models/tabular_shape.h"

namespace freshet {

void HiddenActivations::keep_segments(std::size_t layers) {
  segment_ = 1;
  while (segment_ * segment_ < layers) ++segment_;
}

void HiddenActivations::prepare(const TabularShape& shape, std::size_t rows) {
  layers_ = shape.layers.empty() ? 0 : shape.layers.size() - 1;
  for (std::size_t l = 0; l < layers_; ++l) {
    const std::size_t at = place(l);
    if (at >= buffers_.size()) buffers_.resize(at + 1);
    buffers_[at].reserve(rows * shape.layers[l].stride);
  }
}

std::size_t HiddenActivations::bytes() const {
  std::size_t floats = 0;
  for (const auto& buffer : buffers_) floats += buffer.size();
  return floats * sizeof(float);
}

}  // namespace freshet
