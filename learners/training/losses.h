// Loss: the loss of each event and its gradient with respect to the model's outputs.
//
//   cross_entropy  of the logits of a class each, or of one logit (binary)
//   mse, mae       (output - label)^2, |output - label|
//   huber          error^2 / 2 up to delta, delta * (|error| - delta / 2) beyond (Huber, 1964)
//   quantile       the pinball loss (Koenker and Bassett, 1978): q * (label - output) below the label, (1 - q) *
//                  (output - label) above, least where the output is the label's quantile q
//   poisson        for counts and rates: the output is the logarithm of the mean rate, the loss exp(output) - label *
//                  output, the negative log likelihood, less its least value for the label, so that it is 0 at best and
//                  events compare: half of the deviance
//
// Threads: immutable once made.  Owns: its options.
// Failure: create() refuses a loss that does not fit the task; a row whose label or weight cannot be used (not a
// number, no such class, a negative count) gets loss and gradient zero and is counted.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "core/predictor.h"
#include "core/status.h"

namespace freshet {

enum class LossKind : std::uint8_t { kCrossEntropy, kMse, kMae, kHuber, kQuantile, kPoisson };
Result<LossKind> parse_loss(std::string_view name);
std::string_view loss_name(LossKind kind);
LossKind default_loss(Task task);

// What a prediction is of a regression's output.
enum class OutputLink : std::uint8_t { kIdentity, kLog };  // kLog: the output is the prediction's logarithm
OutputLink output_link(LossKind kind);

struct LossOptions {
  LossKind kind = LossKind::kCrossEntropy;
  float label_smoothing = 0.0F;      // cross-entropy: the target moves this far towards the uniform distribution
  float huber_delta = 1.0F;          // huber
  std::vector<float> class_weights;  // empty, or one for each class (two for a binary task)
  float quantile = 0.5F;             // quantile
};

// The loss of a regression's prediction, where Loss sees outputs: for poisson the prediction is the mean rate and a
// negative label, which no rate has, counts as 0. A kind that is no regression's stands for mse. Never negative; not a
// number where the prediction is none.
float loss_of_prediction(const LossOptions& options, float prediction, float label);

struct LossSum {
  double weighted = 0.0;   // sum of weight * loss
  std::size_t usable = 0;  // rows with a usable label
  std::size_t unusable = 0;
};

// A loss that a model brings along: a function of its outputs and of the targets alone.
class OwnLoss {
 public:
  virtual ~OwnLoss() = default;
  // outputs: [rows, outputs], targets: [rows], all usable. Writes the loss of each row and, where `gradients` is not
  // empty, its gradient with respect to the row's outputs. NaN losses where it cannot be computed.
  virtual void evaluate(std::span<const float> outputs, std::span<const float> targets, std::span<float> losses,
                        std::span<float> gradients) const = 0;
};

class Loss {
 public:
  static Result<Loss> create(LossOptions options, Task task, std::uint32_t outputs);

  // outputs: [rows, outputs()] logits or values; labels, weights: [rows]. Writes the unweighted loss of each row to
  // `losses` and scale * weight * d loss / d output to `gradients` ([rows, outputs()]); either may be empty.
  LossSum evaluate(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights,
                   float scale, std::span<float> losses, std::span<float> gradients) const;

  // From here on `own` in place of the configured kind; label smoothing has no part in it, class weights have.
  void replace(std::shared_ptr<const OwnLoss> own) { own_ = std::move(own); }

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
  float regression_row(float output, float label, float* gradient) const;

  LossSum evaluate_own(std::span<const float> outputs, std::span<const float> labels, std::span<const float> weights,
                       float scale, std::span<float> losses, std::span<float> gradients) const;

  LossOptions options_;
  Task task_;
  std::uint32_t outputs_;
  std::shared_ptr<const OwnLoss> own_;
};

}  // namespace freshet
