// Metrics: handles that rooms hold and bump; the registry behind them (prometheus-cpp) lives in daemon/.
//
// A handle stays valid as long as its registry. Names carry the `freshet_` prefix, base units, `_total` on counters.
// The model's name is added to every sample by the registry.
//
// Threads: handles are thread-safe; creating one takes a lock, so create them at start-up and keep them.
// Failure: asking twice for the same name and labels gives the same series; another help or kind aborts.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace freshet {

class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(double amount) = 0;  // amount >= 0
  void increment() { add(1); }
  virtual double value() const = 0;
};

class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void set(double value) = 0;
  virtual void add(double amount) = 0;
  virtual double value() const = 0;
};

class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void observe(double value) = 0;
};

using MetricLabels = std::map<std::string, std::string>;

class MetricsRegistry {
 public:
  virtual ~MetricsRegistry() = default;
  virtual Counter& counter(std::string_view name, std::string_view help, const MetricLabels& labels = {}) = 0;
  virtual Gauge& gauge(std::string_view name, std::string_view help, const MetricLabels& labels = {}) = 0;
  virtual Histogram& histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                               const MetricLabels& labels = {}) = 0;
};

// A registry that keeps plain values and exports nothing: for tests, tools and backtests.
class LocalMetrics final : public MetricsRegistry {
 public:
  LocalMetrics();
  ~LocalMetrics() override;
  Counter& counter(std::string_view name, std::string_view help, const MetricLabels& labels = {}) override;
  Gauge& gauge(std::string_view name, std::string_view help, const MetricLabels& labels = {}) override;
  Histogram& histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                       const MetricLabels& labels = {}) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace freshet
