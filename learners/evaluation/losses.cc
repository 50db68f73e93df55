#include "learners/evaluation/losses.h"

#include <cfloat>
#include <cmath>

#include "learners/features/natural_log.h"

namespace freshet {
namespace {

// A plain loop over plain pointers: the compiler makes four of them at a time.
void binary_losses(const float* __restrict p, const float* __restrict labels, float* __restrict losses,
                   std::size_t rows) {
  for (std::size_t i = 0; i < rows; ++i) {
    const float of_label = labels[i] > 0.5F ? p[i] : 1.0F - p[i];
    const float above = of_label > kProbabilityMin ? of_label : kProbabilityMin;  // also for not a number
    losses[i] = -natural_log(above < 1.0F ? above : 1.0F);
  }
}

void multiclass_losses(const Predictions& predictions, const float* labels, float* losses) {
  const std::size_t width = predictions.width;
  for (std::size_t i = 0; i < predictions.rows; ++i) {
    float of_label = 0;
    if (labels[i] >= 0 && labels[i] < static_cast<float>(width)) {
      of_label = predictions.values[i * width + static_cast<std::size_t>(labels[i])];
    }
    const float above = of_label > kProbabilityMin ? of_label : kProbabilityMin;
    losses[i] = -natural_log(above < 1.0F ? above : 1.0F);
  }
}

void squared_errors(const float* __restrict values, const float* __restrict labels, float* __restrict losses,
                    std::size_t rows) {
  for (std::size_t i = 0; i < rows; ++i) {
    const float error = values[i] - labels[i];
    const float square = error * error;
    losses[i] = square <= FLT_MAX ? square : FLT_MAX;
  }
}

void regression_losses(const Predictions& predictions, const float* labels, float* losses, const LossOptions& loss) {
  for (std::size_t i = 0; i < predictions.rows; ++i) {
    const float value = loss_of_prediction(loss, predictions.values[i], labels[i]);
    losses[i] = value <= FLT_MAX ? value : FLT_MAX;  // also for not a number
  }
}

}  // namespace

void per_sample_losses(Task task, const Predictions& predictions, std::span<const float> labels,
                       std::span<float> losses, const LossOptions& loss) {
  const std::size_t rows = predictions.rows;
  if (labels.size() < rows || losses.size() < rows) abort_with("fewer labels or losses than predictions");
  switch (task) {
    case Task::kBinary:
      return binary_losses(predictions.values.data(), labels.data(), losses.data(), rows);
    case Task::kMulticlass:
      return multiclass_losses(predictions, labels.data(), losses.data());
    case Task::kRegression:
      if (loss.kind != LossKind::kMse && loss.kind != LossKind::kCrossEntropy) {
        return regression_losses(predictions, labels.data(), losses.data(), loss);
      }
      return squared_errors(predictions.values.data(), labels.data(), losses.data(), rows);
  }
}

std::uint32_t predicted_class(const Predictions& predictions, std::size_t row) {
  const float* values = predictions.values.data() + row * predictions.width;
  std::uint32_t best = 0;
  for (std::uint32_t c = 1; c < predictions.width; ++c) {
    if (values[c] > values[best]) best = c;
  }
  return best;
}

double score_predictions(Task task, const Predictions& predictions, std::span<const float> labels) {
  if (predictions.rows == 0) return 0;
  if (labels.size() < predictions.rows) abort_with("fewer labels than predictions");
  double sum = 0;
  for (std::size_t i = 0; i < predictions.rows; ++i) {
    const float value = predictions.values[i * predictions.width];
    switch (task) {
      case Task::kBinary:
        sum += (labels[i] > 0.5F ? value >= 0.5F : value < 0.5F) ? 1 : 0;
        break;
      case Task::kMulticlass:
        sum += static_cast<float>(predicted_class(predictions, i)) == labels[i] ? 1 : 0;
        break;
      case Task::kRegression: {
        const double error = static_cast<double>(value) - static_cast<double>(labels[i]);
        sum += std::abs(error) <= FLT_MAX ? error * error : FLT_MAX;
        break;
      }
    }
  }
  const double mean = sum / static_cast<double>(predictions.rows);
  return task == Task::kRegression ? -std::sqrt(mean) : mean;
}

}  // namespace freshet
