// What the status page is told: by snapshots that a test makes up, on a clock that stands still until told.
#include "daemon/status_page/status_feed.h"

#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include "daemon/status_page/status_page.h"
#include "tests/support/eventually.h"

namespace freshet {
namespace {

using namespace std::chrono_literals;

class SilentSink final : public DeadLetterSink {
 public:
  std::uint64_t submit(const DeadLetter&) override { return ++tickets; }
  Status acknowledge(std::uint64_t, std::chrono::milliseconds) override { return unavailable("not yet"); }
  bool backlogged() const override { return tickets > 2; }
  std::uint64_t tickets = 0;
};

class Ear final : public EventListener {
 public:
  void wake() override { ++woken; }
  std::atomic<int> woken{0};
};

class StatusFeedTest : public ::testing::Test {
 protected:
  StatusFeedTest() {
    config.model.name = "flights";
    config.memory.capacity_events = 1000;
    snapshot.events = 100;
    snapshot.gate.enabled = true;
    feed = std::make_unique<StatusFeed>(config, sources());
  }
  StatusFeedSources sources() {
    return {[this] { return snapshot; },
            [this] { return stopped; },
            [this](std::string_view name) {
              const auto found = metrics.find(name);
              return found == metrics.end() ? std::map<std::string, double>{} : found->second;
            },
            slot,
            letters,
            clock};
  }
  // The next second's look.
  void look() {
    clock.advance_ms(1000);
    feed->look(true);
  }
  // What a page would be told now.
  YAML::Node told() {
    feed->look(false);
    const std::string frame = *feed->follow()->newest().bytes;
    EXPECT_EQ(frame.substr(0, 6), "data: ");
    EXPECT_EQ(frame.substr(frame.size() - 2), "\n\n");
    EXPECT_EQ(frame.find('\n'), frame.size() - 2);
    return YAML::Load(frame.substr(6));
  }
  std::string state() { return told()["state"].as<std::string>(); }
  // Kinds and texts of the marks, the newest last.
  std::vector<std::string> marks() {
    std::vector<std::string> all;
    for (const auto& mark : told()["marks"]) {
      all.push_back(mark["kind"].as<std::string>() + ": " + mark["text"].as<std::string>());
    }
    return all;
  }

  Config config;
  PipelineSnapshot snapshot;
  std::string stopped;
  std::map<std::string, std::map<std::string, double>, std::less<>> metrics;
  ManualClock clock{1'700'000'000'000};
  ModelSlot slot{clock};
  RecentDeadLetters letters{std::make_unique<SilentSink>(), clock};
  std::unique_ptr<StatusFeed> feed;
};

TEST_F(StatusFeedTest, TellsRatesOfWhatWasCounted) {
  metrics["freshet_events_total"][""] = 5000;
  metrics["freshet_lag_events"] = {{"0", 10}, {"1", 32}};
  metrics["freshet_lag_seconds"] = {{"0", 0.5}, {"1", 4}};
  snapshot.memory_events = 250;
  snapshot.sifts = true;
  snapshot.sifting = {1000, 400, 0};
  look();
  EXPECT_FALSE(told()["rate"]);  // nothing to compare with yet
  clock.advance_ms(1000);
  metrics["freshet_events_total"][""] = 8000;
  metrics["freshet_http_predictions_total"] = {{"ok", 100}, {"other", 20}};
  snapshot.sifting = {1200, 450, 0};
  snapshot.swaps = 3;
  look();  // two seconds after the one before
  const YAML::Node now = told();
  EXPECT_EQ(now["rate"].as<double>(), 1500);
  EXPECT_EQ(now["predictions_rate"].as<double>(), 60);
  EXPECT_EQ(now["predictions"].as<double>(), 120);
  EXPECT_EQ(now["lag_events"].as<double>(), 42);
  EXPECT_EQ(now["lag_seconds"].as<double>(), 4);
  EXPECT_EQ(now["replay_capacity"].as<int>(), 1000);
  const YAML::Node point = now["point"];
  EXPECT_DOUBLE_EQ(point["kept_share"].as<double>(), 0.75);
  EXPECT_EQ(point["replay_fill"].as<double>(), 0.25);
  EXPECT_EQ(point["swaps"].as<double>(), 3);
  EXPECT_EQ(now["model"].as<std::string>(), "flights");
  EXPECT_EQ(now["status"]["events"].as<int>(), 100);
}

TEST_F(StatusFeedTest, ALookThatIsNotKeptChangesNoRate) {
  metrics["freshet_events_total"][""] = 0;
  look();
  metrics["freshet_events_total"][""] = 500;
  clock.advance_ms(500);
  told();
  metrics["freshet_events_total"][""] = 1000;
  clock.advance_ms(500);
  feed->look(true);
  EXPECT_EQ(told()["rate"].as<double>(), 1000);
  EXPECT_EQ(YAML::Load(*feed->history("second"))["time_ms"].size(), 2U);
}

TEST_F(StatusFeedTest, NamesItsState) {
  look();
  EXPECT_EQ(state(), "learning");
  for (int second = 0; second < 16; ++second) look();
  EXPECT_EQ(state(), "waiting");
  snapshot.events = 101;
  look();
  EXPECT_EQ(state(), "learning");
  snapshot.gate.paused = true;
  EXPECT_EQ(state(), "paused");
  snapshot.gate.pinned_version = 7;
  EXPECT_EQ(state(), "pinned");
  snapshot.redoing = true;
  EXPECT_EQ(state(), "redoing");
  stopped = "the store is damaged";
  EXPECT_EQ(state(), "stopped");
  EXPECT_EQ(told()["reason"].as<std::string>(), "the store is damaged");
  EXPECT_EQ(marks().back(), "stopped: the store is damaged");
  const auto count = marks().size();
  EXPECT_EQ(marks().size(), count);  // once
}

TEST_F(StatusFeedTest, MarksWhatHappens) {
  snapshot.served_version = 5;
  look();
  EXPECT_EQ(marks().size(), 1U);  // that it began
  DriftNotice alarm;
  alarm.finding = {FindingKind::kAlarm, 50, 40, "loss", "adwin", 0.4, 0.5, "the loss rose"};
  snapshot.drift.notices = {alarm};
  look();
  EXPECT_EQ(marks().back(), "alarm: the loss rose");
  look();
  EXPECT_EQ(marks().size(), 2U);
  DriftNotice confirmed = alarm;
  confirmed.finding.kind = FindingKind::kConfirmed;
  confirmed.finding.cause = "it did";
  snapshot.drift.notices = {alarm, confirmed};
  snapshot.tuning.notices = {{60, 1, "begins", "32 trials"}, {61, 1, "challenges", ""}};
  look();
  const auto now = marks();
  ASSERT_EQ(now.size(), 5U);
  EXPECT_EQ(now[2], "confirmed: it did");
  EXPECT_EQ(now[3], "study: 1 begins: 32 trials");
  EXPECT_EQ(now[4], "study: 1 challenges");
  snapshot.gate.rollbacks = 1;
  snapshot.served_version = 3;
  look();
  EXPECT_EQ(marks().back(), "rollback: Version 5 turned out worse on fresh events; version 3 is served now.");
  snapshot.gate.rollbacks = 3;  // two since, and a version that passed
  snapshot.gate.versions.resize(3);
  for (std::size_t i = 0; i < 3; ++i) snapshot.gate.versions[i].version = 8 - i;
  snapshot.gate.versions[0].rolled_back = snapshot.gate.versions[2].rolled_back = true;
  look();
  EXPECT_EQ(marks().back(), "rollback: Versions 6, 8 turned out worse on fresh events; version 3 is served now.");
  snapshot.gate.paused = true;
  look();
  EXPECT_EQ(marks().back(), "asked: Publishing is paused at version 3.");
  snapshot.gate.paused = false;
  look();
  EXPECT_EQ(marks().back(), "asked: Publishing is resumed.");
  snapshot.served_version = 2;
  look();
  EXPECT_EQ(marks().back(), "asked: Version 2 is served again in place of version 3.");
  snapshot.gate.pinned_version = 2;
  look();
  EXPECT_EQ(marks().back(), "asked: Version 2 is pinned.");
}

TEST_F(StatusFeedTest, WhatARedoDoesAgainIsNotMarked) {
  snapshot.redoing = true;
  snapshot.served_version = 9;
  look();
  snapshot.gate.rollbacks = 2;
  snapshot.gate.paused = true;
  snapshot.served_version = 4;
  look();
  EXPECT_EQ(marks().size(), 1U);
  snapshot.redoing = false;
  look();
  EXPECT_EQ(marks().size(), 2U);
  EXPECT_EQ(marks().back(), "started: The log is redone; learning goes on from here.");
}

TEST_F(StatusFeedTest, ShowsWhatWasWrongWithTheNewestDeadLetters) {
  const std::string_view secret = "the record itself";
  for (int i = 0; i < 30; ++i) {
    DeadLetter letter;
    letter.topic = "flights";
    letter.position = {3, 1000 + i};
    letter.reason = i == 29 ? SkipReason::kMissingLabel : SkipReason::kMalformed;
    const std::string detail = "number " + std::to_string(i) + std::string(500, '.');
    letter.detail = detail;
    letter.key = letter.value = &secret;
    letters.submit(letter);
    letter.reason = SkipReason::kDuplicate;  // nobody's mistake
    letters.submit(letter);
  }
  EXPECT_TRUE(letters.backlogged());
  EXPECT_EQ(letters.acknowledge(1, 0ms).code(), Code::kUnavailable);
  metrics["freshet_dead_letters_total"] = {{"malformed", 29}, {"missing_label", 1}};
  const YAML::Node shown = told()["dead_letters"];
  EXPECT_EQ(shown["total"].as<int>(), 30);
  EXPECT_EQ(shown["reasons"]["malformed"].as<int>(), 29);
  ASSERT_EQ(shown["recent"].size(), RecentDeadLetters::kKept);
  EXPECT_EQ(shown["recent"][0]["reason"].as<std::string>(), "missing_label");
  EXPECT_EQ(shown["recent"][0]["offset"].as<int>(), 1029);
  EXPECT_EQ(shown["recent"][0]["partition"].as<int>(), 3);
  EXPECT_EQ(shown["recent"][0]["detail"].as<std::string>().size(), RecentDeadLetters::kDetailBytesMax);
  EXPECT_EQ(shown["recent"][1]["offset"].as<int>(), 1028);
  EXPECT_EQ(YAML::Dump(shown).find("record itself"), std::string::npos);
}

TEST_F(StatusFeedTest, ShowsOptionsButNoSecrets) {
  config.learning.batch_size = 77;
  config.stream.properties["sasl.password"] = "hunter2";
  feed->adopt(config);
  const std::string text = feed->config();
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
  bool found = false;
  for (const auto& option : YAML::Load(text)["options"]) {
    if (option["name"].as<std::string>() == "learning.batch_size") {
      found = true;
      EXPECT_EQ(option["value"].as<std::string>(), "77");
      EXPECT_FALSE(option["default"].as<bool>());
    }
    if (option["name"].as<std::string>() == "log.format") {
      EXPECT_TRUE(option["default"].as<bool>());
    }
  }
  EXPECT_TRUE(found);
  EXPECT_EQ(told()["config_number"].as<int>(), 2);
}

TEST_F(StatusFeedTest, TellsByItselfOnceSomebodyFollowsAndSaysWhenItDrains) {
  feed->start();
  Ear ear;
  const auto stream = feed->follow();
  ASSERT_TRUE(stream->add(ear));
  EXPECT_TRUE(eventually([&] { return stream->newest().number > 0; }, 30s));
  EXPECT_NE(stream->newest().bytes->find("\"state\": \"learning\""), std::string::npos) << *stream->newest().bytes;
  feed->stop();
  EXPECT_TRUE(stream->newest().last);
  EXPECT_NE(stream->newest().bytes->find("\"state\": \"draining\""), std::string::npos);
  EXPECT_GE(ear.woken, 2);
  stream->remove(ear);
}

TEST(StatusPageTest, HasItsPartsAndLoadsNothing) {
  const auto page = make_status_page("0123456789abcdef");
  ASSERT_TRUE(page.is_ok()) << page.status().message();
  for (const std::string_view mark : {"{{nonce}}", "{{style}}", "{{notice}}", "{{library}}", "{{script}}"}) {
    EXPECT_EQ(page->html.find(mark), std::string::npos) << mark;
  }
  EXPECT_NE(page->html.find("Chart.js Contributors"), std::string::npos);
  for (const std::string_view elsewhere :
       {"src=\"http", "href=\"http", "url(http", "@import", "<link rel=\"stylesheet"}) {
    EXPECT_EQ(page->html.find(elsewhere), std::string::npos) << elsewhere;
  }
  EXPECT_NE(page->policy.find("default-src 'none'"), std::string::npos);
  EXPECT_NE(page->policy.find("script-src 'nonce-0123456789abcdef'"), std::string::npos);
  EXPECT_EQ(page->policy.find("unsafe"), std::string::npos);
}

}  // namespace
}  // namespace freshet
