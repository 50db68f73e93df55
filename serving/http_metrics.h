// HttpMetrics: the server's metric handles, made once at start.
//
// Threads: thread-safe.
#pragma once

#include <array>
#include <cstddef>

#include "core/metrics.h"

namespace freshet {

class HttpMetrics {
 public:
  explicit HttpMetrics(MetricsRegistry& registry);

  void count_response(int status);

  Histogram& request_seconds;  // from the request being whole to its response being ready
  Gauge& requests_in_flight;   // begun by the client, not answered yet
  Gauge& connections;
  Counter& connections_refused;  // over connections_max
  Counter& connections_evicted;  // idle ones that were closed to make room
  Counter& handshakes_failed;    // of TLS
  Counter& timeouts;             // requests and handshakes cut off because they took too long

 private:
  static constexpr std::array<int, 18> kStatuses = {200, 400, 401, 403, 404, 405, 408, 409, 413,
                                                    415, 417, 429, 431, 500, 501, 503, 505, 0};  // 0: any other
  std::array<Counter*, kStatuses.size()> responses_{};
};

}  // namespace freshet
