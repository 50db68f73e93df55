// The kinds of Loss as LibTorch operations, for models whose outputs lie on a device: the same formulas, with autograd.
//
// Threads: pure functions.  Owns: nothing.  Failure: throws what LibTorch throws.
#pragma once

#include <ATen/core/Tensor.h>

#include "learners/training/losses.h"

namespace freshet {

// outputs: [rows, width], targets: [rows] float32, all usable. The loss of each row, [rows], unweighted.
at::Tensor row_losses(const at::Tensor& outputs, const at::Tensor& targets, Task task, const LossOptions& options);

}  // namespace freshet
