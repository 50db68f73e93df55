#include "learners/torch/torch_good_state.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "core/status.h"
#include "learners/training/good_state.h"

namespace freshet {

namespace {

std::vector<at::Tensor> with(std::vector<at::Tensor> tensors, const std::vector<at::Tensor>& more) {
  tensors.insert(tensors.end(), more.begin(), more.end());
  return tensors;
}

// What a step moves.
std::vector<at::Tensor> moving(const std::vector<at::Tensor>& weights, const TorchOptimizer& optimizer,
                               const TorchEma* ema) {
  auto tensors = with(weights, optimizer.state_tensors());
  return ema == nullptr ? tensors : with(std::move(tensors), ema->state_tensors());
}

}  // namespace

void TorchGoodState::mark(const std::vector<at::Tensor>& weights, const TorchOptimizer& optimizer,
                          const TorchEma* ema) {
  const c10::NoGradGuard no_grad;
  const auto live = moving(weights, optimizer, ema);
  if (kept_.empty()) {
    for (const auto& tensor : live) kept_.push_back(at::empty_like(tensor));
  }
  for (std::size_t i = 0; i < live.size(); ++i) kept_[i].copy_(live[i]);
  optimizer_steps_ = optimizer.steps();
  if (ema != nullptr) ema_ = ema->progress();
}

void TorchGoodState::restore(const std::vector<at::Tensor>& weights, TorchOptimizer& optimizer, TorchEma* ema) {
  const c10::NoGradGuard no_grad;
  const auto live = moving(weights, optimizer, ema);
  if (kept_.size() != live.size()) abort_with("TorchGoodState::restore() without mark()");
  for (std::size_t i = 0; i < live.size(); ++i) live[i].copy_(kept_[i]);
  optimizer.set_steps(optimizer_steps_);
  if (ema != nullptr) ema->set_progress(ema_);
}

bool TorchGoodState::sane(const std::vector<at::Tensor>& weights, const TorchEma* ema) {
  const c10::NoGradGuard no_grad;
  const auto values = ema == nullptr ? weights : with(weights, ema->state_tensors());
  return std::ranges::all_of(values, [](const at::Tensor& tensor) {
    return tensor.abs().max().item<double>() <= static_cast<double>(kSaneWeightMax);
  });
}

}  // namespace freshet
