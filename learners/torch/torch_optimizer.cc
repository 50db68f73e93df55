#include "learners/torch/torch_optimizer.h"

#include <limits>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "learners/torch/device_tensors.h"

namespace freshet {

TorchOptimizer::TorchOptimizer(Optimizer& image, const DeviceWeights& net)
    : image_(image), options_(image.options()), device_(net.device()) {
  for (std::size_t p = 0; p < image.state().planes.size(); ++p) {
    planes_.push_back(
        {at::zeros_like(net.dense()), net.table().defined() ? at::zeros_like(net.table()) : at::Tensor()});
  }
  step_count_ = at::ones({}, net.dense().options());
  if (const auto row_steps = image.state().row_steps; !row_steps.empty()) {
    row_steps_ = at::zeros({signed_size(row_steps.size())}, net.dense().options().dtype(at::kLong));
  }
  upload_state();
}

std::vector<at::Tensor> TorchOptimizer::state_tensors() const {
  std::vector<at::Tensor> tensors;
  for (const auto& plane : planes_) {
    tensors.push_back(plane.dense);
    if (plane.rows.defined()) tensors.push_back(plane.rows);
  }
  if (row_steps_.defined()) tensors.push_back(row_steps_);
  return tensors;
}

void TorchOptimizer::upload_state() {
  const OptimizerState state = image_.state();
  for (std::size_t p = 0; p < planes_.size(); ++p) {
    upload(planes_[p].dense, state.planes[p].dense);
    if (planes_[p].rows.defined()) upload(planes_[p].rows, state.planes[p].rows);
  }
  if (state.steps != nullptr) steps_ = static_cast<std::int64_t>(*state.steps);
  if (row_steps_.defined()) row_steps_.copy_(send_indices(state.row_steps, device_));
}

void TorchOptimizer::download_state(std::span<const std::uint32_t> rows) {
  const OptimizerState state = image_.state();
  const at::Tensor indices = rows.empty() ? at::Tensor() : send_indices(rows, device_);
  for (std::size_t p = 0; p < planes_.size(); ++p) {
    download(planes_[p].dense, state.planes[p].dense);
    if (!rows.empty()) download_rows(planes_[p].rows, indices, rows, state.planes[p].rows.data());
  }
  if (state.steps != nullptr) *state.steps = static_cast<std::uint64_t>(steps_);
  if (row_steps_.defined() && !rows.empty()) {
    const at::Tensor counts = row_steps_.index_select(0, indices).cpu();
    const auto* count = counts.const_data_ptr<std::int64_t>();
    for (const auto row : rows) state.row_steps[row] = static_cast<std::uint32_t>(*count++);
  }
}

void TorchOptimizer::step(const DeviceWeights& net, const at::Tensor& touched, float learning_rate) {
  const c10::NoGradGuard no_grad;
  if (options_.kind == OptimizerKind::kAdamW || options_.kind == OptimizerKind::kAdam) {
    return step_adam(net, touched, learning_rate);
  }
  // The touched rows take their step beside the dense weights, in one call.
  std::vector<at::Tensor> weights = {net.dense()};
  std::vector<at::Tensor> gradients = {net.dense_gradients()};
  std::vector<at::Tensor> state;
  for (const auto& plane : planes_) state.push_back(plane.dense);
  const bool rows = net.row_gradients().defined();
  if (rows) {
    weights.push_back(net.table().index_select(0, touched));
    gradients.push_back(net.row_gradients());
    for (const auto& plane : planes_) state.push_back(plane.rows.index_select(0, touched));
  }
  const auto rate = static_cast<double>(learning_rate);
  const auto decay = static_cast<double>(options_.weight_decay);
  if (options_.kind == OptimizerKind::kSgd) {
    at::_fused_sgd_(weights, gradients, state, decay, static_cast<double>(options_.momentum), rate, 0.0,
                    options_.nesterov, false, false);
  } else {
    const std::vector<at::Tensor> steps(weights.size(), step_count_);
    at::_fused_adagrad_(weights, gradients, state, steps, rate, 0.0, decay, static_cast<double>(options_.epsilon),
                        false);
  }
  if (!rows) return;
  net.table().index_copy_(0, touched, weights[1]);
  if (!planes_.empty()) planes_[0].rows.index_copy_(0, touched, state[1]);
}

void TorchOptimizer::step_adam(const DeviceWeights& net, const at::Tensor& touched, float learning_rate) {
  const auto rate = static_cast<double>(learning_rate);
  const auto beta1 = static_cast<double>(options_.beta1);
  const auto beta2 = static_cast<double>(options_.beta2);
  const auto decay = static_cast<double>(options_.weight_decay);
  const auto epsilon = static_cast<double>(options_.epsilon);
  const bool decoupled = options_.kind == OptimizerKind::kAdamW;
  step_count_.fill_(static_cast<double>(++steps_));
  if (decoupled) {
    at::_fused_adamw_({net.dense()}, {net.dense_gradients()}, {planes_[0].dense}, {planes_[1].dense}, {}, {step_count_},
                      rate, beta1, beta2, decay, epsilon, false, false);
  } else {
    at::_fused_adam_({net.dense()}, {net.dense_gradients()}, {planes_[0].dense}, {planes_[1].dense}, {}, {step_count_},
                     rate, beta1, beta2, decay, epsilon, false, false);
  }
  if (!net.row_gradients().defined()) return;
  // Each row has its own count of steps, which the fused operation does not know.
  const at::Tensor counts =
      (row_steps_.index_select(0, touched) + 1).clamp_max_(std::numeric_limits<std::uint32_t>::max());
  const at::Tensor first = planes_[0].rows.index_select(0, touched);
  const at::Tensor second = planes_[1].rows.index_select(0, touched);
  const at::Tensor weights = net.table().index_select(0, touched);
  const bool coupled = !decoupled && decay != 0.0;
  const at::Tensor gradients = coupled ? net.row_gradients().add(weights, decay) : net.row_gradients();
  first.lerp_(gradients, 1.0 - beta1);
  second.mul_(beta2).addcmul_(gradients, gradients, 1.0 - beta2);
  const at::Tensor count = counts.to(at::kDouble).unsqueeze(1);
  const at::Tensor step_size = (rate / (1.0 - at::pow(beta1, count))).to(at::kFloat);
  const at::Tensor root = at::sqrt(1.0 - at::pow(beta2, count)).to(at::kFloat);
  if (decoupled) weights.mul_(1.0 - rate * decay);
  weights.sub_(first.div(second.sqrt().div_(root).add_(epsilon)).mul_(step_size));
  net.table().index_copy_(0, touched, weights);
  planes_[0].rows.index_copy_(0, touched, first);
  planes_[1].rows.index_copy_(0, touched, second);
  row_steps_.index_copy_(0, touched, counts);
}

}  // namespace freshet
