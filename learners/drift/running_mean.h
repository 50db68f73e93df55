// RunningMean: the mean of all numbers so far, updated as West (1979) does it. The order of its operations is River's
// (stats.Mean), so that detectors built on it raise their alarms at the same positions.
//
// Threads: one owner.  Failure: none.
#pragma once

#include "core/bytes.h"

namespace freshet {

struct RunningMean {
  double count = 0;
  double mean = 0;

  void update(double value) {
    count += 1.0;
    mean += (1.0 / count) * (value - mean);
  }
  void save(ByteWriter& out) const {
    out.put(count);
    out.put(mean);
  }
  bool load(ByteReader& in) {
    count = in.get<double>();
    mean = in.get<double>();
    return count >= 0 && mean == mean;
  }
};

}  // namespace freshet
