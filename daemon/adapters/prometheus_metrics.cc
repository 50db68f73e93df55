#include "daemon/adapters/prometheus_metrics.h"

#include <fmt/format.h>
#include <prometheus/check_names.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <sstream>

#include "core/json_writer.h"
#include "core/status.h"
#include "daemon/adapters/process_sample.h"

namespace freshet {
namespace {

constexpr std::size_t kSeriesMax = 2000;
constexpr std::size_t kLabelBytesMax = 256;

class PrometheusCounter final : public Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& series) : series_(series) {}
  void add(double amount) override {
    if (amount > 0) series_.Increment(amount);  // also leaves NaN out
  }
  double value() const override { return series_.Value(); }

 private:
  prometheus::Counter& series_;
};

class PrometheusGauge final : public Gauge {
 public:
  explicit PrometheusGauge(prometheus::Gauge& series) : series_(series) {}
  void set(double value) override { series_.Set(value); }
  void add(double amount) override { series_.Increment(amount); }
  double value() const override { return series_.Value(); }

 private:
  prometheus::Gauge& series_;
};

class PrometheusHistogram final : public Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& series) : series_(series) {}
  void observe(double value) override {
    if (!std::isnan(value)) series_.Observe(value);  // one NaN would spoil the sum for good
  }

 private:
  prometheus::Histogram& series_;
};

std::string clean_label(std::string_view value) {
  std::string clean;
  while (!value.empty() && clean.size() < kLabelBytesMax) {
    const std::size_t length = utf8_length(value);
    if (length == 0) {
      clean += "\xef\xbf\xbd";
      value.remove_prefix(1);
    } else {
      clean += value.substr(0, length);
      value.remove_prefix(length);
    }
  }
  return clean;
}

// prometheus-cpp 1.0 writes help texts as they are; the format wants these two escaped.
std::string escape_help(std::string_view help) {
  std::string escaped;
  for (const char c : help) {
    if (c == '\\') {
      escaped += "\\\\";
    } else if (c == '\n') {
      escaped += "\\n";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

void check_names(const std::string& name, const MetricLabels& labels) {
  if (!prometheus::CheckMetricName(name)) abort_with(fmt::format("'{}' is no metric name", name));
  for (const auto& [label, value] : labels) {
    if (!prometheus::CheckLabelName(label) || label == "model" || label == "le") {
      abort_with(fmt::format("'{}' of metric {} is no label name", label, name));
    }
  }
}

// All series of one metric.
template <typename Handle, typename Family>
struct Metric {
  std::string help;
  std::vector<double> bounds;
  Family* family = nullptr;
  std::map<MetricLabels, std::unique_ptr<Handle>> series;
};

template <typename Handle, typename Family>
using Metrics = std::map<std::string, Metric<Handle, Family>, std::less<>>;

// The metric called `name`; made by `make` when it is new.
template <typename Handle, typename Family, typename Make>
Metric<Handle, Family>& find_metric(Metrics<Handle, Family>& metrics, const std::string& name, std::string_view help,
                                    const std::vector<double>& bounds, bool known_elsewhere, Make make) {
  if (known_elsewhere) abort_with(fmt::format("metric {} is of another kind already", name));
  auto [found, is_new] = metrics.try_emplace(name);
  auto& metric = found->second;
  if (is_new) {
    metric.help = help;
    metric.bounds = bounds;
    metric.family = make();
  } else if (metric.help != help || metric.bounds != bounds) {
    abort_with(fmt::format("metric {} is registered twice, with another help or other buckets", name));
  }
  return metric;
}

template <typename Handle, typename Family, typename Make>
Handle& find_series(Metric<Handle, Family>& metric, MetricLabels labels, Make make) {
  for (auto& [label, value] : labels) value = clean_label(value);
  auto found = metric.series.find(labels);
  if (found == metric.series.end() && metric.series.size() >= kSeriesMax) {
    for (auto& [label, value] : labels) value = "other";
    found = metric.series.find(labels);
  }
  if (found != metric.series.end()) return *found->second;
  return *metric.series.emplace(labels, make(labels)).first->second;
}

}  // namespace

struct PrometheusMetrics::Impl {
  // The labels that stand on every sample.
  prometheus::Labels constant;
  std::mutex mutex;
  prometheus::Registry registry;
  Metrics<PrometheusCounter, prometheus::Family<prometheus::Counter>> counters;
  Metrics<PrometheusGauge, prometheus::Family<prometheus::Gauge>> gauges;
  Metrics<PrometheusHistogram, prometheus::Family<prometheus::Histogram>> histograms;
  std::mutex process_mutex;
};

PrometheusMetrics::PrometheusMetrics(std::string_view model, const BuildInfo& build) : impl_(std::make_unique<Impl>()) {
  impl_->constant = {{"model", clean_label(model)}};
  gauge("freshet_build_info", "Version and compiler of this build; always 1.",
        {{"version", build.version}, {"compiler", build.compiler}})
      .set(1);
}

PrometheusMetrics::~PrometheusMetrics() = default;

Counter& PrometheusMetrics::counter(std::string_view name, std::string_view help, const MetricLabels& labels) {
  const std::string key(name);
  check_names(key, labels);
  const std::lock_guard lock(impl_->mutex);
  const bool elsewhere = impl_->gauges.count(key) + impl_->histograms.count(key) > 0;
  auto& metric = find_metric(impl_->counters, key, help, {}, elsewhere, [&] {
    return &prometheus::BuildCounter()
                .Name(key)
                .Help(escape_help(help))
                .Labels(impl_->constant)
                .Register(impl_->registry);
  });
  return find_series(metric, labels, [&](const MetricLabels& clean) {
    return std::make_unique<PrometheusCounter>(metric.family->Add(clean));
  });
}

Gauge& PrometheusMetrics::gauge(std::string_view name, std::string_view help, const MetricLabels& labels) {
  const std::string key(name);
  check_names(key, labels);
  const std::lock_guard lock(impl_->mutex);
  const bool elsewhere = impl_->counters.count(key) + impl_->histograms.count(key) > 0;
  auto& metric = find_metric(impl_->gauges, key, help, {}, elsewhere, [&] {
    return &prometheus::BuildGauge()
                .Name(key)
                .Help(escape_help(help))
                .Labels(impl_->constant)
                .Register(impl_->registry);
  });
  return find_series(metric, labels, [&](const MetricLabels& clean) {
    return std::make_unique<PrometheusGauge>(metric.family->Add(clean));
  });
}

Histogram& PrometheusMetrics::histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds,
                                        const MetricLabels& labels) {
  const std::string key(name);
  check_names(key, labels);
  if (!std::is_sorted(bounds.begin(), bounds.end(), std::less_equal<>()) || bounds.empty()) {
    abort_with(fmt::format("the buckets of {} do not rise", key));
  }
  const std::lock_guard lock(impl_->mutex);
  const bool elsewhere = impl_->counters.count(key) + impl_->gauges.count(key) > 0;
  auto& metric = find_metric(impl_->histograms, key, help, bounds, elsewhere, [&] {
    return &prometheus::BuildHistogram()
                .Name(key)
                .Help(escape_help(help))
                .Labels(impl_->constant)
                .Register(impl_->registry);
  });
  return find_series(metric, labels, [&](const MetricLabels& clean) {
    return std::make_unique<PrometheusHistogram>(metric.family->Add(clean, bounds));
  });
}

std::map<std::string, double> PrometheusMetrics::series(std::string_view name) const {
  std::map<std::string, double> values;
  const auto collect = [&](const auto& metrics) {
    const auto found = metrics.find(name);
    if (found == metrics.end()) return;
    for (const auto& [labels, handle] : found->second.series) {
      std::string key;
      for (const auto& [label, value] : labels) key.append(key.empty() ? "" : ",").append(value);
      values[key] = handle->value();
    }
  };
  const std::lock_guard lock(impl_->mutex);
  collect(impl_->counters);
  collect(impl_->gauges);
  return values;
}

std::string PrometheusMetrics::exposition() {
  {
    const std::lock_guard lock(
        impl_->process_mutex);  // two scrapes at once must not both add the CPU time since the last
    const ProcessSample now = sample_process();
    Counter& cpu = counter("process_cpu_seconds_total", "User and system CPU time of the process.");
    cpu.add(now.cpu_seconds - cpu.value());
    gauge("process_resident_memory_bytes", "Memory of the process that is in RAM.")
        .set(static_cast<double>(now.resident_bytes));
    gauge("process_virtual_memory_bytes", "Address space of the process.").set(static_cast<double>(now.virtual_bytes));
    gauge("process_threads", "Threads of the process.").set(static_cast<double>(now.threads));
    gauge("process_open_fds", "Open file descriptors.").set(static_cast<double>(now.open_files));
    gauge("process_max_fds", "Limit of open file descriptors.").set(static_cast<double>(now.open_files_max));
    gauge("process_start_time_seconds", "Start of the process, in seconds since 1970.").set(now.start_time_seconds);
  }
  const auto families = impl_->registry.Collect();
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return std::move(out).str();
}

}  // namespace freshet
