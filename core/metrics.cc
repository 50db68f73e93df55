#include "core/metrics.h"

#include <atomic>
#include <mutex>

namespace freshet {
namespace {

void atomic_add(std::atomic<double>& target, double amount) {
  double seen = target.load(std::memory_order_relaxed);
  while (!target.compare_exchange_weak(seen, seen + amount, std::memory_order_relaxed)) {
  }
}

class LocalCounter final : public Counter {
 public:
  void add(double amount) override { atomic_add(value_, amount); }
  double value() const override { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class LocalGauge final : public Gauge {
 public:
  void set(double value) override { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) override { atomic_add(value_, amount); }
  double value() const override { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class LocalHistogram final : public Histogram {
 public:
  void observe(double) override {}
};

template <typename Handle>
class Family {
 public:
  Handle& get(std::string_view name, const MetricLabels& labels) {
    const std::lock_guard lock(mutex_);
    auto& handle = handles_[{std::string(name), labels}];
    if (!handle) handle = std::make_unique<Handle>();
    return *handle;
  }

 private:
  std::mutex mutex_;
  std::map<std::pair<std::string, MetricLabels>, std::unique_ptr<Handle>> handles_;
};

}  // namespace

struct LocalMetrics::Impl {
  Family<LocalCounter> counters;
  Family<LocalGauge> gauges;
  Family<LocalHistogram> histograms;
};

LocalMetrics::LocalMetrics() : impl_(std::make_unique<Impl>()) {}
LocalMetrics::~LocalMetrics() = default;

Counter& LocalMetrics::counter(std::string_view name, std::string_view, const MetricLabels& labels) {
  return impl_->counters.get(name, labels);
}
Gauge& LocalMetrics::gauge(std::string_view name, std::string_view, const MetricLabels& labels) {
  return impl_->gauges.get(name, labels);
}
Histogram& LocalMetrics::histogram(std::string_view name, std::string_view, const std::vector<double>&,
                                   const MetricLabels& labels) {
  return impl_->histograms.get(name, labels);
}

}  // namespace freshet
