#include "learners/torch/device_tensors.h"

#include <cstring>

#include <ATen/ATen.h>

namespace freshet {

namespace {
at::Tensor host_view(float* data, std::size_t size) { return at::from_blob(data, {signed_size(size)}); }
}  // namespace

at::Tensor staging_words(std::size_t words, const at::Device& device) {
  return at::empty({signed_size(words)}, at::TensorOptions().dtype(at::kLong).pinned_memory(device.is_cuda()));
}

at::Tensor send_indices(std::span<const std::uint32_t> indices, const at::Device& device) {
  const at::Tensor host = staging_words(indices.size(), device);
  auto* to = host.mutable_data_ptr<std::int64_t>();
  for (std::size_t i = 0; i < indices.size(); ++i) to[i] = static_cast<std::int64_t>(indices[i]);
  return host.to(device, true);
}

void upload(const at::Tensor& to, std::span<const float> from) {
  if (from.empty()) return;
  // from_blob takes no const; nothing writes through it.
  to.view({-1}).copy_(host_view(const_cast<float*>(from.data()), from.size()));
}

void download(const at::Tensor& from, std::span<float> to) {
  if (!to.empty()) host_view(to.data(), to.size()).copy_(from.view({-1}));
}

void download_rows(const at::Tensor& from, const at::Tensor& indices, std::span<const std::uint32_t> rows, float* to) {
  if (rows.empty()) return;
  const at::Tensor host = from.index_select(0, indices).cpu();
  const auto stride = static_cast<std::size_t>(from.size(1));
  const float* row = host.const_data_ptr<float>();
  for (const auto index : rows) {
    std::memcpy(to + index * stride, row, stride * sizeof(float));
    row += stride;
  }
}

}  // namespace freshet
