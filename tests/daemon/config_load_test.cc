// What a valid configuration becomes, and which of its sources wins.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "daemon/config/config_loader.h"
#include "daemon/config/option_table.h"

namespace freshet {
namespace {

LoadOptions yaml(std::string text) {
  LoadOptions options;
  options.file = "f.yaml";
  options.text = std::move(text);
  return options;
}

Config load(const LoadOptions& options) {
  auto config = load_config(options);
  EXPECT_TRUE(config.is_ok()) << config.status().message();
  if (!config.is_ok()) config = Config();
  return *std::move(config);
}

TEST(ConfigLoad, AnEmptyFileGivesTheDefaults) {
  for (const char* text : {"", "# nothing but a comment\n", "---\n", "model:\nstream:\n", "{}"}) {
    const Config config = load(yaml(text));
    EXPECT_EQ(config.model.name, "freshet") << text;
    EXPECT_EQ(config.learning.batch_size, 64U) << text;
    EXPECT_TRUE(config.stream.features.infer) << text;
  }
}

TEST(ConfigLoad, ReadsEverySectionAndType) {
  const Config config = load(yaml(R"(
model: {name: flights, architecture: mlp, hidden: [128, 64, 32], task: multiclass, classes: [on_time, late, lost], embedding_rows: 1024}
stream:
  brokers: [a:1, "[::1]:2"]
  topic: flights
  label: outcome
  time: ts
  start: latest
  on_lost_offsets: earliest
  record_bytes_max: 64KiB
  properties: {linger.ms: 5, security.protocol: ssl}
  properties_files: {ssl.key.password: /run/secrets/key}
memory: {path: /data, capacity_events: 2M, ttl: 90d, block_cache: 1GiB}
learning:
  optimizer: sgd
  momentum: 0.9
  nesterov: true
  learning_rate: 1e-3
  class_weights: [1, 2.5, 1]
  schedule: {kind: exponential, decay_rate: 0.5, decay_steps: 2k, staircase: true, minimum_rate: 1e-4}
  clip_norm: 1.5
  round: {every_events: 256, every: none, go_live: when_ready}
  ema: {decay: 0.99}
evaluation: {held_out: {share: 0.02}, slices: {by: field, field: carrier, values: [UA, DL]}}
checkpoint: {every: 1.5m}
serving: {listen: "127.0.0.1:0", weights: average}
log: {level: debug, format: json}
)"));
  EXPECT_EQ(config.model.architecture, setting::Architecture::kMlp);
  EXPECT_EQ(config.model.hidden, (std::vector<std::int64_t>{128, 64, 32}));
  EXPECT_EQ(config.model.task, Task::kMulticlass);
  EXPECT_EQ(class_count(config), 3U);
  EXPECT_EQ(config.stream.brokers, (std::vector<std::string>{"a:1", "[::1]:2"}));
  EXPECT_EQ(config.stream.start, setting::Start::kLatest);
  EXPECT_EQ(config.stream.on_lost_offsets, setting::LostOffsets::kEarliest);
  EXPECT_EQ(config.stream.record_bytes_max, 65536);
  EXPECT_EQ(config.stream.properties.at("linger.ms"), "5");
  EXPECT_EQ(config.stream.properties_files.at("ssl.key.password"), "/run/secrets/key");
  EXPECT_EQ(config.memory.capacity_events, 2'000'000U);
  EXPECT_EQ(config.memory.ttl_ms, 90LL * 86'400'000);
  EXPECT_EQ(config.memory.block_cache_bytes, 1LL << 30);
  EXPECT_TRUE(config.learning.nesterov);
  EXPECT_DOUBLE_EQ(config.learning.learning_rate, 0.001);
  EXPECT_DOUBLE_EQ(config.learning.clip_norm, 1.5);
  EXPECT_EQ(config.learning.class_weights, (std::vector<double>{1, 2.5, 1}));
  EXPECT_EQ(config.learning.schedule.kind, setting::Schedule::kExponential);
  EXPECT_EQ(config.learning.schedule.decay_steps, 2000U);
  EXPECT_TRUE(config.learning.schedule.staircase);
  EXPECT_DOUBLE_EQ(config.learning.schedule.minimum_rate, 1e-4);
  EXPECT_EQ(config.learning.round.every_ms, 0);
  EXPECT_EQ(config.learning.round.go_live, setting::GoLive::kWhenReady);
  EXPECT_EQ(config.evaluation.slices_values, (std::vector<std::string>{"UA", "DL"}));
  EXPECT_EQ(config.checkpoint.every_ms, 90'000);
  EXPECT_EQ(config.serving.weights, setting::Weights::kAverage);
  EXPECT_EQ(config.log.level, LogLevel::kDebug);
  EXPECT_EQ(option_text(config, "learning.optimizer"), "sgd");
}

TEST(ConfigLoad, ReadsEveryKindOfFeature) {
  const Config config = load(yaml(R"(
model: {task: binary, classes: [no, yes]}
stream:
  label: late
  time: ts
  key: id
  features:
    distance: number
    rain: boolean
    carrier: category
    origin: {kind: category}
    tail: {kind: category, input: false}
    image: {kind: vector, size: 784}
    hour: {kind: time_part, part: hour_of_day}
    route: {kind: cross, of: [origin, hour]}
    all: {kind: target_mean, half_life_events: 500}
    recent: {kind: target_mean, by: [origin, carrier], half_life: 2h, prior_weight: 0.5, keys_max: 1k}
    plane: {kind: target_mean, by: tail, half_life_events: 3.5}
)"));
  const EventSpec spec = to_event_spec(config);
  ASSERT_EQ(spec.features.size(), 11U);
  EXPECT_EQ(spec.label.field, "late");
  EXPECT_EQ(spec.label.classes, 2U);
  EXPECT_EQ(spec.label.class_names, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(spec.time_field, "ts");
  EXPECT_EQ(spec.key_field, "id");
  EXPECT_EQ(spec.features[0].name, "distance");  // in the order of the file
  EXPECT_EQ(spec.features[1].kind, FeatureKind::kBoolean);
  EXPECT_TRUE(spec.features[3].input);
  EXPECT_FALSE(spec.features[4].input);
  EXPECT_EQ(spec.features[5].size, 784U);
  EXPECT_EQ(spec.features[6].part, TimePart::kHourOfDay);
  EXPECT_EQ(spec.features[7].of, (std::vector<std::string>{"origin", "hour"}));
  EXPECT_TRUE(spec.features[8].of.empty());
  EXPECT_DOUBLE_EQ(spec.features[9].half_life_ms, 7'200'000);
  EXPECT_DOUBLE_EQ(spec.features[9].prior_weight, 0.5);
  EXPECT_EQ(spec.features[9].keys_max, 1000U);
  EXPECT_EQ(spec.features[10].of, (std::vector<std::string>{"tail"}));
  EXPECT_DOUBLE_EQ(spec.features[10].half_life_events, 3.5);
}

TEST(ConfigLoad, TheLaterSourceWins) {
  auto options = yaml("learning: {batch_size: 32, learning_rate: 0.1, momentum: 0}\n");
  options.environment = {{"FRESHET_LEARNING__LEARNING_RATE", "0.2"}, {"FRESHET_MODEL__NAME", "env"}};
  options.sets = {"learning.learning_rate=0.3", "model.hidden=[8, 4]"};
  const auto loaded = load_config_with_origins(options);
  ASSERT_TRUE(loaded.is_ok()) << loaded.status().message();
  EXPECT_EQ(loaded->config.learning.batch_size, 32U);
  EXPECT_DOUBLE_EQ(loaded->config.learning.learning_rate, 0.3);
  EXPECT_EQ(loaded->config.model.name, "env");
  EXPECT_EQ(loaded->config.model.hidden, (std::vector<std::int64_t>{8, 4}));
  EXPECT_EQ(loaded->origins.at("learning.batch_size").place(), "f.yaml:1:24");
  EXPECT_EQ(loaded->origins.at("learning.learning_rate").place(), "--set learning.learning_rate");
  EXPECT_EQ(loaded->origins.at("model.name").place(), "environment FRESHET_MODEL__NAME");
  EXPECT_EQ(loaded->origins.count("model.seed"), 0U);
}

TEST(ConfigLoad, VariablesOfOthersAreLeftAlone) {
  LoadOptions options;
  options.environment = {{"FRESHET_PORT_8080_TCP_ADDR", "10.0.0.1"},
                         {"FRESHET_SERVICE_HOST", "10.0.0.1"},
                         {"FRESHET_CACHE", "/tmp"},
                         {"PATH", "/bin"},
                         {"FRESHET___X", "1"}};
  EXPECT_TRUE(load_config(options).is_ok());
}

TEST(ConfigLoad, SetsPartsOfMapsAndFeatures) {
  auto options = yaml("stream: {features: {a: number, c: category}, properties: {linger.ms: 5}}\n");
  options.sets = {"stream.properties.fetch.wait.max.ms=20",
                  "stream.features.b=boolean",
                  "stream.features.c.input=false",
                  "stream.features.m={kind: target_mean, by: [c], half_life_events: 9}",
                  "stream.brokers=x:1,y:2",
                  "model.classes=[no, yes]"};
  options.environment = {{"FRESHET_STREAM__PROPERTIES__SASL_PASSWORD", "a #{b}: ]"}};
  const Config config = load(options);
  EXPECT_EQ(config.stream.properties.at("linger.ms"), "5");
  EXPECT_EQ(config.stream.properties.at("fetch.wait.max.ms"), "20");
  EXPECT_EQ(config.stream.properties.at("sasl.password"), "a #{b}: ]");
  ASSERT_EQ(config.stream.features.specs.size(), 4U);
  EXPECT_FALSE(config.stream.features.specs[1].input);
  EXPECT_EQ(config.stream.features.specs[2].kind, FeatureKind::kBoolean);
  EXPECT_EQ(config.stream.features.specs[3].of, (std::vector<std::string>{"c"}));
  EXPECT_EQ(config.stream.brokers, (std::vector<std::string>{"x:1", "y:2"}));
  EXPECT_EQ(config.model.classes.names, (std::vector<std::string>{"no", "yes"}));
}

TEST(ConfigLoad, AliasesStandForWhatTheyName) {
  const Config config =
      load(yaml("stream:\n  features:\n    a: &c {kind: category, input: false}\n    b: *c\n    n: number\n"));
  ASSERT_EQ(config.stream.features.specs.size(), 3U);
  EXPECT_FALSE(config.stream.features.specs[1].input);
}

TEST(ConfigLoad, ReadsAFileAndSaysWhenThereIsNone) {
  const auto folder = std::filesystem::temp_directory_path() / "freshet_config_load_test";
  std::filesystem::create_directories(folder);
  const auto file = folder / "some.yaml";
  std::ofstream(file) << "model: {name: from_file}\n";
  LoadOptions options;
  options.file = file.string();
  EXPECT_EQ(load(options).model.name, "from_file");
  options.file = (folder / "absent.yaml").string();
  const auto absent = load_config(options);
  EXPECT_EQ(absent.code(), Code::kNotFound);
  EXPECT_NE(absent.status().message().find("absent.yaml"), std::string::npos);
  options.file = folder.string();  // a folder
  EXPECT_FALSE(load_config(options).is_ok());
  std::filesystem::remove_all(folder);
}

TEST(ConfigLoad, RunNeedsATopicAndReadableSecrets) {
  Config config;
  EXPECT_NE(check_runnable(config).message().find("stream.topic"), std::string::npos);
  config.stream.topic = "t";
  EXPECT_TRUE(check_runnable(config).is_ok());
  config.stream.properties_files = {{"sasl.password", "/does/not/exist"}};
  EXPECT_NE(check_runnable(config).message().find("/does/not/exist"), std::string::npos);
}

TEST(HostPort, SplitsAddressesAndRefusesOthers) {
  const auto address = parse_host_port("[::1]:8080");
  ASSERT_TRUE(address.is_ok());
  EXPECT_EQ(address->host, "::1");
  EXPECT_EQ(address->port, 8080);
  for (const char* bad :
       {"", "host", "host:", ":80", "host:65536", "host:-1", "host:8x", "::1:80", "a b:80", "http://a:80"}) {
    EXPECT_FALSE(parse_host_port(bad).is_ok()) << bad;
  }
}

}  // namespace
}  // namespace freshet
