#include "daemon/adapters/prometheus_metrics.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "daemon/adapters/process_sample.h"

namespace freshet {
namespace {

const BuildInfo kBuild = {"1.2.3", "gcc 12"};

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

// What `promtool check metrics` says about the text; empty when it is content.
std::string promtool_says(const std::string& text) {
  const auto file = std::filesystem::temp_directory_path() / ("freshet_metrics_" + std::to_string(getpid()) + ".txt");
  std::ofstream(file) << text;
  // Where `./dev test` puts Prometheus; the environment variable of the same name goes before it.
  const char* const given = std::getenv("FRESHET_PROMETHEUS");
  const std::string promtool = std::string(given != nullptr ? given : FRESHET_PROMETHEUS) + "/promtool";
  std::FILE* pipe = popen((promtool + " check metrics < " + file.string() + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "cannot start promtool";
  std::string said;
  std::array<char, 4096> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe)) said.append(buffer.data(), got);
  const int status = pclose(pipe);
  std::filesystem::remove(file);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? said : "exit status " + std::to_string(status) + ": " + said;
}

TEST(PrometheusMetrics, SeriesGivesWhatAMetricIsAtByItsLabels) {
  PrometheusMetrics metrics("flights", kBuild);
  metrics.counter("freshet_letters_total", "Letters.", {{"reason", "empty"}}).add(3);
  metrics.counter("freshet_letters_total", "Letters.", {{"reason", "malformed"}}).add(4);
  metrics.gauge("freshet_lag_events", "Lag.").set(7.5);
  metrics.gauge("freshet_two", "Two labels.", {{"a", "x"}, {"b", "y"}}).set(1);
  EXPECT_EQ(metrics.series("freshet_letters_total"), (std::map<std::string, double>{{"empty", 3}, {"malformed", 4}}));
  EXPECT_EQ(metrics.series("freshet_lag_events"), (std::map<std::string, double>{{"", 7.5}}));
  EXPECT_EQ(metrics.series("freshet_two"), (std::map<std::string, double>{{"x,y", 1}}));
  EXPECT_TRUE(metrics.series("freshet_none").empty());
}

TEST(PrometheusMetrics, EverySampleCarriesTheModel) {
  PrometheusMetrics metrics("flights", kBuild);
  metrics.counter("freshet_events_total", "Events.", {{"source", "kafka"}}).add(3);
  metrics.gauge("freshet_lag_events", "Lag.").set(-2.5);
  auto& latency = metrics.histogram("freshet_request_seconds", "Latency.", {0.1, 1});
  latency.observe(0.05);
  latency.observe(0.5);
  latency.observe(5);
  const std::string text = metrics.exposition();
  EXPECT_TRUE(has_line(text, R"(freshet_events_total{model="flights",source="kafka"} 3)")) << text;
  EXPECT_TRUE(has_line(text, R"(freshet_lag_events{model="flights"} -2.5)")) << text;
  EXPECT_TRUE(has_line(text, R"(freshet_request_seconds_bucket{model="flights",le="0.1"} 1)")) << text;
  EXPECT_TRUE(has_line(text, R"(freshet_request_seconds_bucket{model="flights",le="+Inf"} 3)")) << text;
  EXPECT_TRUE(has_line(text, R"(freshet_request_seconds_count{model="flights"} 3)")) << text;
  EXPECT_TRUE(has_line(text, R"(freshet_build_info{model="flights",compiler="gcc 12",version="1.2.3"} 1)")) << text;
  std::size_t samples = 0;
  std::size_t with_model = 0;
  for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
    if (text[at] == '#') continue;
    ++samples;
    if (text.substr(at, text.find('\n', at) - at).find("model=\"flights\"") != std::string::npos) ++with_model;
  }
  EXPECT_GT(samples, 10U);
  EXPECT_EQ(samples, with_model) << text;
}

TEST(PrometheusMetrics, PromtoolIsContent) {
  PrometheusMetrics metrics("odd \"model\"\nname\\", kBuild);
  metrics
      .counter("freshet_dead_letters_total", "Records that could not become events.",
               {{"reason", "bad\nutf8 \xff\"\\"}})
      .increment();
  metrics.gauge("freshet_model_age_seconds", "Age of the served model, \"as\\is\".").set(std::nan(""));
  metrics.gauge("freshet_auc_ratio", "Live AUC.").set(INFINITY);
  metrics.histogram("freshet_round_seconds", "Duration of a round.", {0.001, 0.01, 0.1}).observe(0.02);
  const std::string text = metrics.exposition();
  EXPECT_EQ(promtool_says(text), "") << text;
}

TEST(PrometheusMetrics, PromtoolFindsFaults) {  // the check above is able to fail
  EXPECT_NE(promtool_says("# TYPE freshet_x counter\nfreshet_x 1\n"), "");
  EXPECT_NE(promtool_says("freshet x 1\n"), "");
}

TEST(PrometheusMetrics, TheSameNameAndLabelsAreTheSameSeries) {
  PrometheusMetrics metrics("m", kBuild);
  Counter& one = metrics.counter("freshet_a_total", "A.", {{"x", "1"}});
  one.add(2);
  one.add(-5);  // counters never fall
  one.add(std::nan(""));
  EXPECT_EQ(&one, &metrics.counter("freshet_a_total", "A.", {{"x", "1"}}));
  EXPECT_NE(&one, &metrics.counter("freshet_a_total", "A.", {{"x", "2"}}));
  EXPECT_EQ(one.value(), 2);
  Gauge& gauge = metrics.gauge("freshet_b", "B.");
  gauge.set(4);
  gauge.add(-1);
  EXPECT_EQ(metrics.gauge("freshet_b", "B.").value(), 3);
}

TEST(PrometheusMetrics, LabelSetsAreBounded) {
  PrometheusMetrics metrics("m", kBuild);
  constexpr int kMany = 5000;
  for (int i = 0; i < kMany; ++i) metrics.counter("freshet_c_total", "C.", {{"user", std::to_string(i)}}).increment();
  metrics.counter("freshet_c_total", "C.", {{"user", std::string(100'000, 'x')}}).increment();
  const std::string text = metrics.exposition();
  EXPECT_TRUE(has_line(text, R"(freshet_c_total{model="m",user="0"} 1)"));
  EXPECT_TRUE(has_line(text, R"(freshet_c_total{model="m",user="other"} 3001)"));
  EXPECT_LT(text.size(), 300'000U);
}

TEST(PrometheusMetricsDeathTest, FaultsOfTheProgramAbort) {
  PrometheusMetrics metrics("m", kBuild);
  metrics.counter("freshet_d_total", "D.");
  EXPECT_DEATH((void)metrics.counter("freshet_d_total", "Another help."), "registered twice");
  EXPECT_DEATH((void)metrics.gauge("freshet_d_total", "D."), "of another kind");
  EXPECT_DEATH((void)metrics.counter("freshet d", "D."), "is no metric name");
  EXPECT_DEATH((void)metrics.counter("freshet_e_total", "E.", {{"a-b", "1"}}), "is no label name");
  EXPECT_DEATH((void)metrics.counter("freshet_e_total", "E.", {{"model", "1"}}), "is no label name");
  EXPECT_DEATH((void)metrics.histogram("freshet_f", "F.", {1, 1}), "do not rise");
}

TEST(PrometheusMetrics, ScrapesWhileSeriesAreMadeAndBumped) {
  PrometheusMetrics metrics("m", kBuild);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&metrics, t] {
      for (int i = 0; i < 300; ++i)
        metrics.counter("freshet_g_total", "G.", {{"t", std::to_string(t)}, {"i", std::to_string(i % 30)}}).increment();
    });
  }
  double seen = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string text = metrics.exposition();
    const auto at = text.find("process_cpu_seconds_total{model=\"m\"} ");
    ASSERT_NE(at, std::string::npos);
    const double cpu = std::stod(text.substr(at + 37));
    EXPECT_GE(cpu, seen);
    seen = cpu;
  }
  for (auto& thread : threads) thread.join();
  double total = 0;
  for (int t = 0; t < 3; ++t) {
    for (int i = 0; i < 30; ++i)
      total += metrics.counter("freshet_g_total", "G.", {{"t", std::to_string(t)}, {"i", std::to_string(i)}}).value();
  }
  EXPECT_EQ(total, 900);
}

TEST(ProcessSample, KnowsThisProcess) {
  const ProcessSample sample = sample_process();
  EXPECT_GT(sample.resident_bytes, 1U << 20);
  EXPECT_GE(sample.peak_resident_bytes + (16U << 20), sample.resident_bytes);  // the two are counted apart, roughly
  EXPECT_GT(sample.virtual_bytes, sample.resident_bytes);
  EXPECT_GE(sample.threads, 1U);
  EXPECT_GE(sample.open_files, 3U);
  EXPECT_GT(sample.open_files_max, sample.open_files);
  EXPECT_GT(sample.start_time_seconds, 1.6e9);
  std::FILE* file = std::fopen("/proc/self/stat", "r");
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(sample_process().open_files, sample.open_files + 1);
  std::fclose(file);
}

}  // namespace
}  // namespace freshet
