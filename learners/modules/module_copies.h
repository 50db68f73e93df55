// Copies of a module's weights and buffers at other times, and the pull towards one: flat tensors on the module's
// device. A copy computes in evaluation mode, as a teacher that serves.
//
// Threads: the trainer.  Owns: a copy its tensors and a module to compute with.
// Failure: see TrainedWeights; what the script throws becomes an error.
#pragma once

#include <memory>

#include "learners/modules/module_net.h"
#include "learners/training/trained_weights.h"

namespace freshet {

// net outlives what is made.
std::unique_ptr<WeightsCopy> copy_of(ModuleNet& net);
std::unique_ptr<QuadraticPenalty> penalty_of(ModuleNet& net);

// The weights and buffers become those of a copy that copy_of() made.
void restore_weights(ModuleNet& net, const WeightsCopy& copy);

}  // namespace freshet
