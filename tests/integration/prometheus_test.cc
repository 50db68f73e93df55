// A real Prometheus that scrapes a running daemon, with the rules that come with the chart.
#include <gtest/gtest.h>

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

std::string read_text(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Where `./dev test` puts it; the environment variable of the same name goes before it.
std::string prometheus_folder() {
  const char* const given = std::getenv("FRESHET_PROMETHEUS");
  return given != nullptr ? given : FRESHET_PROMETHEUS;
}

class RealPrometheus : public KafkaIntegrationTest {
 protected:
  // Scrapes the daemon, and itself, every second. `rules`: a rule file.
  void start_prometheus(std::uint16_t daemon_port, const std::string& rules) {
    const std::string mark = "msg=\"Listening on\" address=";
    const std::string config = path("prometheus.yml");
    // Its own port is not known beforehand, so it finds itself by a file that is written once it is.
    std::ofstream(config) << "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [" << rules
                          << "]\nscrape_configs:\n  - job_name: freshet\n    static_configs: [{targets: [\"127.0.0.1:"
                          << daemon_port << "\"]}]\n  - job_name: prometheus\n    file_sd_configs: [{files: ["
                          << path("self.json") << "], refresh_interval: 1s}]\n";
    prometheus_ = std::make_unique<ChildProcess>(
        std::vector<std::string>{prometheus_folder() + "/prometheus", "--config.file=" + config,
                                 "--storage.tsdb.path=" + path("tsdb"), "--web.listen-address=127.0.0.1:0"});
    ASSERT_TRUE(prometheus_->wait_until([&] { return prometheus_->errors().find(mark) != std::string::npos; }, 60s))
        << prometheus_->errors();
    address_ = between(prometheus_->errors(), mark, "\n");
    std::ofstream(path("self.json")) << R"([{"targets": [")" << address_ << "\"]}]";
  }

  // The first value of an instant query; nothing when it has no result.
  std::optional<double> query(const std::string& expression) const {
    ChildProcess promtool({prometheus_folder() + "/promtool", "query", "instant", "http://" + address_, expression});
    if (promtool.wait(30s) != 0) return std::nullopt;
    const std::string text = between(promtool.output(), "=> ", " @[");
    double value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    return text.empty() || read.ec != std::errc() ? std::nullopt : std::optional(value);
  }
  bool wait_for(const std::string& expression) {
    return prometheus_->wait_until([&] { return query(expression).has_value(); }, kPatience);
  }
  std::string prometheus_log() const { return prometheus_->errors(); }

 private:
  std::unique_ptr<ChildProcess> prometheus_;
  std::string address_;
};

TEST_F(RealPrometheus, ScrapesEveryMetricAndAStoppedBrokerRaisesTheLagAlert) {
  // The rules as they are but for how long a lag is borne, which no test can wait for.
  std::string rules = read_text(FRESHET_SOURCE_DIR "/helm/freshet/rules/freshet.rules.yaml");
  const std::string limit = "expr: freshet:lag_seconds:max > 300\n        for: 5m";
  const auto at = rules.find(limit);
  ASSERT_NE(at, std::string::npos);
  rules.replace(at, limit.size(), "expr: freshet:lag_seconds:max > 15\n        for: 2s");
  std::ofstream(path("rules.yaml")) << rules;

  ASSERT_NO_FATAL_FAILURE(create_topic(2));
  ASSERT_TRUE(broker->create_topic(topic + "-drift", 1).is_ok());
  auto sets = daemon_sets();
  for (const char* set : {"evaluation.held_out.gating_share=0.02", "evaluation.held_out.tuning_share=0.02",
                          "tuning.on_drift=true", "learning.sifting.kind=relative_probabilistic"}) {
    sets.emplace_back(set);
  }
  sets.push_back("drift.topic=" + topic + "-drift");
  Daemon daemon(example_config(), sets);
  ASSERT_TRUE(daemon.up());
  produce(write("flights.jsonl", flights(20'000)));
  ASSERT_TRUE(daemon.wait_for_events(20'000)) << daemon.log();
  ASSERT_NO_FATAL_FAILURE(start_prometheus(daemon.port(), path("rules.yaml")));

  EXPECT_TRUE(wait_for("freshet_events_total == 20000")) << prometheus_log();
  EXPECT_TRUE(wait_for("freshet:lag_seconds:max == 0"));
  EXPECT_TRUE(wait_for("freshet:disk_available:ratio > 0"));
  EXPECT_TRUE(wait_for("freshet:model_age_seconds > 0"));
  EXPECT_TRUE(wait_for("sum(prometheus_rule_group_rules) > 40"));
  EXPECT_FALSE(query("ALERTS{alertname=\"FreshetLagging\"}"));
  EXPECT_EQ(query("freshet_gate_verdicts_total{verdict=\"pinned\"}"), 0) << "what never happened is shown as 0";
  EXPECT_TRUE(query("freshet_drift_findings_total{kind=\"confirmed\"}"));

  // The page of metrics is what the daemon shows, both ways.
  std::ofstream(path("metrics.txt")) << daemon.get("/metrics");
  ChildProcess page({FRESHET_PYTHON, FRESHET_SOURCE_DIR "/cmake/dev/metrics_page.py", "--live", path("metrics.txt")});
  EXPECT_EQ(page.wait(30s), 0) << page.errors();

  broker->kill();
  EXPECT_TRUE(wait_for("ALERTS{alertname=\"FreshetLagging\",alertstate=\"firing\"}")) << daemon.get("/metrics");
  EXPECT_NE(daemon.get("/v2/health/ready"), "") << "serving goes on";
  ASSERT_TRUE(broker->restart().is_ok());
  EXPECT_TRUE(wait_for("freshet:lag_seconds:max == 0")) << daemon.log();
  EXPECT_TRUE(wait_for("absent(ALERTS{alertname=\"FreshetLagging\"})"));
  EXPECT_EQ(query("sum(prometheus_rule_evaluation_failures_total)"), 0) << prometheus_log();
  EXPECT_EQ(daemon.end(SIGTERM), 0) << daemon.log();

  EXPECT_TRUE(wait_for("up{job=\"freshet\"} == 0"));
  EXPECT_TRUE(wait_for("ALERTS{alertname=\"FreshetDown\",alertstate=\"pending\"}")) << prometheus_log();
}

}  // namespace
}  // namespace freshet::test
