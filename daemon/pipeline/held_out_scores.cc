#include "daemon/pipeline/held_out_scores.h"

namespace freshet {

void HeldOutScores::observe(std::span<const std::uint8_t> held_out, const Predictions& predictions,
                            const EncodedBatch& encoded, std::size_t begin, std::uint64_t model_version) {
  const std::size_t width = predictions.width;
  chosen_.width = predictions.width;
  chosen_.rows = 0;
  chosen_.values.resize(held_out.size() * width);
  labels_.clear();
  weights_.clear();
  for (std::size_t row = 0; row < held_out.size(); ++row) {
    if (held_out[row] == 0) continue;
    for (std::size_t k = 0; k < width; ++k) {
      chosen_.values[chosen_.rows * width + k] = predictions.values[row * width + k];
    }
    ++chosen_.rows;
    labels_.push_back(encoded.labels[begin + row]);
    weights_.push_back(encoded.weights[begin + row]);
  }
  losses_.resize(chosen_.rows);
  evaluation_.add(chosen_, labels_, weights_, model_version, losses_);
}

}  // namespace freshet
