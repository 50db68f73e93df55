// Distances between a model's outputs and those of another model, as terms of a loss: what LwF, CLS-ER, Super-ER and
// repeated distillation add. A row counts with its event's weight, whether its label can be used or not.
//
// Threads: pure functions.  Owns: nothing.  Failure: none; the caller answers for sizes.
#pragma once

#include <span>

#include "core/predictor.h"
#include "learners/models/model.h"

namespace freshet::strategies {

// outputs, targets, gradients: [part.size(), width]. Adds scale * weight * the gradient of a row's distance:
//
// the sum over outputs of (output - target)^2;
void add_squared_distance(const RowRange& part, std::span<const float> outputs, std::span<const float> targets,
                          std::size_t width, float scale, std::span<float> gradients);

// with classes, T^2 * KL(softmax(target / T) || softmax(output / T)) (Hinton, Vinyals and Dean, "Distilling the
// Knowledge in a Neural Network", 2015: the square keeps the gradients' size); of a binary task with the sigmoid, whose
// other logit is 0; of a regression, which has no temperature, the squared distance.
void add_distillation(Task task, const RowRange& part, std::span<const float> outputs, std::span<const float> targets,
                      std::size_t width, float temperature, float scale, std::span<float> gradients);

}  // namespace freshet::strategies
