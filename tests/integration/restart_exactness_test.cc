// After kills, the learner stands where it would have stood without them: bit for bit, and equal to a backtest of the
// same events. Rounds are counted in events here, so nothing depends on time.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <csignal>

#include "tests/integration/freshet_process.h"
#include "tests/integration/stored_state.h"

namespace freshet::test {
namespace {

class RestartExactness : public KafkaIntegrationTest {
 protected:
  std::vector<std::string> counted_sets(const std::string& store) const {
    auto sets = daemon_sets();
    sets.emplace_back("learning.round.every=none");
    sets.emplace_back("learning.round.go_live=next_cut");
    sets.emplace_back("checkpoint.every=100ms");
    sets.push_back("memory.path=" + path(store));
    return sets;
  }
};

TEST_F(RestartExactness, KilledTwiceEndsWithTheSameLearnerAsNeverKilled) {
  const auto lines = flights(30'500);  // not a whole number of rounds
  ASSERT_NO_FATAL_FAILURE(create_topic(1));
  ASSERT_NO_FATAL_FAILURE(learn_with_stops(lines, 1, 2, SIGKILL, counted_sets("state")));
  expect_exactly(path("state"), lines, 1);
  {
    auto sets = counted_sets("whole");
    sets.push_back("stream.group=another-" + topic);
    Daemon daemon(example_config(), sets);
    ASSERT_TRUE(daemon.wait_for_events(static_cast<double>(lines.size()))) << daemon.log();
    ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
  }
  expect_exactly(path("whole"), lines, 1);

  const auto killed = finish_stored(counted_sets("state"));
  ASSERT_TRUE(killed.is_ok()) << killed.status().to_string();
  const auto whole = finish_stored(counted_sets("whole"));
  ASSERT_TRUE(whole.is_ok()) << whole.status().to_string();
  const Finished backtest =
      run_freshet({"backtest", "--config", example_config(), "--input", write("flights.jsonl", lines), "--quiet"});
  ASSERT_EQ(backtest.exit_code, 0) << backtest.errors;
  const YAML::Node told = YAML::Load(backtest.output);

  EXPECT_EQ(killed->learner_hash, whole->learner_hash);
  EXPECT_EQ(killed->learner_hash, told["model_hash"].as<std::string>());
  EXPECT_EQ(killed->snapshot.events, lines.size());
  EXPECT_EQ(killed->snapshot.rounds, whole->snapshot.rounds);
  EXPECT_EQ(killed->snapshot.swaps, whole->snapshot.swaps);
  EXPECT_EQ(killed->snapshot.served_version, whole->snapshot.served_version);
  EXPECT_EQ(killed->snapshot.memory_events, whole->snapshot.memory_events);
  for (const auto& [name, value] : killed->snapshot.evaluation.stream) {
    SCOPED_TRACE(name);
    const auto other = find_metric(whole->snapshot.evaluation.stream, name);
    ASSERT_TRUE(other.has_value());
    EXPECT_EQ(value, *other);
    EXPECT_EQ(value, told[std::string(name)].as<double>());
  }
}

}  // namespace
}  // namespace freshet::test
