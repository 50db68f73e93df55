// The devices that models run on, and the settings of LibTorch that results depend on.
//
// Threads: load_cuda_backend() and set_threads() at the start of main, on the main thread; the rest anywhere.
// Owns: nothing.  Failure: without a GPU, or without the CUDA side of LibTorch, the reason is told in words and the CPU
// serves; asking for a GPU by name then is an error.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"

namespace freshet {

struct Device {
  enum class Kind : std::uint8_t { kCpu, kCuda };
  Kind kind = Kind::kCpu;
  int index = 0;             // of the GPU
  std::string reason;        // why this one: "no NVIDIA driver (libcuda.so.1) on this machine"
  std::string name() const;  // "cpu", "cuda:0"
};

struct CudaBackend {
  bool loaded = false;
  std::string reason;
};

// Loads libtorch_cuda.so from beside libtorch_cpu.so where an NVIDIA driver is there. It must be the first thing
// that main does: LibTorch remembers that there is no CUDA from the first question about it.
CudaBackend load_cuda_backend();

// wanted: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
Result<Device> choose_device(std::string_view wanted);

// Threads within one LibTorch operation. More than one beside other busy threads was measured many times slower.
Status set_threads(int intra_op);

// The instruction sets that results depend on to the bit, for checkpoints: "kernels avx512, LibTorch AVX512".
std::string cpu_capability();

}  // namespace freshet
