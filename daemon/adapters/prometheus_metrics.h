// PrometheusMetrics: the registry behind `/metrics`, on prometheus-cpp, with the label `model` on each sample.
//
// Besides what the rooms register it shows process_* (memory, CPU, open files, start) and freshet_build_info.
//
// Bounds: a metric has at most 2,000 series; label sets beyond that share one series whose values are all "other".
// Label values are cut at 256 bytes and made valid UTF-8.
//
// Threads: thread-safe; handles live as long as the registry.  Owns: all series.
// Failure: a name or label name that Prometheus does not take, and a metric asked for with another help, kind or
// buckets than before, are faults of the program and abort.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/metrics.h"

namespace freshet {

struct BuildInfo {
  std::string version;
  std::string compiler;
};

class PrometheusMetrics final : public MetricsRegistry {
 public:
  PrometheusMetrics(std::string_view model, const BuildInfo& build);
  ~PrometheusMetrics() override;

  Counter& counter(std::string_view name, std::string_view help, const MetricLabels& labels = {}) override;
  Gauge& gauge(std::string_view name, std::string_view help, const MetricLabels& labels = {}) override;
  Histogram& histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                       const MetricLabels& labels = {}) override;

  // The series of a counter or gauge: what they are at, by the values of their labels with "," between them (empty
  // without labels). Empty while there is none of the name.
  std::map<std::string, double> series(std::string_view name) const;

  // Everything in Prometheus' text format; what the process uses is read at this moment.
  std::string exposition();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The Content-Type of `exposition`.
inline constexpr const char* kExpositionContentType = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace freshet
