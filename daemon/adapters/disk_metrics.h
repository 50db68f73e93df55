// DiskMetrics: how large the volume of a folder is, and how much of it this process may still fill.
//
// Threads: thread-safe.  Owns: two gauges.  Failure: a volume that cannot be asked keeps its last figures.
#pragma once

#include <string>

#include "core/metrics.h"

namespace freshet {

class DiskMetrics {
 public:
  DiskMetrics(MetricsRegistry& metrics, std::string folder);

  // Asks the file system; one system call.
  void show();

 private:
  std::string folder_;
  Gauge& size_;
  Gauge& available_;
};

}  // namespace freshet
