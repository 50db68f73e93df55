// The page at "/" of a running daemon, in a browser: status_page_browser.py uses it as people do. Beside it, what a
// plain client gets.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <csignal>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

class StatusPage : public IntegrationTest {
 protected:
  std::vector<std::string> sets() const {
    return {"stream.brokers=embedded",
            "memory.path=" + path("state"),
            "evaluation.baseline_after_events=3000",
            "evaluation.held_out.share=0.05",
            "evaluation.held_out.gating_share=0.05",
            "evaluation.slices.by=field",
            "evaluation.slices.field=origin",
            "evaluation.slices.values=[EWR, JFK, LGA]",
            "evaluation.forgetting_every_rounds=1",
            "learning.round.every_events=256",
            "learning.sifting.kind=relative_probabilistic",
            "learning.sifting.delay_steps=1"};
  }
};

TEST_F(StatusPage, CanBeUsedInABrowser) {
  const auto lines = flights(20'000);
  std::vector<std::string> first(lines.begin(), lines.begin() + 8'000);
  first.insert(first.begin() + 100, {"{\"label\": ", "<script>alert(1)</script>", "[1, 2]"});
  const std::string script = FRESHET_SOURCE_DIR "/tests/integration/status_page_browser.py";
  std::vector<std::string> words = {"/usr/bin/python3", script, freshet_binary(), example_config(), path("runs")};
  words.push_back(write("first.jsonl", first));
  words.push_back(write("rest.jsonl", lines.subspan(8'000)));
  for (const std::string& set : sets()) {
    if (set.rfind("stream.brokers", 0) != 0 && set.rfind("memory.path", 0) != 0) words.push_back(set);
  }
  ChildProcess browser(words, {path(""), false});
  EXPECT_EQ(browser.wait(3 * kPatience), 0) << browser.output() << browser.errors();
}

// A stream of states ends with the one that says so when the daemon is asked to stop.
TEST_F(StatusPage, FollowersHearThatTheDaemonDrains) {
  Daemon daemon(example_config(), sets());
  ASSERT_TRUE(daemon.up()) << daemon.log();
  HttpClient client(daemon.port());
  client.send(http_request("GET", "/status/stream"));
  const auto head = client.read_reply();
  ASSERT_TRUE(head);
  EXPECT_EQ(head->headers.at("content-type"), "text/event-stream");
  ASSERT_TRUE(client.read_until("\n\n"));
  const YAML::Node first = YAML::Load(client.rest().substr(6, client.rest().find("\n\n") - 6));
  EXPECT_EQ(first["model"].as<std::string>(), "flights");
  EXPECT_EQ(first["state"].as<std::string>(), "learning");
  EXPECT_EQ(first["status"]["served_version"].as<int>(), 1);
  EXPECT_EQ(daemon.end(SIGTERM), 0);
  EXPECT_TRUE(client.closed_by_server());
  const auto last = client.rest().rfind("data: ");
  EXPECT_EQ(YAML::Load(client.rest().substr(last + 6))["state"].as<std::string>(), "draining");
}

TEST_F(StatusPage, HistoryBeginsWithTheProcess) {
  Daemon daemon(example_config(), sets());
  ASSERT_TRUE(daemon.up()) << daemon.log();
  ASSERT_TRUE(daemon.process().wait_until(
      [&] { return YAML::Load(daemon.get("/status/history?step=second"))["time_ms"].size() >= 3; }, kPatience));
  const YAML::Node history = YAML::Load(daemon.get("/status/history?step=life"));
  EXPECT_EQ(history["step_ms"].as<int>(), 60'000);
  EXPECT_EQ(history["marks"][0]["kind"].as<std::string>(), "started");
  EXPECT_EQ(daemon.end(SIGTERM), 0);
}

}  // namespace
}  // namespace freshet::test
