#include "learners/models/output_predictions.h"

#include <algorithm>
#include <cmath>

namespace freshet {

namespace {
constexpr float kLogRateMax = 88.0F;  // exp() of it is still finite
}

void outputs_to_predictions(const OutputKind& kind, const float* outputs, std::size_t rows, std::size_t stride,
                            float* to) {
  for (std::size_t i = 0; i < rows; ++i, to += kind.width) {
    const float* output = outputs + i * stride;
    if (kind.task == Task::kRegression && kind.link == OutputLink::kLog) {
      // Held to what float32 holds: an answer must be a number. Not a number stays what it is.
      *to = std::exp(std::min(*output, kLogRateMax));
    } else if (kind.task == Task::kRegression) {
      *to = *output;
    } else if (kind.task == Task::kBinary) {
      const float small = std::exp(-std::abs(*output));
      *to = (*output >= 0.0F ? 1.0F : small) / (1.0F + small);
    } else {
      float highest = output[0];
      for (std::size_t k = 1; k < kind.width; ++k) highest = std::max(highest, output[k]);
      float sum = 0.0F;
      for (std::size_t k = 0; k < kind.width; ++k) sum += to[k] = std::exp(output[k] - highest);
      for (std::size_t k = 0; k < kind.width; ++k) to[k] /= sum;
    }
  }
}

}  // namespace freshet
