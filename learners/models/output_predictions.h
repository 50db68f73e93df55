// What a client is answered, from what a model puts out: the same for every kind of model.
//
// Threads: pure functions.  Owns: nothing.  Failure: none.
#pragma once

#include <cstddef>

#include "core/predictor.h"
#include "learners/training/losses.h"

namespace freshet {

struct OutputKind {
  Task task = Task::kBinary;
  OutputLink link = OutputLink::kIdentity;
  std::size_t width = 1;
};

// outputs: `rows` rows of `width` logits or values, `stride` floats apart. to: [rows, width] probabilities or values.
void outputs_to_predictions(const OutputKind& kind, const float* outputs, std::size_t rows, std::size_t stride,
                            float* to);

}  // namespace freshet
