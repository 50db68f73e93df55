// HiddenActivations: what the hidden layers gave for one mini-batch, all of it or, to save memory, only the last layer
// of each segment and the segment at work: what is missing is computed again on the way back. With n layers in segments
// of the root of n that is about 2 sqrt(n) matrices instead of n, for one more forward pass at most (Chen et al., 2016,
// "Training deep nets with sublinear memory cost").
//
// Threads: the trainer, or the thread that predicts.  Owns: the activations.  Failure: none.
#pragma once

#include <cstddef>
#include <vector>

#include "learners/models/aligned_buffer.h"

namespace freshet {

struct TabularShape;

class HiddenActivations {
 public:
  // From the next prepare() on, of a model with this many hidden layers.
  void keep_all() { segment_ = 0; }
  void keep_segments(std::size_t layers);

  // Room for `rows`, before a forward pass.
  void prepare(const TabularShape& shape, std::size_t rows);

  // [rows, stride of the layer]; holds what the layer gave only while holds(layer), or while it is being computed.
  float* layer(std::size_t layer) { return buffers_[place(layer)].data(); }
  const float* layer(std::size_t layer) const { return buffers_[place(layer)].data(); }
  bool holds(std::size_t layer) const { return segment_ == 0 || kept(layer) || layer / segment_ == at_work_; }
  // The layers of the segment of `layer` that are not kept, to be computed in order; what comes into them is kept.
  std::size_t segment_begin(std::size_t layer) const { return layer / segment_ * segment_; }
  std::size_t segment_end(std::size_t layer) const {
    const std::size_t end = segment_begin(layer) + segment_;
    return end < layers_ ? end - 1 : layers_;
  }
  // Says that `layer` was computed.
  void computed(std::size_t layer) {
    if (segment_ != 0) at_work_ = layer / segment_;
  }

  std::size_t bytes() const;

 private:
  bool kept(std::size_t layer) const { return (layer + 1) % segment_ == 0 && layer + 1 < layers_; }
  std::size_t place(std::size_t layer) const {
    if (segment_ == 0) return layer;
    return kept(layer) ? segment_ + layer / segment_ : layer % segment_;
  }

  std::size_t layers_ = 0;
  std::size_t segment_ = 0;  // layers in one; 0: all are kept
  std::size_t at_work_ = 0;  // the segment whose layers are in the room at work
  std::vector<AlignedBuffer> buffers_;
};

}  // namespace freshet
