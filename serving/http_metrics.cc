#include "serving/http_metrics.h"

#include <string>

namespace freshet {

HttpMetrics::HttpMetrics(MetricsRegistry& registry)
    : request_seconds(registry.histogram(
          "freshet_http_request_seconds", "Time from a whole request to its response, by the server's clock.",
          {0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10})),
      requests_in_flight(registry.gauge("freshet_http_requests_in_flight", "Requests begun and not answered yet.")),
      connections(registry.gauge("freshet_http_connections", "Open HTTP connections.")),
      connections_refused(registry.counter("freshet_http_connections_refused_total",
                                           "Connections refused because too many were open.")),
      connections_evicted(registry.counter("freshet_http_connections_evicted_total",
                                           "Idle connections closed early to make room for others.")),
      handshakes_failed(
          registry.counter("freshet_http_tls_handshakes_failed_total", "TLS handshakes that came to nothing.")),
      timeouts(registry.counter("freshet_http_timeouts_total",
                                "Requests and handshakes cut off because the client sent or read too slowly.")) {
  for (std::size_t i = 0; i < kStatuses.size(); ++i) {
    const std::string code = kStatuses[i] == 0 ? "other" : std::to_string(kStatuses[i]);
    responses_[i] =
        &registry.counter("freshet_http_requests_total", "Requests answered, by status code.", {{"code", code}});
  }
}

void HttpMetrics::count_response(int status) {
  std::size_t i = 0;
  while (i + 1 < kStatuses.size() && kStatuses[i] != status) ++i;
  responses_[i]->increment();
}

}  // namespace freshet
