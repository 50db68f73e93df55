// ProcessSample: what the kernel says about this process.
//
// Threads: pure but for reading /proc.  Failure: what cannot be read is 0.
#pragma once

#include <cstdint>

namespace freshet {

struct ProcessSample {
  double cpu_seconds = 0;  // user and system
  std::uint64_t resident_bytes = 0;
  std::uint64_t peak_resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t threads = 0;
  std::uint64_t open_files = 0;
  std::uint64_t open_files_max = 0;
  double start_time_seconds = 0;  // since 1970
};

ProcessSample sample_process();

}  // namespace freshet
