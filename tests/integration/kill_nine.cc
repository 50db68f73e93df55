#include "tests/integration/kill_nine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <csignal>
#include <cstdlib>
#include <random>

namespace freshet::test {
namespace {

std::uint64_t choose_seed() {
  const char* const given = std::getenv("FRESHET_KILL_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  fmt::print("seed {}; FRESHET_KILL_SEED={} chooses the same moments again\n", seed, seed);
  return seed;
}

constexpr std::chrono::minutes kLongPatience{10};

std::chrono::milliseconds up_to_ms(Rng& rng, std::uint64_t most) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(rng.below(most + 1)));
}

}  // namespace

std::vector<std::string> KillNineTest::sets_for(const KillPlan& plan, const std::string& store) const {
  auto sets = daemon_sets();
  sets.push_back("memory.path=" + path(store));
  // The same member each time, so that the group does not wait for the one that was killed.
  sets.push_back("stream.group=" + store + "-" + topic);
  sets.push_back("stream.properties.group.instance.id=" + store);
  sets.emplace_back("checkpoint.every=100ms");
  sets.emplace_back("memory.keep_events=all");    // so that all of it can be replayed
  sets.emplace_back("memory.write_buffer=1MiB");  // tables are written and merged all the time
  if (plan.counted_rounds) {
    sets.emplace_back("learning.round.every=none");
    sets.emplace_back("learning.round.go_live=next_cut");
  } else {
    sets.emplace_back("learning.round.every=150ms");
    sets.emplace_back("learning.round.go_live=when_ready");
  }
  sets.insert(sets.end(), plan.settings.begin(), plan.settings.end());
  return sets;
}

void KillNineTest::live_and_die(const KillPlan& plan, const std::vector<std::string>& sets, Rng& rng) {
  std::unique_ptr<ChildProcess> operation;  // dies with the daemon
  std::vector<std::string> words = {freshet_binary(), "run", "--config", example_config()};
  auto all = sets;
  all.emplace_back("serving.listen=127.0.0.1:0");
  ChildProcess daemon(with_sets(std::move(words), all), {FRESHET_SOURCE_DIR, false});
  const auto says = [&](const char* text) { return daemon.errors().find(text) != std::string::npos; };
  constexpr std::chrono::seconds kUntilSaid{8};
  const std::uint64_t moment = rng.below(4);
  const bool soon_after = !plan.soon_after.empty() && rng.below(2) == 0;
  std::chrono::milliseconds wait{};
  if (soon_after) {
    daemon.wait_until([&] { return says(plan.soon_after.c_str()); }, kUntilSaid);
    wait = up_to_ms(rng, 600);
  } else if (moment == 0) {
    wait = up_to_ms(rng, 400);  // from its start: opening, recovering
  } else if (moment == 1) {
    wait = up_to_ms(rng, 250);
    ASSERT_TRUE(daemon.wait_until([&] { return says("redo_begins") || says("partitions_assigned"); }, kPatience))
        << daemon.errors();
  } else {
    wait = up_to_ms(rng, 1500);
    ASSERT_TRUE(daemon.wait_until([&] { return says("partitions_assigned"); }, kPatience)) << daemon.errors();
    const std::uint64_t choice = rng.below(3);
    if (choice == 1) operation = state_command({"backup", "--path", path("state"), "--to", path("backups")});
    if (choice == 2) operation = state_command({"compact", "--path", path("state")});
  }
  const auto ended = daemon.wait(wait);
  ASSERT_FALSE(ended.has_value()) << "it ended by itself with " << *ended << '\n' << daemon.errors();
  daemon.signal(SIGKILL);
  ASSERT_EQ(daemon.wait(kPatience), 128 + SIGKILL);
  logs_ += daemon.errors();
}

void KillNineTest::live(const std::vector<std::string>& sets, std::size_t events) {
  Daemon daemon(example_config(), sets);
  ASSERT_TRUE(daemon.up());
  ASSERT_TRUE(daemon.wait_for_events(static_cast<double>(events))) << daemon.log();
  ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
}

void KillNineTest::run(const KillPlan& plan) {
  const std::uint64_t seed = choose_seed();
  SCOPED_TRACE(fmt::format("FRESHET_KILL_SEED={}", seed));
  Rng rng(seed);
  ASSERT_NO_FATAL_FAILURE(create_topic(plan.partitions));
  const auto sets = sets_for(plan, "state");
  ChildProcess producer(produce_command(write("flights.jsonl", plan.lines), plan.events_per_second));
  for (int kill = 1; kill <= plan.kills; ++kill) {
    SCOPED_TRACE(fmt::format("kill {}", kill));
    ASSERT_NO_FATAL_FAILURE(live_and_die(plan, sets, rng));
  }
  ASSERT_EQ(producer.wait(3 * kLongPatience), 0) << producer.errors();
  ASSERT_NO_FATAL_FAILURE(live(sets, plan.lines.size()));
  expect_exactly(path("state"), plan.lines, plan.partitions);

  // A backup, whatever the ones that were cut short have left, restored and brought to its end.
  expect_ok({"backup", "--path", path("state"), "--to", path("backups")});
  expect_ok({"restore", "--from", path("backups"), "--path", path("restored")});
  const auto killed = finish_stored(sets);
  ASSERT_TRUE(killed.is_ok()) << killed.status().to_string();
  last_ = *killed;
  const auto restored = finish_stored(sets_for(plan, "restored"));
  ASSERT_TRUE(restored.is_ok()) << restored.status().to_string();
  expect_equal(*restored, *killed);
  expect_replayed(*killed);
  if (plan.counted_rounds) compare_with_uninterrupted(plan, *killed);
}

std::unique_ptr<ChildProcess> KillNineTest::state_command(std::vector<std::string> words) const {
  words.insert(words.begin(), {freshet_binary(), "state"});
  return std::make_unique<ChildProcess>(words);
}

void KillNineTest::expect_ok(std::vector<std::string> words) const {
  const auto command = state_command(std::move(words));
  EXPECT_EQ(command->wait(kLongPatience), 0) << command->output() << command->errors();
}

void KillNineTest::expect_equal(const FinalState& found, const FinalState& wanted) {
  EXPECT_EQ(hash_text_of(found.state.whole), hash_text_of(wanted.state.whole))
      << "these differ: " << fmt::format("{}", fmt::join(differing_parts(found.state, wanted.state), " "));
  EXPECT_EQ(found.snapshot.events, wanted.snapshot.events);
  EXPECT_EQ(found.snapshot.rounds, wanted.snapshot.rounds);
  EXPECT_EQ(found.snapshot.swaps, wanted.snapshot.swaps);
}

// The whole recorded order, from the first event: every kept checkpoint and the end are what a replay comes to.
void KillNineTest::expect_replayed(const FinalState& wanted) const {
  const auto replay = state_command({"replay", "--path", path("state"), "--from", "start", "--json", "--quiet"});
  ASSERT_EQ(replay->wait(kLongPatience), 0) << replay->output() << replay->errors();
  const YAML::Node told = YAML::Load(replay->output());
  EXPECT_TRUE(told["equal"].as<bool>()) << replay->output();
  EXPECT_EQ(told["from_checkpoint"].as<std::uint64_t>(), 0U);
  EXPECT_GE(told["compared"].size(), 2U) << replay->output();
  EXPECT_EQ(told["end"]["state_hash"].as<std::string>(), hash_text_of(wanted.state.whole)) << replay->output();
}

void KillNineTest::compare_with_uninterrupted(const KillPlan& plan, const FinalState& killed) {
  const auto sets = sets_for(plan, "whole");
  ASSERT_NO_FATAL_FAILURE(live(sets, plan.lines.size()));
  expect_exactly(path("whole"), plan.lines, plan.partitions);
  const auto whole = finish_stored(sets);
  ASSERT_TRUE(whole.is_ok()) << whole.status().to_string();
  expect_equal(killed, *whole);
}

}  // namespace freshet::test
