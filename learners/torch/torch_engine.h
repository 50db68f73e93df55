// The LibTorch engine: the built-in models, their optimizers and moving averages as tensors on a GPU or, to test them,
// on the CPU. Weights stay on the device; host memory gets a copy at each publication, checkpoint and evaluation.
//
// A step sends its mini-batch in one copy from page-locked memory and waits for the device once, to read the losses and
// the size of the gradient. On a GPU sums may be added in another order from run to run: no promise of equal bits
// there. Speed on a GPU: not yet measured.
//
// Threads: the trainer.  Owns: see TrainingEngine, and an image of it all in host memory.
// Failure: what LibTorch throws (no memory left, device lost) becomes an error.
#pragma once

#include "learners/device.h"
#include "learners/training/training_engine.h"

namespace freshet {

Result<std::unique_ptr<TrainingEngine>> make_torch_engine(const LearnerOptions& options, const EncodedLayout& layout,
                                                          const Device& device);

}  // namespace freshet
