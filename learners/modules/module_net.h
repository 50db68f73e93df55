// ModuleNet: a ScriptModule as a Model to train. Its parameters are views of one flat tensor on the device, their
// gradients views of another, so that optimizer, averages and checkpoints need not know how the module is built.
//
// Buffers (running means and the like) move in the forward pass; those of a step that was not taken are put back by
// settle(). Random numbers of a training pass come from LibTorch's generator, seeded anew for each pass from the
// model's seed and the number of the pass: the next pass depends on nothing else.
//
// Threads: the trainer.  Owns: module, weights, gradients, buffers.
// Failure: what the script throws, and outputs or losses of another shape or type, become errors; functions that return
// no Status throw what LibTorch throws.
#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "learners/models/parameters.h"
#include "learners/modules/module_calls.h"
#include "learners/modules/module_trial.h"
#include "learners/torch/device_weights.h"

namespace freshet {

class ModuleNet final : public Model, public DeviceWeights {
 public:
  ModuleNet(std::shared_ptr<ScriptModule> module, const ModuleContract& contract, const ModuleTraits& traits,
            std::uint64_t seed, const at::Device& device);

  Task task() const override { return contract_.output.task; }
  std::uint32_t outputs() const override { return static_cast<std::uint32_t>(contract_.output.width); }
  Result<std::span<const float>> forward(std::span<const RowRange> rows) override;
  Result<std::span<const float>> infer(std::span<const RowRange> rows) override;
  Status backward(std::span<const float> output_gradients) override;
  Status loss_gradients(std::span<const RowRange> parts, const Loss& loss, std::span<LossSum> sums) override;
  std::shared_ptr<const OwnLoss> own_loss() const override { return own_loss_; }

  // Also the begin of a step, which ends with step_taken(); without it the buffers go back to where they were.
  void clear_gradients();
  void step_taken() { open_step_ = false; }
  void settle();
  double squared_gradient_norm() const;
  void scale_gradients(float factor) { dense_gradients_.mul_(factor); }

  // The image in host memory; its tensors are the parameters, in the order of the module's numbers.
  Parameters& image() { return image_; }
  const Parameters& image() const { return image_; }
  // Parameters and buffers of a module like this one, on the CPU.
  void read_weights(const ScriptModule& from);
  void upload_weights();
  void download_weights();
  const std::vector<at::Tensor>& download_buffers();                             // copies in host memory
  const std::vector<at::Tensor>& host_buffers() const { return host_buffers_; }  // as they were last downloaded
  std::vector<at::Tensor> copy_buffers() const;                                  // on the device
  void set_buffers(std::span<const at::Tensor> buffers);
  std::uint64_t passes() const { return passes_; }
  void set_passes(std::uint64_t passes) { passes_ = passes; }
  void set_seed(std::uint64_t seed) { seed_ = seed; }

  ScriptModule& module() { return *module_; }
  const ModuleContract& contract() const { return contract_; }

  const at::Device& device() const override { return device_; }
  const at::Tensor& dense() const override { return dense_; }
  const at::Tensor& dense_gradients() const override { return dense_gradients_; }
  const at::Tensor& table() const override { return none_; }
  const at::Tensor& row_gradients() const override { return none_; }

 private:
  void read_parameters(const ScriptModule& from);
  void set_mode(bool training);
  at::Tensor training_pass(std::span<const RowRange> rows);  // what forward returned
  void adopt_gradients();

  std::shared_ptr<ScriptModule> module_;
  ModuleContract contract_;
  ModuleTraits traits_;
  std::shared_ptr<const OwnLoss> own_loss_;
  std::uint64_t seed_;
  std::uint64_t passes_ = 0;  // training passes so far
  at::Device device_;
  Parameters image_;
  at::Tensor dense_, dense_gradients_, none_;
  std::vector<at::Tensor> parameters_, gradients_;  // views, under every name that stands for a parameter
  std::vector<at::Tensor> kept_buffers_;            // as they were before the open step
  std::vector<at::Tensor> host_buffers_;
  bool open_step_ = false;
  bool training_ = false;
  std::size_t count_ = 0;
  at::Tensor outputs_;  // [rows, outputs] of the last forward()
  std::vector<float> host_outputs_;
};

}  // namespace freshet
