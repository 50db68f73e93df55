#include "learners/modules/stored_buffers.h"

#include <algorithm>

#include <ATen/ATen.h>
#include <fmt/core.h>

namespace freshet {

void save_buffers(ByteWriter& out, std::span<const at::Tensor> buffers) {
  out.put<std::uint64_t>(buffers.size());
  for (const at::Tensor& buffer : buffers) {
    const at::Tensor host = buffer.detach().to(at::kCPU).contiguous();
    out.put(host.scalar_type());
    out.put_span(std::span<const std::int64_t>(host.sizes().data(), host.sizes().size()));
    out.put_text({static_cast<const char*>(host.const_data_ptr()), host.nbytes()});
  }
}

Result<std::vector<at::Tensor>> load_buffers(ByteReader& in, const ScriptModule& module) {
  constexpr std::int64_t kLongest = std::int64_t{1} << 32;
  constexpr std::size_t kMostDimensions = 16;
  const auto count = in.get<std::uint64_t>();
  if (!in.ok()) return data_loss("the stored buffers are cut short");
  if (count != module.buffers()) {
    return failed_precondition(fmt::format("the stored model has {} buffers, this one {}", count, module.buffers()));
  }
  std::vector<at::Tensor> buffers;
  for (std::size_t i = 0; i < count; ++i) {
    const auto type = in.get<at::ScalarType>();
    const auto sizes = in.get_vector<std::int64_t>();
    const std::string bytes = in.get_text();
    if (!in.ok()) return data_loss("the stored buffers are cut short");
    if (type != module.buffer(i).scalar_type()) {
      return failed_precondition(fmt::format("the stored buffer {} is of another type", module.buffer_name(i)));
    }
    std::size_t expected = c10::elementSize(type);
    bool sound = sizes.size() <= kMostDimensions;
    for (const auto size : sizes) {
      sound = sound && size >= 0 && size <= kLongest && (size == 0 || expected <= bytes.size());
      if (sound) expected *= static_cast<std::size_t>(size);
    }
    if (!sound || expected != bytes.size()) {
      return data_loss(fmt::format("the stored buffer {} has another size", module.buffer_name(i)));
    }
    const at::Tensor value = at::empty(sizes, type);
    if (!bytes.empty()) std::ranges::copy(bytes, static_cast<char*>(value.mutable_data_ptr()));
    buffers.push_back(value);
  }
  return buffers;
}

}  // namespace freshet
