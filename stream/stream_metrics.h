// The counters that every source bumps.
#pragma once

#include "core/metrics.h"

namespace freshet {

inline Counter& consumed_counter(MetricsRegistry& metrics) {
  return metrics.counter("freshet_events_consumed_total", "Records read from the source.");
}
inline Counter& decoded_counter(MetricsRegistry& metrics) {
  return metrics.counter("freshet_events_decoded_total", "Records that became events.");
}

}  // namespace freshet
