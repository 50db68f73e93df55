// Predictions while the daemon learns as fast as it can: none fails, and each names a model that was published.
#include <gtest/gtest.h>

#include <atomic>
#include <charconv>
#include <csignal>
#include <thread>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

constexpr std::size_t kConnections = 16;
constexpr std::size_t kRequestsEach = 3000;
constexpr std::size_t kDifferentRequests = 64;

struct ConnectionReport {
  std::size_t answered = 0;
  std::size_t failed = 0;
  std::string first_failure;
  std::uint64_t first_version = 0;
  std::uint64_t last_version = 0;
  bool went_back = false;
};

std::uint64_t version_of(const std::string& body) {
  const std::string text = between(body, R"("model_version":")", "\"");
  std::uint64_t version = 0;
  std::from_chars(text.data(), text.data() + text.size(), version);
  return version;
}

void ask(std::uint16_t port, std::size_t number, const std::vector<std::string>& bodies, ConnectionReport& report) {
  HttpClient client(port);
  for (std::size_t i = 0; i < kRequestsEach; ++i) {
    const auto reply = client.post("/v2/models/flights/infer", bodies[(number * 7 + i) % bodies.size()]);
    const std::uint64_t version = reply ? version_of(reply->body) : 0;
    if (!reply || reply->status != 200 || version == 0) {
      ++report.failed;
      if (report.first_failure.empty()) report.first_failure = reply ? reply->body : "no answer";
      if (!reply) return;
      continue;
    }
    ++report.answered;
    if (report.first_version == 0) report.first_version = version;
    report.went_back = report.went_back || version < report.last_version;
    report.last_version = version;
  }
}

class ServingWhileTraining : public KafkaIntegrationTest {};

TEST_F(ServingWhileTraining, NoPredictionFailsAndVersionsOnlyGrow) {
  ASSERT_NO_FATAL_FAILURE(create_topic(4));
  const auto lines = flights(40'000);
  const std::string file = write("flights.jsonl", lines);
  std::vector<std::string> bodies;
  for (const std::string& line : lines.first(kDifferentRequests)) bodies.push_back(infer_request(line));
  // A year that begins again and again is a stream in which a gate has reason to go back.
  std::vector<std::string> sets = daemon_sets();
  sets.push_back("serving.gate.enabled=false");
  Daemon daemon(example_config(), sets);
  ASSERT_TRUE(daemon.up());
  produce(file);
  ASSERT_TRUE(daemon.wait_for_metric("freshet_model_swaps_total", 1)) << daemon.log();

  // The stream goes on for as long as there are questions.
  std::atomic<bool> answered{false};
  std::thread stream([&] {
    while (!answered) produce(file);
  });
  const double learnt_before = daemon.metric("freshet_events_total");
  std::vector<ConnectionReport> reports(kConnections);
  std::vector<std::thread> connections;
  for (std::size_t i = 0; i < kConnections; ++i) {
    connections.emplace_back([&, i] { ask(daemon.port(), i, bodies, reports[i]); });
  }
  for (std::thread& connection : connections) connection.join();
  const double learnt_after = daemon.metric("freshet_events_total");
  const double final_version = daemon.metric("freshet_model_version");
  answered = true;
  stream.join();

  std::uint64_t first = reports[0].first_version;
  std::uint64_t last = 0;
  for (const ConnectionReport& report : reports) {
    EXPECT_EQ(report.answered, kRequestsEach);
    EXPECT_EQ(report.failed, 0U) << report.first_failure;
    EXPECT_FALSE(report.went_back);
    first = std::min(first, report.first_version);
    last = std::max(last, report.last_version);
  }
  EXPECT_GE(first, 1U);
  EXPECT_LE(static_cast<double>(last), final_version);
  EXPECT_GT(last, first + 5) << "the model hardly changed meanwhile, so this test showed nothing";
  EXPECT_GT(learnt_after, learnt_before + 5000);
  EXPECT_EQ(daemon.metric("freshet_rounds_failed_total"), 0);
  EXPECT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
}

}  // namespace
}  // namespace freshet::test
