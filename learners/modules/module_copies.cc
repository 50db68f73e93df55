#include "learners/modules/module_copies.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "learners/modules/stored_buffers.h"
#include "learners/torch/device_tensors.h"

namespace freshet {

namespace {

void save_flat(ByteWriter& out, const at::Tensor& flat) {
  std::vector<float> host(static_cast<std::size_t>(flat.numel()));
  download(flat, host);
  save_floats(out, host);
}
Status load_flat(ByteReader& in, const at::Tensor& flat) {
  std::vector<float> host(static_cast<std::size_t>(flat.numel()));
  TRY(load_floats(in, host));
  upload(flat, host);
  return Status::ok();
}

class ModuleCopy final : public WeightsCopy {
 public:
  explicit ModuleCopy(ModuleNet& net) : net_(net), dense_(at::empty_like(net.dense())) { take_now(); }

  Status take() override {
    return guarded("copy of the weights", [&] {
      take_now();
      return Status::ok();
    });
  }
  Status approach(float share) override {
    return guarded("average of the weights", [&] {
      const c10::NoGradGuard no_grad;
      dense_.lerp_(net_.dense(), static_cast<double>(share));
      buffers_ = net_.copy_buffers();
      return Status::ok();
    });
  }
  Status add_gradients(float factor) override {
    return guarded("virtual step", [&] {
      const c10::NoGradGuard no_grad;
      dense_.add_(net_.dense_gradients(), factor);
      return Status::ok();
    });
  }
  Result<std::span<const float>> forward(std::span<const RowRange> rows) override {
    TRY(check_rows(net_.contract(), rows));
    const std::size_t count = row_count(rows);
    outputs_.resize(count * net_.contract().output.width);
    if (count == 0) return std::span<const float>(outputs_);
    return guarded("forward pass of a copy", [&]() -> Result<std::span<const float>> {
      if (module_ == nullptr) make_module();
      const c10::NoGradGuard no_grad;
      for (std::size_t i = 0; i < buffers_.size(); ++i) module_->set_buffer(i, buffers_[i]);
      const ModuleInputs inputs = gather_inputs(net_.contract(), rows, count);
      const at::Tensor outputs =
          module_->forward(inputs.numbers.to(net_.device()), inputs.categories.to(net_.device()));
      download(checked_outputs(net_.contract(), outputs, count).contiguous(), outputs_);
      return std::span<const float>(outputs_);
    });
  }
  Status save(ByteWriter& out) const override {
    return guarded("saving a copy of the weights", [&] {
      const c10::NoGradGuard no_grad;
      save_flat(out, dense_);
      save_buffers(out, buffers_);
      return Status::ok();
    });
  }
  Status load(ByteReader& in) override {
    return guarded("loading a copy of the weights", [&]() -> Status {
      const c10::NoGradGuard no_grad;
      TRY(load_flat(in, dense_));
      buffers_ = TRY(load_buffers(in, net_.module()));
      return Status::ok();
    });
  }

  const at::Tensor& dense() const { return dense_; }
  const std::vector<at::Tensor>& buffers() const { return buffers_; }

 private:
  void take_now() {
    const c10::NoGradGuard no_grad;
    dense_.copy_(net_.dense());
    buffers_ = net_.copy_buffers();
  }
  // Its parameters are views of dense_.
  void make_module() {
    const c10::NoGradGuard no_grad;
    auto module = net_.module().copy();
    module->to(net_.device());
    module->for_each_parameter([&](std::size_t number, const at::Tensor& parameter) {
      const DenseTensor& place = net_.image().tensors[number];
      parameter.set_data(
          dense_.narrow(0, signed_size(place.offset), signed_size(place.columns)).view(parameter.sizes()));
    });
    module_ = std::move(module);
  }

  ModuleNet& net_;
  at::Tensor dense_;
  std::vector<at::Tensor> buffers_;
  std::unique_ptr<ScriptModule> module_;  // made at the first forward()
  std::vector<float> outputs_;
};

class ModulePenalty final : public QuadraticPenalty {
 public:
  explicit ModulePenalty(ModuleNet& net)
      : net_(net), anchor_(net.dense().clone()), importance_(at::zeros_like(net.dense())) {}

  Status clear() override {
    return worked([&] {
      importance_.zero_();
      anchor_.copy_(net_.dense());
    });
  }
  Status scale_importance(float factor) override {
    return worked([&] { importance_.mul_(factor); });
  }
  Status add_squared_gradients(float factor) override {
    return worked([&] { importance_.addcmul_(net_.dense_gradients(), net_.dense_gradients(), factor); });
  }
  Status set_anchor() override {
    return worked([&] { anchor_.copy_(net_.dense()); });
  }
  Status add_gradients(float strength) override {
    return worked([&] { net_.dense_gradients().addcmul_(importance_, net_.dense() - anchor_, strength); });
  }
  Status save(ByteWriter& out) const override {
    return guarded("saving a penalty", [&] {
      save_flat(out, anchor_);
      save_flat(out, importance_);
      return Status::ok();
    });
  }
  Status load(ByteReader& in) override {
    return guarded("loading a penalty", [&]() -> Status {
      TRY(load_flat(in, anchor_));
      return load_flat(in, importance_);
    });
  }

 private:
  template <typename Work>
  static Status worked(Work&& work) {
    return guarded("penalty", [&] {
      const c10::NoGradGuard no_grad;
      std::forward<Work>(work)();
      return Status::ok();
    });
  }

  ModuleNet& net_;
  at::Tensor anchor_;      // [dense_size]
  at::Tensor importance_;  // [dense_size]
};

}  // namespace

std::unique_ptr<WeightsCopy> copy_of(ModuleNet& net) { return std::make_unique<ModuleCopy>(net); }
std::unique_ptr<QuadraticPenalty> penalty_of(ModuleNet& net) { return std::make_unique<ModulePenalty>(net); }

void restore_weights(ModuleNet& net, const WeightsCopy& copy) {
  const c10::NoGradGuard no_grad;
  const auto& from = static_cast<const ModuleCopy&>(copy);
  net.dense().copy_(from.dense());
  net.set_buffers(from.buffers());
}

}  // namespace freshet
