// What is said about a configuration that is wrong.
#include <gtest/gtest.h>

#include <string>

#include "daemon/config/config_loader.h"

namespace freshet {
namespace {

std::string errors_of(LoadOptions options) {
  if (options.file.empty()) options.file = "f.yaml";
  if (!options.text) options.text = "";
  const auto config = load_config(options);
  if (config.is_ok()) return "";
  EXPECT_EQ(config.code(), Code::kInvalidArgument);
  return config.status().message();
}

std::string errors_of(const std::string& text) {
  LoadOptions options;
  options.text = text;
  return errors_of(options);
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << "all that was said:\n" << (text)

TEST(ConfigErrors, AllAtOnceInTheOrderOfTheFile) {
  const std::string said = errors_of(
      "model:\n"
      "  nmae: flights\n"
      "  task: binnary\n"
      "learning:\n"
      "  batch_size: many\n"
      "  replay_ratio: 1.0\n"
      "  batch_size: 32\n"
      "stream:\n"
      "  features:\n"
      "    a: numbr\n"
      "    b: {kind: vector, of: [a]}\n"
      "checkpoint: 5s\n");
  EXPECT_SAYS(said,
              "7 errors in the configuration:\n"
              "  f.yaml:2:3: model.nmae: no such option; did you mean 'model.name'?\n"
              "  f.yaml:3:9: model.task: expected one of binary, multiclass, regression; got 'binnary' (did you mean "
              "'binary'?)\n");
  EXPECT_SAYS(said,
              "\n  f.yaml:6:17: learning.replay_ratio: must be at least 0, below 1; got 1.0\n"
              "  f.yaml:7:3: 'batch_size' stands here a second time; the first is at f.yaml:5:15\n"
              "  f.yaml:10:8: feature 'a' has 'numbr' for a kind;");
  EXPECT_SAYS(said, "did you mean 'number'?");
  EXPECT_SAYS(said, "\n  f.yaml:11:23: feature 'b' is a vector, which takes no 'of'; that belongs to cross\n");
  EXPECT_SAYS(said, "\n  f.yaml:12:13: checkpoint: is a section, expected a map of options; got a single value");
}

TEST(ConfigErrors, ATypeErrorSaysWhatWasExpectedWithAnExample) {
  EXPECT_SAYS(errors_of("learning: {batch_size: 1.5}"),
              "learning.batch_size: expected a whole number, such as 64; got '1.5'");
  EXPECT_SAYS(errors_of("learning: {batch_size: [1]}"), "expected a whole number, such as 64; got a list");
  EXPECT_SAYS(errors_of("learning: {batch_size: }"), "got nothing (remove the line for the default)");
  EXPECT_SAYS(errors_of("learning: {learning_rate: fast}"), "expected a number, such as 0.02; got 'fast'");
  EXPECT_SAYS(errors_of("learning: {learning_rate: .nan}"), "expected a number");
  EXPECT_SAYS(errors_of("learning: {nesterov: maybe}"), "expected true or false, such as false; got 'maybe'");
  EXPECT_SAYS(errors_of("checkpoint: {every: 5}"),
              "expected a duration with its unit (ms, s, m, h, d, w), such as 5s; got '5'");
  EXPECT_SAYS(errors_of("memory: {block_cache: 64 quarts}"), "expected a size with its unit");
  EXPECT_SAYS(errors_of("model: {hidden: 64}"), "expected a list of whole numbers, such as [64, 32]; got '64'");
  EXPECT_SAYS(errors_of("model: {hidden: [64, wide]}"), "got 'wide'");
  EXPECT_SAYS(errors_of("stream: {properties: [a]}"),
              "expected a map of texts, such as {security.protocol: ssl}; got a list");
  EXPECT_SAYS(errors_of("stream: {properties: {a: {b: c}}}"), "'a' must have a single value");
  EXPECT_SAYS(errors_of("stream: {features: number}"), "expected `auto` or a map of features");
  EXPECT_SAYS(errors_of("stream: {label: \"\"}"), "stream.label: expected a text");
  EXPECT_SAYS(errors_of("[1, 2]"), "expected sections such as `model:` and `stream:`; got a list");
}

TEST(ConfigErrors, BoundsAreNamedInTheOptionsOwnUnit) {
  EXPECT_SAYS(errors_of("checkpoint: {every: 1ms}"), "checkpoint.every: must be 100ms to 1d; got 1ms");
  EXPECT_SAYS(errors_of("stream: {record_bytes_max: 2GiB}"), "must be 1KiB to 1GiB; got 2GiB");
  EXPECT_SAYS(errors_of("learning: {learning_rate: 0}"), "must be above 0, at most 100; got 0");
  EXPECT_SAYS(errors_of("model: {hidden: [64, 0]}"), "model.hidden: must be 1 to 65536; got 0");
  EXPECT_SAYS(errors_of("learning: {batch_size: 99999999999999999999}"), "expected a whole number");
  EXPECT_SAYS(errors_of("model: {classes: 1}"), "model.classes: must be 2 to 100000; got 1");
}

TEST(ConfigErrors, AHintFindsTheOptionInAnotherSection) {
  EXPECT_SAYS(errors_of("batch_size: 32"), "batch_size: no such option; did you mean 'learning.batch_size'?");
  EXPECT_SAYS(errors_of("learning: {every_events: 9}"), "did you mean 'learning.round.every_events'?");
  EXPECT_SAYS(errors_of("learning: {rund: {every: 5s}}"), "did you mean 'learning.round'?");
  EXPECT_SAYS(errors_of("lerning: {}"), "lerning: no such option; did you mean 'learning'?");
  EXPECT_SAYS(errors_of("learning.batch_size: 32"), "learning.batch_size: write it nested, a key for each dot");
  const std::string far = errors_of("zzzzzzzzzzzz: 1");
  EXPECT_SAYS(far, "zzzzzzzzzzzz: no such option");
  EXPECT_EQ(far.find("did you mean"), std::string::npos);
}

TEST(ConfigErrors, BrokenYamlSaysWhere) {
  EXPECT_SAYS(errors_of("model: {name: a\nstream: 1"), "f.yaml:2:");
  EXPECT_SAYS(errors_of("model:\n\tname: a"), "f.yaml:2:6: not valid YAML");
  EXPECT_SAYS(errors_of("model: *nowhere"), "f.yaml:1:8: not valid YAML");
  EXPECT_SAYS(errors_of("model: {name: \"open"), "not valid YAML");
  EXPECT_SAYS(errors_of("a: 1\n---\nb: 2\n"), "more than one YAML document");
  EXPECT_SAYS(errors_of("? [a, b]\n: 1\n"), "a key must be a plain word");
  EXPECT_SAYS(errors_of("a: &a [*a]"), "not valid YAML");
}

TEST(ConfigErrors, HostileYamlIsBounded) {
  EXPECT_SAYS(errors_of(std::string(100'000, '[')), "not valid YAML");
  EXPECT_SAYS(errors_of(std::string(2 << 20, ' ')), "larger than");
  std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const auto before = "*a" + std::to_string(i - 1);
    laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) laughs += before + (j < 9 ? ", " : "]\n");
  }
  EXPECT_SAYS(errors_of(laughs), "more than 100000 nodes");
  using std::string_literals::operator""s;
  errors_of("model: {name: \"\\0\0\xff\xfe\"}"s);  // read or refused, but survived
  errors_of("\xff\xfe\0m"s);
}

TEST(ConfigErrors, OverridesNameTheirSource) {
  LoadOptions options;
  options.environment = {
      {"FRESHET_LEARNING__BATCH_SIZ", "1"}, {"FRESHET_LEARNING__MOMENTUM", "x"}, {"FRESHET_CHECKPOINT__EVERY", ""}};
  options.sets = {"nothing", "model=1",           "model.name.first=a", "model.hidden=[1,", "learning.bach_size=3",
                  "=4",      "lerning.momentum=1"};
  const std::string said = errors_of(options);
  EXPECT_SAYS(said,
              "environment FRESHET_LEARNING__BATCH_SIZ: learning.batch_siz: no such option; did you mean "
              "'learning.batch_size'?");
  EXPECT_SAYS(said, "environment FRESHET_LEARNING__MOMENTUM: learning.momentum: expected a number");
  EXPECT_SAYS(said, "environment FRESHET_CHECKPOINT__EVERY: checkpoint.every: expected a duration");
  EXPECT_SAYS(said, "--set nothing: expected NAME=VALUE");
  EXPECT_SAYS(said, "--set model: is a section; set one of its options");
  EXPECT_SAYS(said, "--set model.name.first: no such option; 'model.name' has no parts");
  EXPECT_SAYS(said, "--set model.hidden: not valid YAML");
  EXPECT_SAYS(said, "--set learning.bach_size: no such option; did you mean 'learning.batch_size'?");
  EXPECT_SAYS(said, "--set lerning.momentum: no such option; did you mean 'learning'?");
  EXPECT_SAYS(said, "10 errors");
}

TEST(ConfigErrors, ASetOverABrokenSectionStillReportsTheFile) {
  LoadOptions options;
  options.text = "model: 5\n";
  options.sets = {"model.name=a"};
  EXPECT_SAYS(errors_of(options), "f.yaml:1:8: model: is a section");
}

TEST(ConfigErrors, SecretsMustNotStandInTheOpenAndAreNotRepeated) {
  LoadOptions options;
  options.text = "stream: {properties: {sasl.password: hunter2, ssl.key.pem: KEY}}\n";
  options.sets = {"stream.properties.ssl.keystore.password=hunter3"};
  const std::string said = errors_of(options);
  EXPECT_SAYS(said,
              "f.yaml:1:38: stream.properties: 'sasl.password' is a secret; put it into a file named in "
              "stream.properties_files, or into the environment as FRESHET_STREAM__PROPERTIES__SASL_PASSWORD");
  EXPECT_SAYS(said, "--set stream.properties.ssl.keystore.password");
  EXPECT_EQ(said.find("hunter"), std::string::npos);
  EXPECT_EQ(said.find("KEY}"), std::string::npos);
}

TEST(ConfigErrors, SiftingMustMakeSense) {
  const auto said = [](const std::string& sifting, const std::string& more = "") {
    return errors_of("learning: {sifting: {" + sifting + "}}" + more);
  };
  EXPECT_EQ(said("kind: relative_probabilistic, beta: 1, replay_beta: 4, loss_age_rounds_max: 500, reweigh: true"), "");
  EXPECT_EQ(said("kind: rho"), "");
  EXPECT_SAYS(errors_of("learning: {strategy: mir, sifting: {kind: rho}}"), "strategy mir chooses what it trains on");
  EXPECT_SAYS(said("kind: smart"), "expected one of none, relative_probabilistic, rho");
  EXPECT_SAYS(said("beta: 1"), "learning.sifting.beta: belongs to a kind of sifting; `kind` is none");
  EXPECT_SAYS(said("reweigh: true"), "learning.sifting.reweigh: belongs to a kind of sifting");
  EXPECT_SAYS(said("kind: rho, beta: 0"), "learning.sifting.beta: must be above 0");
  EXPECT_SAYS(said("kind: rho, loss_history: 100k"), "learning.sifting.loss_history: must be 1 to 65536");
  EXPECT_SAYS(said("kind: rho", "\nserving: {weights: ema}"), "learning.sifting.kind: rho compares what is served");
}

TEST(ConfigErrors, SchedulesMustMakeSense) {
  const auto said = [](const std::string& schedule, const std::string& more = "") {
    return errors_of("learning: {" + more + "schedule: {" + schedule + "}}");
  };
  EXPECT_EQ(said("kind: noam, scale: 1, warmup_steps: 400, dim: 512, minimum_rate: 1e-5"), "");
  EXPECT_EQ(said("kind: inverse_sqrt, warmup_steps: 400, start_step: 10, step_duration: 2"), "");
  EXPECT_EQ(said("kind: cosine_restarts, first_period: 1k, t_mult: 2, minimum_rate: 1e-4"), "");
  EXPECT_EQ(said("kind: exponential, decay_rate: 0.5, decay_steps: 1M, staircase: true"), "");
  EXPECT_SAYS(said("kind: cosine"), "expected one of constant, noam, inverse_sqrt, cosine_restarts, exponential");
  EXPECT_SAYS(said("warmup_steps: 100"), "learning.schedule.warmup_steps: belongs to `kind: noam` and `inverse_sqrt`");
  EXPECT_SAYS(said("kind: noam, first_period: 9"),
              "learning.schedule.first_period: belongs to `kind: cosine_restarts`");
  EXPECT_SAYS(said("kind: noam, staircase: true"), "learning.schedule.staircase: belongs to `kind: exponential`");
  EXPECT_SAYS(said("kind: exponential, scale: 3"), "learning.schedule.scale: belongs to `kind: noam`");
  EXPECT_SAYS(said("start_step: 100"), "belongs to a schedule whose rate moves; `kind` is constant");
  EXPECT_SAYS(said("minimum_rate: 1e-3"), "belongs to a schedule whose rate moves");
  EXPECT_SAYS(said("kind: noam", "learning_rate: 0.1, "), "its size is learning.schedule.scale");
  EXPECT_SAYS(errors_of("model: {architecture: linear}\nlearning: {schedule: {kind: noam}}"),
              "learning.schedule.dim: noam needs a width, and this model has no hidden layer");
  EXPECT_EQ(errors_of("model: {architecture: linear}\nlearning: {schedule: {kind: noam, dim: 64}}"), "");
  EXPECT_SAYS(said("kind: cosine_restarts, minimum_rate: 0.02"),
              "minimum_rate: is 0.02, not below the highest rate of the schedule, 0.02: the rate would never move");
  EXPECT_SAYS(said("kind: noam, minimum_rate: 0.01"), "not below the highest rate of the schedule, 0.002795");
  EXPECT_SAYS(said("kind: exponential, decay_rate: 1"), "decay_rate: must be above 0, below 1; got 1");
  EXPECT_SAYS(said("kind: noam, warmup_steps: 0"), "warmup_steps: must be 1 to 1000000000; got 0");
  EXPECT_SAYS(said("kind: noam, step_duration: 0"), "step_duration: must be 1 to");
}

TEST(ConfigErrors, OptionsMustAgree) {
  EXPECT_SAYS(errors_of("model: {task: multiclass}"), "model.classes: a multiclass task needs the number of classes");
  EXPECT_SAYS(errors_of("model: {classes: 3}"), "f.yaml:1:18: model.classes: a binary task has 2 classes, 3 are given");
  EXPECT_SAYS(errors_of("model: {task: regression, classes: 3}"), "a regression has no classes");
  EXPECT_SAYS(errors_of("model: {task: multiclass, classes: [a, b, a]}"), "names a class twice");
  EXPECT_SAYS(errors_of("model: {embedding_rows: 1000}"), "must be a power of two, such as 512 or 1024; got 1000");
  EXPECT_SAYS(errors_of("model: {architecture: mlp, hidden: []}"), "an mlp needs one hidden layer or more");
  EXPECT_SAYS(errors_of("model: {cross_layers: 3}"), "model.cross_layers: belongs to `architecture: dcn`");
  EXPECT_SAYS(errors_of("model: {cross: parallel, architecture: mlp}"), "model.cross: belongs to `architecture: dcn`");
  EXPECT_SAYS(errors_of("model: {architecture: dcn, cross_layers: 0}"), "model.cross_layers: must be 1 to 16");
  EXPECT_EQ(errors_of("model: {architecture: dcn, cross_layers: 3, cross_rank: 8, cross: parallel, hidden: []}"), "");
  EXPECT_SAYS(errors_of("model: {initial: glorot, architecture: torchscript, path: m.pt}"),
              "model.initial: belongs to the built-in models");
  EXPECT_SAYS(errors_of("model: {recompute: layers}"), "model.recompute: saves nothing of 2 hidden layers");
  EXPECT_EQ(errors_of("model: {recompute: layers, hidden: [8, 8, 8, 8]}"), "");
  EXPECT_SAYS(errors_of("learning: {autocast: fp16}"), "expected one of auto, off, bf16");
  EXPECT_SAYS(errors_of("learning: {batch_size: 1}"), "a batch of 1 at replay_ratio 0.5 leaves");
  EXPECT_SAYS(errors_of("memory: {capacity_events: 0}"), "memory.capacity_events: is 0, but strategy er");
  EXPECT_EQ(errors_of("memory: {capacity_events: 0}\nlearning: {strategy: finetune}"), "");
  EXPECT_EQ(errors_of("memory: {capacity_events: 0, policy: unbounded, capacity_bytes: 1GiB}"), "");
  EXPECT_SAYS(errors_of("memory: {policy: unbounded}"),
              "memory.policy: unbounded keeps everything up to a number of bytes; give memory.capacity_bytes");
  EXPECT_SAYS(errors_of("memory: {policy: newest}"), "expected one of reservoir, sliding_window, class_balanced");
  EXPECT_SAYS(errors_of("model: {task: regression}\nmemory: {policy: class_balanced}"),
              "memory.policy: class_balanced is for classes");
  EXPECT_SAYS(errors_of("model: {task: regression}\nmemory: {sampling: class_balanced}"),
              "memory.sampling: class_balanced is for classes");
  EXPECT_SAYS(errors_of("model: {task: multiclass, classes: 70k}\nmemory: {sampling: class_balanced}"),
              "memory.sampling: class_balanced takes up to 65536 classes");
  EXPECT_SAYS(errors_of("memory: {priority_alpha: 0.9}"), "memory.priority_alpha: belongs to `sampling: priority`");
  EXPECT_EQ(errors_of("memory: {priority_alpha: 0.9, sampling: priority}"), "");
  EXPECT_SAYS(errors_of("memory: {recency_half_life_events: 9k}"), "belongs to `sampling: recency`");
  EXPECT_EQ(errors_of("memory: {recency_half_life_events: 9k, sampling: recency}"), "");
  EXPECT_SAYS(errors_of("memory: {sampling: priority}\nlearning: {strategy: finetune}"),
              "memory.sampling: nothing is replayed");
  EXPECT_SAYS(errors_of("memory: {capacity_bytes: 10}"), "memory.capacity_bytes: must be");
  EXPECT_SAYS(errors_of("learning: {momentum: 0.9}"), "learning.momentum: belongs to `optimizer: sgd`");
  EXPECT_SAYS(errors_of("learning: {optimizer: sgd, nesterov: true}"), "needs a momentum above 0");
  EXPECT_SAYS(errors_of("learning: {loss: mse}"), "is for regressions");
  EXPECT_SAYS(errors_of("model: {task: regression}\nlearning: {loss: cross_entropy}"), "cross_entropy is for classes");
  EXPECT_SAYS(errors_of("learning: {beta1: 0.8}"), "learning.beta1: belongs to `optimizer: adam` and `adamw`");
  EXPECT_EQ(errors_of("learning: {optimizer: adam, beta1: 0.8, epsilon: 1e-6}"), "");
  EXPECT_SAYS(errors_of("learning: {optimizer: sgd, initial_accumulator: 1}"), "belongs to `optimizer: adagrad`");
  EXPECT_SAYS(errors_of("learning: {optimizer: sgd, epsilon: 1e-6}"), "belongs to `optimizer: adam`, `adamw` and");
  EXPECT_SAYS(errors_of("model: {task: regression}\nlearning: {loss: mae, quantile: 0.9}"),
              "learning.quantile: belongs to `loss: quantile`");
  EXPECT_SAYS(errors_of("model: {task: regression}\nlearning: {loss: quantile, quantile: 1}"),
              "learning.quantile: must be above 0, below 1; got 1");
  EXPECT_EQ(errors_of("model: {task: regression}\nlearning: {loss: quantile, quantile: 0.9}"), "");
  EXPECT_SAYS(errors_of("learning: {loss: poisson}"), "is for regressions");
  EXPECT_SAYS(errors_of("learning: {class_weights: [1, 2, 3]}"), "gives 3 weights; the model has 2 classes");
  EXPECT_SAYS(errors_of("learning: {class_weights: [0, 0]}"), "are all 0");
  EXPECT_SAYS(errors_of("learning: {class_weights: [1, -1]}"), "learning.class_weights: must be 0 to 1000000");
  EXPECT_SAYS(errors_of("learning: {class_weights: [1, x]}"), "expected a list of numbers, such as [1, 10]; got 'x'");
  EXPECT_SAYS(errors_of("model: {task: regression}\nlearning: {class_weights: [1, 2]}"), "a regression has none");
  EXPECT_EQ(errors_of("learning: {class_weights: [1, 2.5]}"), "");
  EXPECT_SAYS(errors_of("learning: {device: gpu}"), "expected auto, cpu, cuda or cuda:N; got 'gpu'");
  EXPECT_SAYS(errors_of("evaluation: {slices: {by: field}}"), "`slices.by: field` needs the name of the field");
  EXPECT_SAYS(errors_of("evaluation: {slices: {by: month}}"), "give evaluation.held_out.share");
  EXPECT_SAYS(errors_of("evaluation: {slices: {by: time}}"), "`slices.by: time` needs the length of the windows");
  EXPECT_SAYS(errors_of("evaluation: {slices: {by: month, window: 30d}}"), "is given, but slices.by is not `time`");
  EXPECT_SAYS(errors_of("stream: {brokers: [embedded, a:1]}"), "`embedded` stands alone");
  EXPECT_SAYS(errors_of("stream: {brokers: a}"), "expected host:port");
  EXPECT_SAYS(errors_of("stream: {topic: a b}"), "is no topic name");
  EXPECT_SAYS(errors_of("stream: {topic: a, dead_letter_topic: a}"), "is the topic that is read");
  EXPECT_SAYS(errors_of("serving: {listen: 8080}"), "serving.listen: expected host:port");
}

TEST(ConfigErrors, AStrategySaysWhatItNeedsOfTheOtherOptions) {
  const auto with = [](const std::string& strategy, const std::string& rest = "") {
    return errors_of("learning: {strategy: " + strategy + "}\n" + rest);
  };
  for (const std::string strategy : {"lwf", "ewc", "cls_er", "mir", "super_er", "joint", "offline_er"}) {
    EXPECT_EQ(with(strategy), "") << strategy;
  }
  EXPECT_SAYS(with("gdumb"), "memory.policy: gdumb trains on a memory balanced by class; say `policy: class_balanced`");
  EXPECT_EQ(with("gdumb", "memory: {policy: class_balanced}"), "");
  EXPECT_SAYS(with("gdumb", "model: {task: regression}"),
              "learning.strategy: gdumb keeps as many events of each class");
  for (const std::string strategy : {"joint", "offline_er", "repeated_distillation"}) {
    EXPECT_SAYS(with(strategy, "memory: {capacity_events: 0}"),
                "is 0, but strategy " + strategy + " trains on the whole memory");
  }
  EXPECT_EQ(with("lwf", "memory: {capacity_events: 0}"), "");
  EXPECT_SAYS(with("mir", "memory: {capacity_events: 0}"), "is 0, but strategy mir with replay_ratio 0.5 replays");
  EXPECT_SAYS(errors_of("learning: {strategy: mir, replay_ratio: 0}"),
              "learning.replay_ratio: is 0, but strategy mir is about replayed events");
  EXPECT_SAYS(with("joint", "memory: {sampling: recency}"), "memory.sampling: nothing is replayed in samples");
  EXPECT_SAYS(with("repeated_distillation", "serving: {weights: ema}"),
              "serving.weights: ema would average the experts");
  EXPECT_EQ(with("repeated_distillation", "serving: {weights: average}"), "");
  EXPECT_SAYS(errors_of("learning: {strategy: er, ewc: {lambda: 2}}"),
              "learning.ewc.lambda: belongs to `strategy: ewc`");
  EXPECT_SAYS(errors_of("learning: {strategy: der, der_pp: {two_draws: true}}"),
              "learning.der_pp.two_draws: belongs to `strategy: der_pp`");
  EXPECT_SAYS(errors_of("learning: {strategy: mir, mir: {candidates: 0}}"),
              "learning.mir.candidates: must be 1 to 1000; got 0");
}

TEST(ConfigErrors, FeaturesMustAgreeAndEachErrorStandsAtItsFeature) {
  const std::string said = errors_of(
      "stream:\n"
      "  label: late\n"
      "  features:\n"
      "    late: number\n"
      "    x: {kind: vector}\n"
      "    c: {kind: cross, of: [x, gone]}\n"
      "    m: {kind: target_mean, by: [x]}\n"
      "    h: time_part\n");
  EXPECT_SAYS(said, "f.yaml:8:8: feature 'h' is a time_part without `part`");
  const std::string deeper = errors_of(
      "stream:\n"
      "  label: late\n"
      "  features:\n"
      "    late: number\n"
      "    x: {kind: vector}\n"
      "    c: {kind: cross, of: [x, gone]}\n"
      "    m: {kind: target_mean, by: [x]}\n");
  EXPECT_SAYS(deeper, "f.yaml:4:11: feature 'late' is the label");
  EXPECT_SAYS(deeper, "f.yaml:5:8: feature 'x': a vector needs a size");
  EXPECT_SAYS(deeper, "f.yaml:6:8: feature 'c' refers to 'gone'");
  EXPECT_SAYS(deeper, "f.yaml:7:8: feature 'm': give either half_life_events or half_life");
  EXPECT_SAYS(errors_of("stream: {features: {}}"), "no features");
  EXPECT_SAYS(errors_of("stream: {features: {a: }}"), "feature 'a' expected a kind");
  EXPECT_SAYS(errors_of("stream: {features: {a: {size: 3}}}"), "has no `kind`");
  EXPECT_SAYS(errors_of("stream: {features: {a: {kind: vector, sise: 3}}}"),
              "unknown key 'sise'; did you mean 'size'?");
  EXPECT_SAYS(errors_of("stream: {features: {a: {kind: vector, size: -3}}}"),
              "size: expected a whole number, such as 784; got '-3'");
  EXPECT_SAYS(errors_of("stream: {features: {a: {kind: time_part, part: noon}}}"), "expected one of hour_of_day");
}

TEST(ConfigErrors, AnErrorDoesNotDragInWhatFollowsFromIt) {
  const std::string said = errors_of("model: {task: multclass, classes: 7}\n");
  EXPECT_SAYS(said, "1 error in the configuration:");
}

TEST(ConfigErrors, AModelOfOnesOwnNeedsItsFileAndAConvnetItsImage) {
  EXPECT_SAYS(errors_of("model: {architecture: torchscript}"),
              "model.path: `architecture: torchscript` needs the file");
  EXPECT_SAYS(errors_of("model: {path: model.pt}"), "model.path: belongs to `architecture: torchscript`");
  EXPECT_SAYS(errors_of("model: {architecture: torchscript, path: m.pt, hidden: [5]}"), "model.hidden: belongs to");
  EXPECT_SAYS(errors_of("model: {architecture: convnet}"), "model.image: a convnet needs the size of its image");
  EXPECT_SAYS(errors_of("model: {architecture: convnet, kernel: 4, image: {height: 8, width: 8}}"), "must be odd");
  EXPECT_SAYS(errors_of("model: {filters: [4]}"), "model.filters: belongs to `architecture: convnet`");
  EXPECT_EQ(errors_of("model: {architecture: convnet, image: {height: 8, width: 8}}"), "");
}

}  // namespace
}  // namespace freshet
