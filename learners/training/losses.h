// Loss: the loss of each event and its gradient with respect to the model's outputs.
//
// Threads: immutable once made.  Owns: its options.
// Failure: create() refuses a loss that does not fit the task; a row whose label or weight cannot be used (not a
// number, no such class) gets loss and gradient zero and is counted.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/predictor.h"
#include "core/status.h"

namespace freshet {

enum class LossKind : std::uint8_t { kCrossEntropy, kMse, kMae, kHuber };
Result<LossKind> parse_loss(std::string_view name);
std::string_view loss_name(LossKind kind);
LossKind default_loss(Task task);

struct LossOptions {
  LossKind kind = LossKind::kCrossEntropy;
  float label_smoothing = 0.0F;      // cross-entropy: the target moves this far towards the uniform distribution
  float huber_delta = 1.0F;          // squared below, linear above (Huber, 1964)
  std::vector<float> class_weights;  // empty, or one for each class (two for a binary task)
};

struct LossSum {
  double weighted = 0.0;   // sum of weight * loss
  std::size_t usable = 0;  // rows with a usable label
  std::size_t unusable = 0;
};

class Loss {
 public:
  static Result<Loss> create(LossOptions options, Task task, std::uint32_t outputs);

  // outputs: [rows, outputs()] logits or values; labels, weights: [rows]. Writes the unweighted loss of each row to
  // `losses` and scale * weight * d loss / d output to `gradients` ([rows, outputs()]); either may be empty.
  LossSum evaluate(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights,
                   float scale, std::span<float> losses, std::span<float> gradients) const;

  // Whether a row with this label and weight has a part in the loss; the factor that its class adds to its weight.
  bool usable(float label, float weight) const;
  float class_weight(float label) const;

  std::uint32_t outputs() const { return outputs_; }
  const LossOptions& options() const { return options_; }

 private:
  Loss(LossOptions options, Task task, std::uint32_t outputs)
      : options_(std::move(options)), task_(task), outputs_(outputs) {}
  float binary_row(float logit, float label, float* gradient) const;
  float multiclass_row(const float* logits, std::size_t label, float* gradients) const;
  float regression_row(float value, float label, float* gradient) const;

  LossOptions options_;
  Task task_;
  std::uint32_t outputs_;
};

}  // namespace freshet
