#include "daemon/config/learning_config.h"

#include <gtest/gtest.h>

namespace freshet {
namespace {

Config some_config() {
  Config config;
  config.model.hidden = {7, 3};
  config.model.classes.names = {"no", "yes: #really"};
  config.learning.learning_rate = 0.0123;
  config.memory.ttl_ms = 86'400'000;
  FeatureSpec number;
  number.name = "x # y";
  config.stream.features.infer = false;
  config.stream.features.specs = {number};
  config.stream.properties["sasl.password"] = "secret-word";
  config.memory.path = "/somewhere";
  return config;
}

TEST(LearningConfig, ReadsBackWhatItWroteAndHoldsNoSecretOrAddress) {
  const Config config = some_config();
  const std::string text = learning_config_text(config);
  EXPECT_EQ(text.find("secret-word"), std::string::npos);
  EXPECT_EQ(text.find("/somewhere"), std::string::npos);
  const auto read = parse_learning_config(text);
  ASSERT_TRUE(read.is_ok()) << read.status().to_string() << "\n" << text;
  EXPECT_EQ(learning_differences(*read, config), "");
  EXPECT_EQ(learning_config_text(*read), text);
  EXPECT_EQ(read->model.classes, config.model.classes);
}

TEST(LearningConfig, NamesWhatChangedAndNothingElse) {
  const Config before = some_config();
  Config now = before;
  now.memory.path = "/elsewhere";
  now.learning.round.every_ms = 1;
  now.serving.listen = "127.0.0.1:1";
  EXPECT_EQ(learning_differences(before, now), "");
  now.learning.learning_rate = 0.5;
  now.serving.weights = setting::Weights::kEma;
  EXPECT_EQ(learning_differences(before, now), "learning.learning_rate 0.0123 -> 0.5, serving.weights raw -> ema");
}

}  // namespace
}  // namespace freshet
