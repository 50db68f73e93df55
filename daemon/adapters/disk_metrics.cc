#include "daemon/adapters/disk_metrics.h"

#include <sys/statvfs.h>

#include <utility>

namespace freshet {

DiskMetrics::DiskMetrics(MetricsRegistry& metrics, std::string folder)
    : folder_(std::move(folder)),
      size_(metrics.gauge("freshet_disk_size_bytes", "Size of the volume that holds the state.")),
      available_(metrics.gauge("freshet_disk_available_bytes",
                               "What is free of the volume that holds the state, for users other than root.")) {
  show();
}

void DiskMetrics::show() {
  struct statvfs volume = {};
  if (statvfs(folder_.c_str(), &volume) != 0) return;
  const auto unit = static_cast<double>(volume.f_frsize);
  size_.set(static_cast<double>(volume.f_blocks) * unit);
  available_.set(static_cast<double>(volume.f_bavail) * unit);
}

}  // namespace freshet
