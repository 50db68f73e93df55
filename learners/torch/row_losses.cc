#include "learners/torch/row_losses.h"

#include <ATen/ATen.h>

namespace freshet {

at::Tensor row_losses(const at::Tensor& outputs, const at::Tensor& targets, Task task, const LossOptions& options) {
  if (task == Task::kBinary) {
    const double smoothing = static_cast<double>(options.label_smoothing);
    return at::binary_cross_entropy_with_logits(outputs.squeeze(1), targets * (1.0 - smoothing) + 0.5 * smoothing, {},
                                                {}, at::Reduction::None);
  }
  if (task == Task::kMulticlass) {
    const double spread = static_cast<double>(options.label_smoothing) / static_cast<double>(outputs.size(1));
    const at::Tensor log_probabilities = at::log_softmax(outputs, 1);
    const at::Tensor own = log_probabilities.gather(1, targets.to(at::kLong).unsqueeze(1)).squeeze(1);
    if (spread == 0.0) return -own;
    return -(own * (1.0 - static_cast<double>(options.label_smoothing)) + log_probabilities.sum(1) * spread);
  }
  const at::Tensor values = outputs.squeeze(1);
  if (options.kind == LossKind::kMse) return (values - targets).square();
  if (options.kind == LossKind::kMae) return (values - targets).abs();
  if (options.kind == LossKind::kQuantile) {
    const auto quantile = static_cast<double>(options.quantile);
    return at::relu(targets - values) * quantile + at::relu(values - targets) * (1.0 - quantile);
  }
  if (options.kind == LossKind::kPoisson) {
    const at::Tensor positive = targets > 0.0;
    const at::Tensor counts = at::where(positive, targets, at::ones_like(targets));
    const at::Tensor apart = values - at::log(counts);
    return at::where(positive, counts * (at::expm1(apart) - apart), at::exp(values));
  }
  return at::huber_loss(values, targets, at::Reduction::None, static_cast<double>(options.huber_delta));
}

}  // namespace freshet
