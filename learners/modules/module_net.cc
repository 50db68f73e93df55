#include "learners/modules/module_net.h"

#include <algorithm>
#include <limits>
#include <mutex>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/hash.h"
#include "learners/models/kernels.h"
#include "learners/torch/device_tensors.h"
#include "learners/torch/row_losses.h"

namespace freshet {

namespace {

// LibTorch has one generator for all of a device's draws: who seeds it must be alone until the draws are done.
std::mutex& generator_mutex() {
  static std::mutex mutex;
  return mutex;
}

at::Tensor targets_of(std::span<const float> labels, Task task, const at::Device& device) {
  return script_targets(labels, task).to(device);
}

class ScriptLoss final : public OwnLoss {
 public:
  ScriptLoss(std::shared_ptr<ScriptModule> module, Task task, bool flat, const at::Device& device)
      : module_(std::move(module)), task_(task), flat_(flat), device_(device) {}

  void evaluate(std::span<const float> outputs, std::span<const float> targets, std::span<float> losses,
                std::span<float> gradients) const override {
    const std::size_t rows = targets.size();
    if (rows == 0) return;
    try {
      const c10::AutoGradMode with_gradients(true);
      at::Tensor given = at::empty({signed_size(outputs.size())}, at::kFloat);
      std::copy(outputs.begin(), outputs.end(), given.mutable_data_ptr<float>());
      given = flat_ ? given : given.view({signed_size(rows), -1});
      given = given.to(device_).set_requires_grad(true);
      const at::Tensor each = checked_losses(module_->loss(given, targets_of(targets, task_, device_)), rows);
      download(each.detach().contiguous(), losses);
      if (gradients.empty()) return;
      std::ranges::fill(gradients, 0.0F);
      if (!each.requires_grad()) return;
      // Not backward(): a loss that looks at parameters must not add to their gradients here.
      const auto found = torch::autograd::grad({each.sum()}, {given}, {}, std::nullopt, false, true);
      if (found[0].defined()) download(found[0].contiguous(), gradients);
    } catch (const std::exception&) {  // the guard of the step skips and counts what is not a number
      std::ranges::fill(losses, std::numeric_limits<float>::quiet_NaN());
      std::ranges::fill(gradients, std::numeric_limits<float>::quiet_NaN());
    }
  }

 private:
  std::shared_ptr<ScriptModule> module_;
  Task task_;
  bool flat_;
  at::Device device_;
};

}  // namespace

ModuleNet::ModuleNet(std::shared_ptr<ScriptModule> module, const ModuleContract& contract, const ModuleTraits& traits,
                     std::uint64_t seed, const at::Device& device)
    : module_(std::move(module)), contract_(contract), traits_(traits), seed_(seed), device_(device) {
  const c10::NoGradGuard no_grad;
  if (module_->has_loss()) {
    own_loss_ = std::make_shared<ScriptLoss>(module_, contract.output.task, traits.flat_outputs, device);
  }
  std::size_t size = 0;
  for (std::size_t i = 0; i < module_->parameters(); ++i) {
    const auto count = static_cast<std::size_t>(module_->parameter(i).numel());
    const std::size_t stride = round_up(count, AlignedBuffer::kAlignment / sizeof(float));
    image_.tensors.push_back({module_->parameter_name(i), size, 1, count, stride});
    size += stride;
  }
  image_.dense.reset(size);
  read_parameters(*module_);
  module_->to(device);
  dense_ = at::zeros({signed_size(size)}, at::TensorOptions().dtype(at::kFloat).device(device));
  dense_gradients_ = at::zeros_like(dense_);
  module_->for_each_parameter([&](std::size_t number, const at::Tensor& parameter) {
    const DenseTensor& place = image_.tensors[number];
    const auto view = [&](const at::Tensor& flat) {
      return flat.narrow(0, signed_size(place.offset), signed_size(place.columns)).view(parameter.sizes());
    };
    const at::Tensor gradient = view(dense_gradients_);
    parameter.set_data(view(dense_));
    parameter.set_requires_grad(true);
    parameter.mutable_grad() = gradient;
    parameters_.push_back(parameter);
    gradients_.push_back(gradient);
  });
  module_->set_training(false);
  upload_weights();
  kept_buffers_ = copy_buffers();
  host_buffers_.resize(kept_buffers_.size());
}

void ModuleNet::read_parameters(const ScriptModule& from) {
  for (std::size_t i = 0; i < image_.tensors.size(); ++i) {
    const DenseTensor& place = image_.tensors[i];
    download(from.parameter(i).detach().contiguous(), image_.dense.span().subspan(place.offset, place.columns));
  }
}

void ModuleNet::read_weights(const ScriptModule& from) {
  const c10::NoGradGuard no_grad;
  read_parameters(from);
  upload_weights();
  for (std::size_t i = 0; i < module_->buffers(); ++i) module_->set_buffer(i, from.buffer(i));
  open_step_ = false;
}

void ModuleNet::upload_weights() {
  const c10::NoGradGuard no_grad;
  upload(dense_, image_.dense.span());
}
void ModuleNet::download_weights() {
  const c10::NoGradGuard no_grad;
  download(dense_, image_.dense.span());
}

const std::vector<at::Tensor>& ModuleNet::download_buffers() {
  const c10::NoGradGuard no_grad;
  for (std::size_t i = 0; i < host_buffers_.size(); ++i) {
    host_buffers_[i] = module_->buffer(i).detach().to(at::kCPU, /*non_blocking=*/false, /*copy=*/true).contiguous();
  }
  return host_buffers_;
}

std::vector<at::Tensor> ModuleNet::copy_buffers() const {
  std::vector<at::Tensor> copies;
  for (std::size_t i = 0; i < module_->buffers(); ++i) copies.push_back(module_->buffer(i).detach().clone());
  return copies;
}

void ModuleNet::set_buffers(std::span<const at::Tensor> buffers) {
  for (std::size_t i = 0; i < buffers.size(); ++i) module_->set_buffer(i, buffers[i]);
  open_step_ = false;
}

void ModuleNet::clear_gradients() {
  settle();
  dense_gradients_.zero_();
  outputs_.reset();
  if (kept_buffers_.empty()) return;
  const c10::NoGradGuard no_grad;
  for (std::size_t i = 0; i < kept_buffers_.size(); ++i) {
    const at::Tensor now = module_->buffer(i);
    at::Tensor& kept = kept_buffers_[i];
    if (kept.sizes() == now.sizes() && kept.dtype() == now.dtype()) {
      kept.copy_(now);
    } else {
      kept = now.detach().clone();
    }
  }
  open_step_ = true;
}

void ModuleNet::settle() {
  if (open_step_) set_buffers(kept_buffers_);
}

double ModuleNet::squared_gradient_norm() const {
  const c10::NoGradGuard no_grad;
  return at::dot(dense_gradients_, dense_gradients_).to(at::kDouble).item<double>();
}

void ModuleNet::set_mode(bool training) {
  if (training == training_) return;
  module_->set_training(training);
  training_ = training;
}

at::Tensor ModuleNet::training_pass(std::span<const RowRange> rows) {
  count_ = row_count(rows);
  set_mode(count_ > 1 || !traits_.single_rows_as_served);
  const ModuleInputs inputs = gather_inputs(contract_, rows, count_);
  const at::Tensor numbers = inputs.numbers.to(device_);
  const at::Tensor categories = inputs.categories.to(device_);
  ++passes_;
  const c10::AutoGradMode with_gradients(true);
  if (!traits_.draws) return module_->forward(numbers, categories);
  const std::lock_guard alone(generator_mutex());
  auto generator = at::globalContext().defaultGenerator(device_);
  {
    const std::lock_guard lock(generator.mutex());
    // 53 bits: what every generator takes.
    generator.set_current_seed(hash_combine(seed_, passes_) >> 11);
  }
  return module_->forward(numbers, categories);
}

Result<std::span<const float>> ModuleNet::forward(std::span<const RowRange> rows) {
  TRY(check_rows(contract_, rows));
  count_ = row_count(rows);
  host_outputs_.resize(count_ * contract_.output.width);
  if (count_ == 0) return std::span<const float>(host_outputs_);
  return guarded("forward pass", [&]() -> Result<std::span<const float>> {
    outputs_ = checked_outputs(contract_, training_pass(rows), count_);
    download(outputs_.detach().contiguous(), host_outputs_);
    return std::span<const float>(host_outputs_);
  });
}

Result<std::span<const float>> ModuleNet::infer(std::span<const RowRange> rows) {
  TRY(check_rows(contract_, rows));
  count_ = row_count(rows);
  host_outputs_.resize(count_ * contract_.output.width);
  outputs_.reset();
  if (count_ == 0) return std::span<const float>(host_outputs_);
  return guarded("forward pass", [&]() -> Result<std::span<const float>> {
    set_mode(false);
    const c10::NoGradGuard no_grad;
    const ModuleInputs inputs = gather_inputs(contract_, rows, count_);
    const at::Tensor outputs = module_->forward(inputs.numbers.to(device_), inputs.categories.to(device_));
    download(checked_outputs(contract_, outputs, count_).contiguous(), host_outputs_);
    return std::span<const float>(host_outputs_);
  });
}

Status ModuleNet::backward(std::span<const float> output_gradients) {
  if (output_gradients.size() != count_ * contract_.output.width) abort_with("backward() without its forward()");
  if (count_ == 0) return Status::ok();
  if (!outputs_.defined()) abort_with("backward() without its forward()");
  return guarded("backward pass", [&] {
    at::Tensor gradients = at::empty({signed_size(output_gradients.size())}, at::kFloat);
    std::copy(output_gradients.begin(), output_gradients.end(), gradients.mutable_data_ptr<float>());
    // The graph is kept: a strategy may send several gradients back through one forward pass.
    outputs_.backward(gradients.to(device_).view(outputs_.sizes()), true);
    adopt_gradients();
    return Status::ok();
  });
}

// Some gradients do not add themselves in place (sparse ones of an embedding).
void ModuleNet::adopt_gradients() {
  const c10::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const at::Tensor& now = parameters_[i].grad();
    if (now.unsafeGetTensorImpl() == gradients_[i].unsafeGetTensorImpl()) continue;
    if (now.defined()) gradients_[i].copy_(now.is_sparse() ? now.to_dense() : now);
    parameters_[i].mutable_grad() = gradients_[i];
  }
}

Status ModuleNet::loss_gradients(std::span<const RowRange> parts, const Loss& loss, std::span<LossSum> sums) {
  TRY(check_rows(contract_, parts));
  const std::size_t rows = row_count(parts);
  if (rows == 0) return Status::ok();
  return guarded("training pass", [&] {
    std::vector<float> labels;
    std::vector<float> weights;
    labels.reserve(rows);
    weights.reserve(rows);
    for (std::size_t p = 0; p < parts.size(); ++p) {
      if (parts[p].size() > 0) sums[p] = {};
      for (std::size_t i = parts[p].begin; i < parts[p].end; ++i) {
        const float label = parts[p].batch->labels[i];
        const float own = parts[p].batch->weights[i];
        const bool usable = loss.usable(label, own);
        ++(usable ? sums[p].usable : sums[p].unusable);
        labels.push_back(usable ? label : 0.0F);
        weights.push_back(usable ? own * loss.class_weight(label) : 0.0F);
      }
    }
    const at::Tensor raw = training_pass(parts);
    const at::Tensor outputs = checked_outputs(contract_, raw, rows);
    at::Tensor unweighted;
    at::Tensor weighted;
    {
      const c10::AutoGradMode with_gradients(true);
      if (own_loss_ != nullptr) {
        unweighted = checked_losses(module_->loss(raw, targets_of(labels, task(), device_)), rows);
      } else {
        unweighted = row_losses(outputs, targets_of(labels, Task::kRegression, device_), task(), loss.options());
      }
      weighted = unweighted * targets_of(weights, Task::kRegression, device_);
    }
    weighted.backward(at::full_like(weighted, static_cast<double>(1.0F / static_cast<float>(rows))));
    adopt_gradients();
    outputs_.reset();
    const at::Tensor host = unweighted.detach().to(at::kCPU).contiguous();
    const float* each = host.const_data_ptr<float>();
    std::size_t row = 0;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      for (std::size_t i = 0; i < parts[p].size(); ++i, ++row) {
        // A weight of zero hides nothing from the guard: NaN stays NaN.
        sums[p].weighted += static_cast<double>(weights[row]) * each[row];
        if (parts[p].losses != nullptr) parts[p].losses[i] = each[row];
      }
    }
    return Status::ok();
  });
}

}  // namespace freshet
