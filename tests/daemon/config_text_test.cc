// `config show`, the reference page, the config command and the reload plan.
#include "daemon/config/config_text.h"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "daemon/cli/config_command.h"
#include "daemon/config/option_table.h"
#include "daemon/config/reload.h"

namespace freshet {
namespace {

LoadedConfig load(const LoadOptions& options) {
  auto loaded = load_config_with_origins(options);
  EXPECT_TRUE(loaded.is_ok()) << loaded.status().message();
  if (!loaded.is_ok()) loaded = LoadedConfig();
  return *std::move(loaded);
}

LoadOptions example() {
  LoadOptions options;
  options.file = "f.yaml";
  options.text =
      "model: {name: flights, classes: [on time, late]}\n"
      "stream:\n"
      "  features:\n"
      "    distance: number\n"
      "    \"odd: name\": category\n"
      "    tail: {kind: category, input: false}\n"
      "    x: {kind: vector, size: 3}\n"
      "    hour: {kind: time_part, part: minute_of_day}\n"
      "    route: {kind: cross, of: [tail, hour]}\n"
      "    m: {kind: target_mean, by: [tail, \"odd: name\"], half_life: 36h, prior_weight: 0, keys_max: 12}\n"
      "memory: {ttl: 90d}\n";
  options.environment = {{"FRESHET_LOG__LEVEL", "debug"}};
  options.sets = {"learning.clip_norm=2.5", "stream.properties.linger.ms=5"};
  return options;
}

TEST(ConfigShow, SaysWhereEachValueWasSet) {
  const std::string page = show_config(load(example()));
  const auto line_with = [&](const std::string& start) {
    const auto at = page.find("\n" + start);
    return at == std::string::npos ? "absent: " + start : page.substr(at + 1, page.find('\n', at + 1) - at - 1);
  };
  EXPECT_NE(line_with("  name: flights").find("# f.yaml:1"), std::string::npos) << page;
  EXPECT_NE(line_with("  seed: 1").find("# default"), std::string::npos) << page;
  EXPECT_NE(line_with("    tail: {kind: category, input: false}").find("# f.yaml:6"), std::string::npos) << page;
  EXPECT_NE(line_with("  ttl: 90d").find("# f.yaml:11"), std::string::npos) << page;
  EXPECT_NE(line_with("  clip_norm: 2.5").find("# --set learning.clip_norm"), std::string::npos) << page;
  EXPECT_NE(line_with("  level: debug").find("# environment FRESHET_LOG__LEVEL"), std::string::npos) << page;
}

TEST(ConfigShow, LoadsToTheSameConfiguration) {
  const LoadedConfig first = load(example());
  LoadOptions again;
  again.text = show_config(first);
  const LoadedConfig second = load(again);
  for (const auto& option : option_table()) {
    EXPECT_EQ(option_text(first.config, option.name), option_text(second.config, option.name));
  }
}

TEST(ConfigShow, NeverPrintsASecret) {
  LoadOptions options = example();
  options.environment["FRESHET_STREAM__PROPERTIES__SASL_PASSWORD"] = "hunter2";
  options.environment["FRESHET_STREAM__PROPERTIES__SASL_USERNAME"] = "kafka";
  const LoadedConfig loaded = load(options);
  EXPECT_EQ(loaded.config.stream.properties.at("sasl.password"), "hunter2");
  const std::string page = show_config(loaded);
  EXPECT_EQ(page.find("hunter2"), std::string::npos);
  EXPECT_NE(page.find("sasl.password: \"********\""), std::string::npos) << page;
  EXPECT_NE(page.find("sasl.username: kafka"), std::string::npos) << page;
  Config other = loaded.config;
  other.stream.properties["sasl.password"] = "hunter3";
  const ReloadPlan plan = plan_reload(loaded.config, other);
  ASSERT_EQ(plan.pending.size(), 1U);  // seen as a change, and still not printed
  EXPECT_EQ(describe(plan.pending[0]).find("hunter"), std::string::npos);
}

TEST(ConfigReference, TheCommittedPageIsTrue) {
  const std::string path = std::string(FRESHET_SOURCE_DIR) + "/docs/configuration.md";
  std::ifstream file(path);
  ASSERT_TRUE(file.good()) << path;
  const std::string committed{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_TRUE(committed == configuration_reference())
      << "docs/configuration.md is old; write it with: freshet config reference > docs/configuration.md";
}

TEST(ConfigReference, NamesEveryOption) {
  const std::string page = configuration_reference();
  for (const auto& option : option_table()) {
    EXPECT_NE(page.find("| `" + option.name + "` |"), std::string::npos) << option.name;
  }
}

TEST(Reload, AppliesWhatCanChangeAndNamesTheRest) {
  Config running;
  Config wanted = running;
  wanted.log.level = LogLevel::kDebug;
  wanted.learning.round.every_ms = 0;
  wanted.checkpoint.every_ms = 1000;
  wanted.serving.listen = "0.0.0.0:9090";
  wanted.model.embedding_dim = 16;
  wanted.stream.features = {false, {FeatureSpec{}}};
  wanted.stream.features.specs[0].name = "a";
  const ReloadPlan plan = plan_reload(running, wanted);
  std::vector<std::string> applied;
  for (const auto& change : plan.applied) applied.push_back(describe(change));
  EXPECT_EQ(applied, (std::vector<std::string>{"learning.round.every 5s -> none", "checkpoint.every 5s -> 1s",
                                               "log.level info -> debug"}));
  ASSERT_EQ(plan.pending.size(), 3U);
  EXPECT_EQ(plan.pending[0].name, "model.embedding_dim");
  EXPECT_EQ(plan.pending[0].change, Change::kNewState);
  EXPECT_EQ(describe(plan.pending[1]), "stream.features auto -> {a: number}");
  EXPECT_EQ(plan.pending[2].change, Change::kRestart);
  EXPECT_NE(describe_waiting(plan.pending[0]).find("fresh memory.path"), std::string::npos);
  EXPECT_NE(describe_waiting(plan.pending[2]).find("waits for a restart"), std::string::npos);
  EXPECT_EQ(plan.next.log.level, LogLevel::kDebug);
  EXPECT_EQ(plan.next.serving.listen, running.serving.listen);
  EXPECT_TRUE(plan_reload(plan.next, wanted).applied.empty());
  EXPECT_TRUE(plan_reload(running, running).pending.empty());
}

class ConfigCommandTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("freshet_config_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& text) {
    auto path = (folder_ / "c.yaml").string();
    std::ofstream(path) << text;
    return path;
  }
  int run(std::vector<std::string> arguments) {
    CLI::App app;
    ConfigCommand command;
    command.add_to(app);
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app.parse(arguments);
    EXPECT_TRUE(command.chosen());
    return command.run(out_, err_);
  }

  std::filesystem::path folder_;
  std::ostringstream out_;
  std::ostringstream err_;
};

TEST_F(ConfigCommandTest, CheckTellsWhatTheConfigurationIsAbout) {
  const auto path = write("model: {name: flights}\nstream: {topic: flights}\n");
  EXPECT_EQ(run({"config", "check", "--config", path}), 0) << err_.str();
  EXPECT_NE(out_.str().find("is valid: model flights (wide_deep, binary)"), std::string::npos) << out_.str();
  EXPECT_TRUE(err_.str().empty());
}

TEST_F(ConfigCommandTest, CheckListsTheErrorsAndFails) {
  const auto path = write("model: {nam: flights}\nlearning: {momentum: 2}\n");
  EXPECT_EQ(run({"config", "check", "-c", path}), kExitUsage);
  EXPECT_NE(err_.str().find("c.yaml:1:9: model.nam: no such option"), std::string::npos) << err_.str();
  EXPECT_NE(err_.str().find("c.yaml:2:22: learning.momentum: must be"), std::string::npos) << err_.str();
}

TEST_F(ConfigCommandTest, ShowTakesSetsAndNeedsNoFile) {
  EXPECT_EQ(run({"config", "show", "--set", "model.name=a", "--set", "model.hidden=[9, 8]"}), 0) << err_.str();
  EXPECT_NE(out_.str().find("  hidden: [9, 8]"), std::string::npos) << out_.str();
  EXPECT_NE(out_.str().find("  name: a"), std::string::npos) << out_.str();
}

TEST_F(ConfigCommandTest, ReferencePrintsThePage) {
  EXPECT_EQ(run({"config", "reference"}), 0);
  EXPECT_EQ(out_.str(), configuration_reference());
}

}  // namespace
}  // namespace freshet
