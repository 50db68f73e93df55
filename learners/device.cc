#include "learners/device.h"

#include <dlfcn.h>

#include <charconv>
#include <exception>
#include <filesystem>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <fmt/core.h>

#include "learners/models/kernels.h"

namespace freshet {

namespace {

// What load_cuda_backend() found, for choose_device() to tell.
std::string& backend_reason() {
  static std::string reason = "the CUDA side of LibTorch was not loaded";
  return reason;
}

std::string last_dl_error() {
  const char* error = dlerror();
  return error == nullptr ? "unknown error" : error;
}

// The CUDA version that this LibTorch was built for; a driver must know it: version 13.2 is 13020.
constexpr int kLeastDriverVersion = 13000;

// Asks the driver itself, before a gigabyte of libraries is loaded for nothing. Empty: a GPU can be used.
std::string driver_complaint(void* driver) {
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  const auto version_of = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDriverGetVersion"));
  const auto count_of = reinterpret_cast<int (*)(int*)>(dlsym(driver, "cuDeviceGetCount"));
  if (init == nullptr || version_of == nullptr || count_of == nullptr) return "libcuda.so.1 is no NVIDIA driver";
  int version = 0;
  if (version_of(&version) == 0 && version < kLeastDriverVersion) {
    return fmt::format("the NVIDIA driver is too old: it knows CUDA {}.{}, LibTorch needs {}.{}", version / 1000,
                       version % 1000 / 10, kLeastDriverVersion / 1000, kLeastDriverVersion % 1000 / 10);
  }
  constexpr int kNoDevice = 100;
  if (const int error = init(0); error != 0 && error != kNoDevice) {
    return fmt::format("the NVIDIA driver does not start (cuInit: error {})", error);
  }
  int count = 0;
  if (count_of(&count) != 0 || count == 0) return "the NVIDIA driver finds no GPU";
  return {};
}

int gpu_count() {
  try {
    return at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0;
  } catch (const std::exception&) {
    return 0;
  }
}

}  // namespace

std::string Device::name() const { return kind == Kind::kCpu ? "cpu" : fmt::format("cuda:{}", index); }

CudaBackend load_cuda_backend() {
  std::string& reason = backend_reason();
  // Without a driver the rest, a gigabyte of libraries, need not be touched.
  void* driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (driver == nullptr) {
    reason = "no NVIDIA driver (libcuda.so.1) on this machine";
    return {false, reason};
  }
  if (auto complaint = driver_complaint(driver); !complaint.empty()) {
    reason = std::move(complaint);
    return {false, reason};
  }
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&at::get_cpu_capability), &info) == 0 || info.dli_fname == nullptr) {
    reason = "cannot tell where libtorch_cpu.so lies";
    return {false, reason};
  }
  const auto library = std::filesystem::path(info.dli_fname).parent_path() / "libtorch_cuda.so";
  std::error_code error;
  if (!std::filesystem::exists(library, error)) {
    reason = fmt::format("LibTorch's CUDA library is not installed ({})", library.string());
    return {false, reason};
  }
  if (dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    reason = fmt::format("LibTorch's CUDA library does not load: {}", last_dl_error());
    return {false, reason};
  }
  reason = fmt::format("LibTorch finds no GPU, though {} is loaded and the driver has one", library.string());
  return {true, "loaded " + library.string()};
}

Result<Device> choose_device(std::string_view wanted) {
  if (wanted == "cpu") return Device{Device::Kind::kCpu, 0, "the configuration says so"};
  const bool automatic = wanted == "auto";
  int index = 0;
  if (!automatic && wanted != "cuda") {
    const std::string_view number = wanted.starts_with("cuda:") ? wanted.substr(5) : std::string_view{};
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), index);
    if (number.empty() || error != std::errc{} || end != number.data() + number.size() || index < 0) {
      return invalid_argument(fmt::format("no device \"{}\"; there are auto, cpu, cuda and cuda:N", wanted));
    }
  }
  const int count = gpu_count();
  if (index < count) return Device{Device::Kind::kCuda, index, fmt::format("{} GPU(s) found", count)};
  const std::string why = count > 0 ? fmt::format("only {} GPU(s) found", count) : backend_reason();
  if (automatic) return Device{Device::Kind::kCpu, 0, why};
  return unavailable(fmt::format("the device {} is not there: {}", wanted, why));
}

Status set_threads(int intra_op) {
  if (intra_op < 1 || intra_op > 1024) {
    return invalid_argument(fmt::format("{} intra-op threads; there must be between 1 and 1024", intra_op));
  }
  try {
    at::set_num_threads(intra_op);
  } catch (const std::exception& error) {
    return internal_error(fmt::format("LibTorch does not take {} threads: {}", intra_op, error.what()));
  }
  return Status::ok();
}

std::string cpu_capability() {
  return fmt::format("kernels {}, LibTorch {}", cpu_kernels().name, at::get_cpu_capability());
}

}  // namespace freshet
