#include "learners/models/device_pass.h"

#include <exception>
#include <vector>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/core.h>

#include "learners/models/kernels.h"

namespace freshet {

namespace {
std::int64_t signed_size(std::size_t size) { return static_cast<std::int64_t>(size); }

at::Tensor host_matrix(float* data, std::size_t rows, std::size_t columns, std::size_t row) {
  return at::from_blob(data, {signed_size(rows), signed_size(columns)}, {signed_size(row), 1});
}
}  // namespace

struct DevicePass::Tensors {
  at::Device device;
  at::Tensor dense;               // [dense_size]
  at::Tensor input;               // [rows, input]
  std::vector<at::Tensor> below;  // what each layer multiplies, [rows, in]

  at::Tensor matrix(const at::Tensor& flat, std::size_t rows, std::size_t columns, std::size_t offset) const {
    return flat.as_strided({signed_size(rows), signed_size(columns)}, {signed_size(round_up(columns, kLanes)), 1},
                           signed_size(offset));
  }
  at::Tensor vector(const at::Tensor& flat, std::size_t size, std::size_t offset) const {
    return flat.as_strided({signed_size(size)}, {1}, signed_size(offset));
  }
};

DevicePass::DevicePass(std::shared_ptr<const TabularShape> shape, const Device& device)
    : shape_(std::move(shape)),
      tensors_(std::make_unique<Tensors>(Tensors{
          device.kind == Device::Kind::kCuda ? at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device.index))
                                             : at::Device(at::kCPU),
          {},
          {},
          {}})) {}

DevicePass::~DevicePass() = default;

Status DevicePass::forward(const float* dense, TabularScratch& scratch) {
  try {
    const c10::InferenceMode guard;
    const TabularShape& shape = *shape_;
    Tensors& t = *tensors_;
    // from_blob takes no const; nothing writes through it.
    t.dense =
        at::from_blob(const_cast<float*>(dense), {signed_size(shape.dense_size)}).to(t.device, at::kFloat, false, true);
    t.input = host_matrix(scratch.input.data(), scratch.rows, shape.input, shape.input_stride)
                  .to(t.device, at::kFloat, false, true);
    t.below.clear();
    at::Tensor x = t.input;
    for (std::size_t l = 0; l < shape.layers.size(); ++l) {
      const TabularLayer& layer = shape.layers[l];
      t.below.push_back(x);
      x = at::addmm(t.vector(t.dense, layer.out, layer.bias), x, t.matrix(t.dense, layer.in, layer.out, layer.weight));
      if (l + 1 < shape.layers.size()) x.relu_();
    }
    if (shape.wide) {
      const auto numbers = t.input.narrow(1, signed_size(shape.embedded()), signed_size(shape.numbers));
      const auto wide = at::addmm(t.vector(t.dense, shape.outputs, shape.wide_bias), numbers,
                                  t.matrix(t.dense, shape.numbers, shape.outputs, shape.wide_weight));
      x = shape.layers.empty() ? wide : x + wide;
    }
    host_matrix(scratch.outputs.data(), scratch.rows, shape.outputs, shape.output_stride).copy_(x);
    return Status::ok();
  } catch (const std::exception& error) {
    return internal_error(fmt::format("forward pass on {}: {}", tensors_->device.str(), error.what()));
  }
}

Status DevicePass::backward(float* output_gradients, float* dense_gradients, float* input_gradients,
                            std::size_t input_row) {
  try {
    const c10::InferenceMode guard;
    const TabularShape& shape = *shape_;
    const Tensors& t = *tensors_;
    const auto rows = static_cast<std::size_t>(t.input.size(0));
    const at::Tensor outputs =
        host_matrix(output_gradients, rows, shape.outputs, shape.output_stride).to(t.device, at::kFloat, false, true);
    const at::Tensor gradients = at::zeros({signed_size(shape.dense_size)}, t.dense.options());
    at::Tensor above = outputs;
    for (std::size_t l = shape.layers.size(); l-- > 0;) {
      const TabularLayer& layer = shape.layers[l];
      t.matrix(gradients, layer.in, layer.out, layer.weight).copy_(at::mm(t.below[l].t(), above));
      t.vector(gradients, layer.out, layer.bias).copy_(above.sum(0));
      const std::size_t wanted = l == 0 ? shape.embedded() : layer.in;
      if (wanted == 0) break;
      above = at::mm(above, t.matrix(t.dense, wanted, layer.out, layer.weight).t());
      if (l > 0) above.mul_(t.below[l] > 0);
    }
    if (shape.wide) {
      const auto numbers = t.input.narrow(1, signed_size(shape.embedded()), signed_size(shape.numbers));
      t.matrix(gradients, shape.numbers, shape.outputs, shape.wide_weight).copy_(at::mm(numbers.t(), outputs));
      t.vector(gradients, shape.outputs, shape.wide_bias).copy_(outputs.sum(0));
    }
    const at::Tensor on_host = gradients.cpu();
    if (shape.embedded() > 0) host_matrix(input_gradients, rows, shape.embedded(), input_row).copy_(above);
    cpu_kernels().add(dense_gradients, on_host.const_data_ptr<float>(), shape.dense_size);
    return Status::ok();
  } catch (const std::exception& error) {
    return internal_error(fmt::format("backward pass on {}: {}", tensors_->device.str(), error.what()));
  }
}

}  // namespace freshet
