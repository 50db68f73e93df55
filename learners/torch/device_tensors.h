// What the tensors of the LibTorch engine have in common: whole matrices and chosen rows between host memory and the
// device, and LibTorch's exceptions as Status.
//
// Threads: the trainer.  Owns: nothing.  Failure: the transfers throw what LibTorch throws; on_device() catches it.
#pragma once

#include <exception>
#include <span>
#include <string_view>

#include <ATen/core/Tensor.h>
#include <fmt/core.h>

#include "core/status.h"

namespace freshet {

inline std::int64_t signed_size(std::size_t size) { return static_cast<std::int64_t>(size); }

// Runs `work`, which returns a Status or a Result.
template <typename Work>
auto on_device(const at::Device& device, std::string_view what, Work&& work) -> decltype(work()) {
  try {
    return std::forward<Work>(work)();
  } catch (const c10::Error& error) {
    return internal_error(fmt::format("{} on {}: {}", what, device.str(), error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return internal_error(fmt::format("{} on {}: {}", what, device.str(), error.what()));
  }
}

// Uninitialised host memory of `words` 8-byte words: page-locked where the device is a GPU, so that copies from it do
// not block. LibTorch keeps it until such copies are done.
at::Tensor staging_words(std::size_t words, const at::Device& device);

// [size] int64 on the device.
at::Tensor send_indices(std::span<const std::uint32_t> indices, const at::Device& device);

// Between host memory and a contiguous tensor of as many elements of the same type.
void upload(const at::Tensor& to, std::span<const float> from);
void download(const at::Tensor& from, std::span<float> to);

// Rows `rows` (`indices` on the device) of a [*, stride] tensor to the same rows of `to`, `stride` elements apart.
void download_rows(const at::Tensor& from, const at::Tensor& indices, std::span<const std::uint32_t> rows, float* to);

}  // namespace freshet
