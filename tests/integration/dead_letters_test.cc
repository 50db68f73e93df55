// Bad records among good ones, in real topics from end to end.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <csignal>
#include <sstream>

#include "tests/integration/freshet_process.h"

namespace freshet::test {
namespace {

class DeadLettersEndToEnd : public KafkaIntegrationTest {};

TEST_F(DeadLettersEndToEnd, ReachTheirTopicWithConnectsHeadersAndGoodOnesAreLearnt) {
  const auto all = flights(3000);
  std::vector<std::string> lines(all.begin(), all.end());
  const std::vector<std::string> bad = {"no json at all", R"({"id": 2, "ts": 1357034400000, "carrier": "UA"})",
                                        R"({"id": 3, "ts": 1357034400000, "label": "late"})",
                                        R"({"id": 4, "ts": 1357034400000, "distance": [1], "label": 1})"};
  for (std::size_t i = 0; i < bad.size(); ++i)
    lines.insert(lines.begin() + 500 * (static_cast<std::ptrdiff_t>(i) + 1), bad[i]);
  ASSERT_NO_FATAL_FAILURE(create_topic(2));
  const std::string dead_topic = topic + "-dead";
  ASSERT_TRUE(broker->create_topic(dead_topic, 1).is_ok());
  auto sets = daemon_sets();
  sets.push_back("stream.dead_letter_topic=" + dead_topic);
  Daemon daemon(example_config(), sets);
  ASSERT_TRUE(daemon.up());
  produce(write("flights.jsonl", lines));
  ASSERT_TRUE(daemon.wait_for_events(3000)) << daemon.log();
  EXPECT_EQ(daemon.status("events"), 3000);
  EXPECT_EQ(daemon.metric("freshet_dead_letters_total", "reason=\"malformed\""), 1);
  EXPECT_EQ(daemon.metric("freshet_dead_letters_total", "reason=\"missing_label\""), 1);
  EXPECT_EQ(daemon.metric("freshet_dead_letters_total", "reason=\"bad_label\""), 1);
  EXPECT_EQ(daemon.metric("freshet_dead_letters_total", "reason=\"bad_feature\""), 1);

  const Finished consumed =
      run_freshet({"consume", "--brokers", broker->brokers(), "--topic", dead_topic, "--headers"});
  ASSERT_EQ(consumed.exit_code, 0) << consumed.errors;
  std::istringstream letters(consumed.output);
  std::size_t count = 0;
  for (std::string text; std::getline(letters, text); ++count) {
    SCOPED_TRACE(text);
    const YAML::Node headers = YAML::Load(text)["headers"];
    EXPECT_EQ(headers["__connect.errors.topic"].as<std::string>(), topic);
    const auto partition = headers["__connect.errors.partition"].as<std::size_t>();
    const auto offset = headers["__connect.errors.offset"].as<std::size_t>();
    const std::size_t line = offset * 2 + partition;  // records took turns between the partitions
    ASSERT_LT(line, lines.size());
    EXPECT_NE(std::find(bad.begin(), bad.end(), lines[line]), bad.end()) << lines[line];
    EXPECT_FALSE(headers["__connect.errors.exception.class.name"].as<std::string>().empty());
    EXPECT_FALSE(headers["__connect.errors.exception.message"].as<std::string>().empty());
    EXPECT_FALSE(headers["__connect.errors.stage"].as<std::string>().empty());
  }
  EXPECT_EQ(count, bad.size());
  const Finished values = run_freshet({"consume", "--brokers", broker->brokers(), "--topic", dead_topic});
  for (const std::string& value : bad) EXPECT_NE(values.output.find(value + "\n"), std::string::npos) << values.output;

  ASSERT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
  std::int64_t learnt = 0;
  std::int64_t skipped = 0;
  for (const InspectedPartition& partition : inspect(path("state"))) {
    learnt += partition.learnt;
    skipped += partition.skipped;
    EXPECT_EQ(partition.missing, 0);
  }
  EXPECT_EQ(learnt, 3000);
  EXPECT_EQ(skipped, 4);
}

}  // namespace
}  // namespace freshet::test
