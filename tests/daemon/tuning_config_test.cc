// What a daemon's own studies may change, and settings that stand over the file.
#include <gtest/gtest.h>

#include "daemon/config/config_loader.h"
#include "daemon/config/learning_config.h"
#include "daemon/config/option_table.h"
#include "daemon/config/tuning_checks.h"
#include "daemon/tuning/adopted_settings.h"

namespace freshet {
namespace {

Result<Config> load(const std::string& text) {
  LoadOptions options;
  options.text = text;
  return load_config(options);
}

TEST(StudiesOfADaemon, MayNotChangeWhatTheMemoryDependsOn) {
  const auto refused = [](const std::string& text, const std::string& part) {
    const auto config = load(text);
    ASSERT_FALSE(config.is_ok()) << text;
    EXPECT_NE(config.status().message().find(part), std::string::npos) << config.status().message();
  };
  refused("tuning: {on_drift: true, space: {memory.capacity_events: 100..1000}}",
          "memory.capacity_events cannot change");
  refused("tuning: {on_drift: true, space: {learning.strategy: er|mir}}", "learning.strategy cannot change");
  refused("tuning: {on_drift: true, space: {learning.round.every_events: 64..1024}}", "running memory");
  refused("tuning: {on_drift: true, search: [optimizer, model]}", "the model itself");
  refused("tuning: {on_drift: true, space: {model.embedding_dim: 4|8}}", "model.embedding_dim cannot change");
  refused("tuning: {on_drift: true}\ndrift: {detectors: []}", "nothing watches");
  EXPECT_TRUE(load("tuning: {space: {learning.round.every_events: 64..1024}}").is_ok()) << "by hand it may";
  EXPECT_TRUE(load("tuning: {on_drift: true, search: [optimizer, strategy, schedule]}").is_ok());
}

TEST(StudiesOfADaemon, OptionsAreAdoptableByTheirMeaning) {
  for (const char* option : {"learning.learning_rate", "learning.optimizer", "learning.replay_ratio",
                             "learning.batch_size", "learning.schedule.kind", "learning.ewc.lambda"}) {
    EXPECT_TRUE(adoptable(option)) << option;
  }
  for (const char* option :
       {"learning.strategy", "learning.round.every", "learning.sifting.beta", "learning.loss", "learning.device",
        "model.hidden", "model.task", "model.seed", "stream.label", "evaluation.held_out.share"}) {
    EXPECT_FALSE(adoptable(option)) << option;
  }
}

TEST(StudiesOfADaemon, ArePartOfWhatIsLearntOnlyWhereTheyAreAskedFor) {
  Config config;
  config.tuning.max_trials = 7;
  const Config standard;
  EXPECT_EQ(learning_config_text(config), learning_config_text(standard));
  config.tuning.on_drift = true;
  EXPECT_NE(learning_config_text(config), learning_config_text(standard));
  EXPECT_EQ(parse_learning_config(learning_config_text(config))->tuning.max_trials, 7U);
}

TEST(AdoptedSettings, StandOverTheFileUntilItSaysSomethingNew) {
  Config config;
  config.memory.path = "/elsewhere";
  const std::vector<tuning::Setting> found = {
      {"learning.learning_rate", "0.3"}, {"learning.momentum", "0.9"}, {"learning.optimizer", "sgd"}};
  const auto adopted = adopted_with(config, {}, found);
  ASSERT_EQ(adopted.size(), 3U);
  EXPECT_EQ(adopted[0].configured, "0.02");
  auto in_force = config_in_force(config, adopted);
  ASSERT_TRUE(in_force.is_ok()) << in_force.status().message();
  EXPECT_EQ(in_force->learning.learning_rate, 0.3);
  EXPECT_EQ(option_text(*in_force, "learning.optimizer"), "sgd");
  EXPECT_EQ(in_force->memory.path, "/elsewhere");
  config.learning.learning_rate = 0.05;
  in_force = config_in_force(config, adopted);
  EXPECT_EQ(in_force->learning.learning_rate, 0.05);
  EXPECT_EQ(in_force->learning.momentum, 0.9);
  // Adopted again, the newer value and the newer file count.
  const auto again = adopted_with(config, adopted, std::vector<tuning::Setting>{{"learning.learning_rate", "0.4"}});
  EXPECT_EQ(again.size(), 3U);
  EXPECT_EQ(config_in_force(config, again)->learning.learning_rate, 0.4);

  ByteWriter out;
  put_adopted(adopted, out);
  ByteReader in(out.buffer());
  EXPECT_EQ(get_adopted(in), adopted);
  EXPECT_TRUE(in.at_end());
  ByteReader cut(std::string_view(out.buffer()).substr(0, out.buffer().size() - 1));
  get_adopted(cut);
  EXPECT_FALSE(cut.ok());
}

TEST(AdoptedSettings, WhatBelongsToAnotherChoiceGoesBackToItsDefault) {
  const std::vector<std::string> searched = {"learning.optimizer", "learning.momentum", "learning.learning_rate"};
  const std::vector<tuning::Setting> settings = {{"learning.optimizer", "adagrad"}, {"learning.learning_rate", "0.1"}};
  const auto whole = whole_settings(settings, searched);
  ASSERT_EQ(whole.size(), 3U);
  EXPECT_EQ(whole[2], (tuning::Setting{"learning.momentum", "0"}));
  Config config;
  config.learning.optimizer = setting::Optimizer::kSgd;
  config.learning.momentum = 0.9;
  const auto tried = with_settings(learning_config_text(config), whole);
  ASSERT_TRUE(tried.is_ok()) << tried.status().message();
  EXPECT_EQ(tried->learning.momentum, 0.0);
  EXPECT_FALSE(with_settings(learning_config_text(config), settings).is_ok()) << "momentum belongs to sgd";
}

}  // namespace
}  // namespace freshet
