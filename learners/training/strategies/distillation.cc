#include "learners/training/strategies/distillation.h"

#include <algorithm>
#include <cmath>

#include "learners/training/strategies/part_losses.h"

namespace freshet::strategies {

namespace {

float weight_of(const RowRange& part, std::size_t row) { return usable_weight(part.batch->weights[part.begin + row]); }

float sigmoid(float logit) {
  const float small = std::exp(-std::abs(logit));
  return (logit >= 0.0F ? 1.0F : small) / (1.0F + small);
}

// gradients += factor * softmax(logits / temperature)
void add_softmax(const float* logits, std::size_t width, float temperature, float factor, float* gradients) {
  const float highest = *std::max_element(logits, logits + width);
  float sum = 0.0F;
  for (std::size_t k = 0; k < width; ++k) sum += std::exp((logits[k] - highest) / temperature);
  for (std::size_t k = 0; k < width; ++k) {
    gradients[k] += factor * (std::exp((logits[k] - highest) / temperature) / sum);
  }
}

}  // namespace

void add_squared_distance(const RowRange& part, std::span<const float> outputs, std::span<const float> targets,
                          std::size_t width, float scale, std::span<float> gradients) {
  for (std::size_t row = 0; row < part.size(); ++row) {
    const float factor = 2.0F * scale * weight_of(part, row);
    for (std::size_t i = row * width; i < (row + 1) * width; ++i) gradients[i] += factor * (outputs[i] - targets[i]);
  }
}

// The gradient of the divergence is (softmax(output / T) - softmax(target / T)) / T.
void add_distillation(Task task, const RowRange& part, std::span<const float> outputs, std::span<const float> targets,
                      std::size_t width, float temperature, float scale, std::span<float> gradients) {
  if (task == Task::kRegression) return add_squared_distance(part, outputs, targets, width, scale, gradients);
  for (std::size_t row = 0; row < part.size(); ++row) {
    const float factor = scale * temperature * weight_of(part, row);
    const std::size_t at = row * width;
    if (task == Task::kBinary) {
      gradients[at] += factor * (sigmoid(outputs[at] / temperature) - sigmoid(targets[at] / temperature));
    } else {
      add_softmax(outputs.data() + at, width, temperature, factor, gradients.data() + at);
      add_softmax(targets.data() + at, width, temperature, -factor, gradients.data() + at);
    }
  }
}

}  // namespace freshet::strategies
