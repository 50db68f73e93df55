// The engine of models that are TorchScript modules: a user's own, from a file, and the built-in convnet. Optimizers,
// averages and checkpoints are those of the other engines, over one flat tensor of weights on the CPU or a GPU; each
// has an image in host memory, which publications and checkpoints read.
//
// A state belongs to the computation that it was learnt with: load() refuses that of another module or another code.
// What a script keeps outside of parameters and buffers (numbers, lists) is not part of the state.
//
// Threads: the trainer; what is published may be used on any thread.  Owns: see TrainingEngine.
// Failure: what a script throws fails the round; what LibTorch throws (no memory left, device lost) becomes an error.
#pragma once

#include "learners/device.h"
#include "learners/training/training_engine.h"

namespace freshet {

// Of ModelOptions::architecture kTorchScript or kConvnet.
Result<std::unique_ptr<TrainingEngine>> make_module_engine(const LearnerOptions& options, const EncodedLayout& layout,
                                                           const Device& device);

}  // namespace freshet
