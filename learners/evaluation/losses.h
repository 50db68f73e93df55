// The progressive loss of each event: what sifting, drift detection, replay priorities and the metrics share.
//
// Threads: pure functions.  Failure: none. A prediction that is not a number, or a label that is no class of the model,
// costs the most a loss can be, so that a broken model can never look good.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/predictor.h"
#include "learners/training/losses.h"

namespace freshet {

// Probabilities are held to at least this: no single event costs more than 16.1.
inline constexpr float kProbabilityMin = 1e-7F;

// losses[i] for rows [0, predictions.rows): log loss (binary, multiclass), or the loss that a regression is trained on
// (loss_of_prediction(); squared error by default). labels and losses hold at least that many.
void per_sample_losses(Task task, const Predictions& predictions, std::span<const float> labels,
                       std::span<float> losses, const LossOptions& loss = {});

// The class with the largest probability of row `row`, the first of equals.
std::uint32_t predicted_class(const Predictions& predictions, std::size_t row);

// One number for a set of rows, higher is better: accuracy (binary at 0.5, multiclass), or minus the root mean squared
// error. 0 rows give 0.
double score_predictions(Task task, const Predictions& predictions, std::span<const float> labels);

}  // namespace freshet
