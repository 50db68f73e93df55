#include "learners/models/kernels.h"

namespace freshet {

bool cpu_runs(const Kernels& kernels) {
#if defined(__x86_64__)
  if (&kernels == &kAvx512Kernels) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && cpu_runs(kAvx2Kernels);
  }
  if (&kernels == &kAvx2Kernels) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return &kernels == &kPortableKernels;
}

const Kernels& cpu_kernels() {
#if defined(__x86_64__)
  static const Kernels& best = cpu_runs(kAvx512Kernels) ? kAvx512Kernels
                               : cpu_runs(kAvx2Kernels) ? kAvx2Kernels
                                                        : kPortableKernels;
  return best;
#else
  return kPortableKernels;
#endif
}

}  // namespace freshet
