// One pass over fresh and replayed rows together, with the gradient of the mean of their weighted losses: what plain
// replay does, and what other strategies add their terms to.
//
// Threads: the trainer.  Owns: nothing.  Failure: what the model refuses.
#pragma once

#include "learners/training/strategy.h"

namespace freshet::strategies {

Result<StepLoss> plain_pass(Model& model, const Loss& loss, const MiniBatch& batch);

}  // namespace freshet::strategies
