#include "daemon/config/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>
#include <string_view>
#include <utility>
#include <variant>

#include "daemon/config/config_faults.h"
#include "daemon/config/option_table.h"
#include "daemon/config/strategy_checks.h"
#include "daemon/config/tuning_checks.h"
#include "learners/optim/schedule.h"

namespace freshet {
namespace {

void check_model(const ModelConfig& model, Faults& faults) {
  const auto& names = model.classes.names;
  const std::size_t given = names.empty() ? model.classes.count : names.size();
  if (std::set<std::string>(names.begin(), names.end()).size() != names.size()) {
    faults.add("model.classes", "names a class twice");
  }
  switch (model.task) {
    case Task::kBinary:
      if (given != 0 && given != 2) {
        faults.add("model.classes", "a binary task has 2 classes, {} are given; for more say `task: multiclass`",
                   given);
      }
      break;
    case Task::kMulticlass:
      if (given < 2) {
        faults.add("model.classes",
                   "a multiclass task needs the number of classes or their names, "
                   "such as 10 or [cat, dog, bird]");
      }
      break;
    case Task::kRegression:
      if (given != 0) faults.add("model.classes", "a regression has no classes; leave the option out");
      break;
  }
  if (!std::has_single_bit(model.embedding_rows)) {
    faults.add("model.embedding_rows", "must be a power of two, such as {} or {}; got {}",
               std::bit_floor(model.embedding_rows), std::bit_ceil(model.embedding_rows), model.embedding_rows);
  }
  if (model.architecture == setting::Architecture::kMlp && model.hidden.empty()) {
    faults.add("model.hidden", "an mlp needs one hidden layer or more; without any it is `architecture: linear`");
  }
}

void check_module(const Config& config, Faults& faults) {
  const auto& model = config.model;
  const bool script = model.architecture == setting::Architecture::kTorchscript;
  const bool convnet = model.architecture == setting::Architecture::kConvnet;
  if (script && model.path.empty()) {
    faults.add("model.path", "`architecture: torchscript` needs the file of the module, such as model.pt");
  }
  check_belongs(config, script, "model.path", "`architecture: torchscript`", faults);
  for (const auto* option : {"model.image.channels", "model.image.height", "model.image.width", "model.image.field",
                             "model.filters", "model.kernel"}) {
    check_belongs(config, convnet, option, "`architecture: convnet`", faults);
  }
  check_belongs(config, !script, "model.hidden", "the built-in models; a TorchScript module has its own layers",
                faults);
  check_belongs(config, !script, "model.initial", "the built-in models; a TorchScript module brings its weights",
                faults);
  check_belongs(config, !script && !convnet, "model.recompute", "the models of numbers and categories", faults);
  if (!convnet) return;
  if (model.image.height == 0 || model.image.width == 0) {
    faults.add("model.image", "a convnet needs the size of its image: {{channels: 1, height: 28, width: 28}}");
  }
  if (model.filters.empty()) faults.add("model.filters", "a convnet needs one convolution or more");
  if (model.kernel % 2 == 0) faults.add("model.kernel", "must be odd, such as 3 or 5; got {}", model.kernel);
}

void check_brokers(const StreamConfig& stream, Faults& faults) {
  if (stream.brokers.empty()) faults.add("stream.brokers", "names no broker; give host:port or embedded");
  for (const auto& broker : stream.brokers) {
    if (broker == "embedded") {
      if (!stream.embedded()) faults.add("stream.brokers", "`embedded` stands alone, without other brokers");
    } else if (const auto address = parse_host_port(broker); !address) {
      faults.add("stream.brokers", "{}", address.status().message());
    }
  }
}

void check_topic_name(std::string_view option, const std::string& name, Faults& faults) {
  constexpr std::size_t kLengthMax = 249;  // Kafka's own
  const auto legal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
  if (name.size() > kLengthMax || name == "." || name == ".." || name.find_first_not_of(legal) != std::string::npos) {
    faults.add(option, "'{}' is no topic name; Kafka takes up to {} letters, digits, dots, dashes and underscores",
               name, kLengthMax);
  }
}

void check_stream(const Config& config, Faults& faults) {
  const auto& stream = config.stream;
  check_brokers(stream, faults);
  check_topic_name("stream.topic", stream.topic, faults);
  check_topic_name("stream.dead_letter_topic", stream.dead_letter_topic, faults);
  if (!stream.topic.empty() && stream.dead_letter_topic == stream.topic) {
    faults.add("stream.dead_letter_topic", "is the topic that is read: each bad record would come back for ever");
  }
  for (const auto& [property, file] : stream.properties_files) {
    if (stream.properties.count(property) > 0) {
      faults.add("stream.properties_files", "'{}' stands in stream.properties too; keep one of the two", property);
    }
    if (file.empty()) faults.add("stream.properties_files", "'{}' names no file", property);
  }
  if (stream.label == stream.time && !stream.time.empty()) {
    faults.add("stream.time", "'{}' is the label; the event time must be a field of its own", stream.time);
  }
  if (stream.features.infer) return;
  const Status features = validate_features(to_event_spec(config));
  std::string_view lines = features.message();
  while (!lines.empty()) {  // one line an error; the feature it speaks of stands in the first quotes
    const auto end = lines.find('\n');
    const std::string line(lines.substr(0, end));
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
    const auto open = line.find('\'');
    const auto close = open == std::string::npos ? open : line.find('\'', open + 1);
    faults.add(
        close == std::string::npos ? "stream.features" : "stream.features." + line.substr(open + 1, close - open - 1),
        "{}", line);
  }
}

void check_layers(const Config& config, Faults& faults) {
  const ModelConfig& model = config.model;
  const bool dcn = model.architecture == setting::Architecture::kDcn;
  check_belongs(config, dcn, "model.cross_layers", "`architecture: dcn`", faults);
  check_belongs(config, dcn, "model.cross_rank", "`architecture: dcn`", faults);
  check_belongs(config, dcn, "model.cross", "`architecture: dcn`", faults);
  const std::size_t hidden = model.architecture == setting::Architecture::kLinear ? 0 : model.hidden.size();
  if (model.recompute == setting::Recompute::kLayers && hidden < 4) {
    faults.add("model.recompute", "saves nothing of {} hidden layers; it takes 4 or more", hidden);
  }
}

void check_optimizer(const Config& config, Faults& faults) {
  const auto& learning = config.learning;
  const bool sgd = learning.optimizer == setting::Optimizer::kSgd;
  const bool adagrad = learning.optimizer == setting::Optimizer::kAdagrad;
  const bool adam = !sgd && !adagrad;
  check_belongs(config, sgd, "learning.momentum", "`optimizer: sgd`", faults);
  check_belongs(config, sgd, "learning.nesterov", "`optimizer: sgd`", faults);
  check_belongs(config, adam, "learning.beta1", "`optimizer: adam` and `adamw`", faults);
  check_belongs(config, adam, "learning.beta2", "`optimizer: adam` and `adamw`", faults);
  check_belongs(config, !sgd, "learning.epsilon", "`optimizer: adam`, `adamw` and `adagrad`", faults);
  check_belongs(config, adagrad, "learning.initial_accumulator", "`optimizer: adagrad`", faults);
  if (sgd && learning.nesterov && learning.momentum <= 0) {
    faults.add("learning.nesterov", "needs a momentum above 0, such as 0.9");
  }
}

void check_schedule(const Config& config, Faults& faults) {
  const auto& schedule = config.learning.schedule;
  const auto belongs = [&](bool here, std::string_view option, std::string_view kinds) {
    check_belongs(config, here, fmt::format("learning.schedule.{}", option), kinds, faults);
  };
  const bool noam = schedule.kind == setting::Schedule::kNoam;
  const bool cosine = schedule.kind == setting::Schedule::kCosineRestarts;
  const bool exponential = schedule.kind == setting::Schedule::kExponential;
  const bool moves = schedule.kind != setting::Schedule::kConstant;
  const bool warms_up = noam || schedule.kind == setting::Schedule::kInverseSqrt;
  belongs(noam, "scale", "`kind: noam`");
  belongs(noam, "dim", "`kind: noam`");
  belongs(warms_up, "warmup_steps", "`kind: noam` and `inverse_sqrt`");
  belongs(cosine, "first_period", "`kind: cosine_restarts`");
  belongs(cosine, "t_mult", "`kind: cosine_restarts`");
  belongs(exponential, "decay_rate", "`kind: exponential`");
  belongs(exponential, "decay_steps", "`kind: exponential`");
  belongs(exponential, "staircase", "`kind: exponential`");
  belongs(moves, "start_step", "a schedule whose rate moves; `kind` is constant");
  belongs(moves, "step_duration", "a schedule whose rate moves; `kind` is constant");
  belongs(moves, "minimum_rate", "a schedule whose rate moves; `kind` is constant");
  if (noam && config.learning.learning_rate != LearningConfig{}.learning_rate) {
    faults.add("learning.learning_rate", "says nothing to `schedule.kind: noam`; its size is learning.schedule.scale");
  }
  const auto& hidden = config.model.hidden;
  const bool has_width = config.model.architecture != setting::Architecture::kLinear &&
                         config.model.architecture != setting::Architecture::kTorchscript && !hidden.empty();
  if (noam && schedule.dim == 0 && !has_width) {
    faults.add("learning.schedule.dim",
               "noam needs a width, and this model has no hidden layer; give one, such as 512");
    return;
  }
  ScheduleOptions options;
  options.kind = noam ? ScheduleKind::kNoam : ScheduleKind::kConstant;
  options.learning_rate = static_cast<float>(config.learning.learning_rate);
  options.scale = schedule.scale;
  options.dim = schedule.dim > 0 || !has_width ? schedule.dim : hidden.front();
  options.warmup_steps = schedule.warmup_steps;
  const double peak = peak_rate(options);
  if (moves && schedule.minimum_rate >= peak) {
    faults.add("learning.schedule.minimum_rate",
               "is {}, not below the highest rate of the schedule, {:.4g}: the rate would never move",
               schedule.minimum_rate, peak);
  }
}

void check_loss(const Config& config, Faults& faults) {
  const auto& learning = config.learning;
  const bool regression = config.model.task == Task::kRegression;
  if (regression && learning.loss == setting::Loss::kCrossEntropy) {
    faults.add("learning.loss",
               "cross_entropy is for classes; a regression takes mse, mae, huber, quantile or poisson");
  }
  if (!regression && learning.loss != setting::Loss::kAuto && learning.loss != setting::Loss::kCrossEntropy) {
    faults.add("learning.loss", "is for regressions; a task with classes takes cross_entropy");
  }
  check_belongs(config, learning.loss == setting::Loss::kHuber, "learning.huber_delta", "`loss: huber`", faults);
  check_belongs(config, learning.loss == setting::Loss::kQuantile, "learning.quantile", "`loss: quantile`", faults);
  if (regression && learning.label_smoothing > 0) {
    faults.add("learning.label_smoothing", "is for classes; a regression has none");
  }
  const auto& weights = learning.class_weights;
  if (regression && !weights.empty()) {
    faults.add("learning.class_weights", "is for classes; a regression has none");
  } else if (!weights.empty() && weights.size() != class_count(config)) {
    faults.add("learning.class_weights", "gives {} weights; the model has {} classes", weights.size(),
               class_count(config));
  } else if (!weights.empty() && *std::max_element(weights.begin(), weights.end()) <= 0) {
    faults.add("learning.class_weights", "are all 0: nothing would be learnt");
  }
}

void check_sifting(const Config& config, Faults& faults) {
  const auto kind = config.learning.sifting.kind;
  const bool sifts = kind != setting::Sifting::kNone;
  for (const std::string_view option :
       {"beta", "replay_beta", "loss_history", "delay_steps", "loss_age_rounds_max", "reweigh", "only_where_it_pays"}) {
    check_belongs(config, sifts, fmt::format("learning.sifting.{}", option), "a kind of sifting; `kind` is none",
                  faults);
  }
  const auto strategy = config.learning.strategy;
  using setting::Strategy;
  for (const auto chooses :
       {Strategy::kMir, Strategy::kGdumb, Strategy::kJoint, Strategy::kOfflineEr, Strategy::kRepeatedDistillation}) {
    if (sifts && strategy == chooses) {
      faults.add("learning.sifting.kind", "strategy {} chooses what it trains on itself",
                 option_text(config, "learning.strategy"));
    }
  }
  if (kind == setting::Sifting::kRho && config.serving.weights == setting::Weights::kEma) {
    faults.add(
        "learning.sifting.kind",
        "rho compares what is served with a moving average, which is what `serving.weights: ema` serves; say raw");
  }
}

void check_learning(const Config& config, Faults& faults) {
  const auto& learning = config.learning;
  check_strategy(config, faults);
  check_optimizer(config, faults);
  check_schedule(config, faults);
  check_loss(config, faults);
  check_sifting(config, faults);
  const auto& device = learning.device;
  const bool numbered = device.rfind("cuda:", 0) == 0 && device.size() > 5 && device.size() <= 8 &&
                        device.find_first_not_of("0123456789", 5) == std::string::npos;
  if (device != "auto" && device != "cpu" && device != "cuda" && !numbered) {
    faults.add("learning.device", "expected auto, cpu, cuda or cuda:N; got '{}'", device);
  }
}

void check_memory(const Config& config, Faults& faults) {
  const MemoryConfig& memory = config.memory;
  constexpr std::uint32_t kClassesMax = 65536;
  const auto check_classes = [&](std::string_view option) {
    if (config.model.task == Task::kRegression) {
      faults.add(option, "class_balanced is for classes; a regression has none");
    } else if (class_count(config) > kClassesMax) {
      faults.add(option, "class_balanced takes up to {} classes; model.classes has {}", kClassesMax,
                 class_count(config));
    }
  };
  if (memory.policy == setting::Policy::kClassBalanced) check_classes("memory.policy");
  if (memory.sampling == setting::Sampling::kClassBalanced) check_classes("memory.sampling");
  if (memory.policy == setting::Policy::kUnbounded && memory.capacity_bytes == 0) {
    faults.add("memory.policy",
               "unbounded keeps everything up to a number of bytes; give memory.capacity_bytes, such "
               "as 100GiB");
  }
  const MemoryConfig defaults;
  if (memory.sampling != setting::Sampling::kPriority && memory.priority_alpha != defaults.priority_alpha) {
    faults.add("memory.priority_alpha", "belongs to `sampling: priority`");
  }
  if (memory.sampling != setting::Sampling::kRecency &&
      memory.recency_half_life_events != defaults.recency_half_life_events) {
    faults.add("memory.recency_half_life_events", "belongs to `sampling: recency`");
  }
  if (memory.sampling != setting::Sampling::kUniform && !replays_events(config.learning)) {
    faults.add("memory.sampling",
               "nothing is replayed in samples: learning.strategy takes nothing of the memory, or all of it, or "
               "learning.replay_ratio is 0");
  }
}

void check_evaluation(const Config& config, Faults& faults) {
  const auto& evaluation = config.evaluation;
  const bool by_field = evaluation.slices_by == setting::SliceBy::kField;
  if (by_field && evaluation.slices_field.empty()) {
    faults.add("evaluation.slices.field", "`slices.by: field` needs the name of the field");
  }
  if (!by_field && !evaluation.slices_field.empty()) {
    faults.add("evaluation.slices.field", "is given, but slices.by is not `field`");
  }
  if (!by_field && !evaluation.slices_values.empty()) {
    faults.add("evaluation.slices.values", "is given, but slices.by is not `field`");
  }
  if (by_field && evaluation.slices_values.empty()) {
    faults.add("evaluation.slices.values", "`slices.by: field` needs the values that make a slice each");
  }
  const bool by_time = evaluation.slices_by == setting::SliceBy::kTime;
  if (by_time && evaluation.slices_window_ms <= 0) {
    faults.add("evaluation.slices.window", "`slices.by: time` needs the length of the windows, such as 30d");
  }
  if (!by_time && evaluation.slices_window_ms > 0) {
    faults.add("evaluation.slices.window", "is given, but slices.by is not `time`");
  }
  if (evaluation.slices_by == setting::SliceBy::kClass && config.model.task == Task::kRegression) {
    faults.add("evaluation.slices.by", "a regression has no classes to slice by");
  }
  if (evaluation.slices_by != setting::SliceBy::kNone && evaluation.held_out_share <= 0) {
    faults.add("evaluation.slices.by",
               "slices are measured on held-out events; give evaluation.held_out.share, such as 0.02");
  }
}

}  // namespace

std::uint32_t class_count(const Config& config) {
  switch (config.model.task) {
    case Task::kBinary:
      return 2;
    case Task::kRegression:
      return 0;
    case Task::kMulticlass:
      break;
  }
  const auto& classes = config.model.classes;
  return classes.names.empty() ? classes.count : static_cast<std::uint32_t>(classes.names.size());
}

EventSpec to_event_spec(const Config& config) {
  EventSpec spec;
  if (!config.stream.features.infer) spec.features = config.stream.features.specs;
  spec.label.field = config.stream.label;
  spec.label.classes = class_count(config);
  spec.label.class_names = config.model.classes.names;
  spec.time_field = config.stream.time;
  spec.key_field = config.stream.key;
  return spec;
}

Result<HostPort> parse_host_port(const std::string& text) {
  const auto bad = [&](std::string_view why) {
    return invalid_argument(fmt::format("expected host:port, such as localhost:9092; got '{}' ({})", text, why));
  };
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return bad("no port");
  HostPort result;
  result.host = text.substr(0, colon);
  if (result.host.size() > 2 && result.host.front() == '[' && result.host.back() == ']') {
    result.host = result.host.substr(1, result.host.size() - 2);
  } else if (result.host.find(':') != std::string::npos) {
    return bad("write an IPv6 address in brackets");
  }
  if (result.host.empty()) return bad("no host");
  if (result.host.find_first_of(" \t/@,[]") != std::string::npos) return bad("a character that no host name has");
  const char* begin = text.data() + colon + 1;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(begin, end, result.port);
  if (begin == end || parsed.ec != std::errc() || parsed.ptr != end) return bad("the port is a number from 0 to 65535");
  return result;
}

namespace {

void check_serving(const ServingConfig& serving, Faults& faults) {
  if (const auto listen = parse_host_port(serving.listen); !listen) {
    faults.add("serving.listen", "{}", listen.status().message());
  }
  if (!serving.admin.listen.empty()) {
    const auto listen = parse_host_port(serving.admin.listen);
    if (!listen) {
      faults.add("serving.admin.listen", "{}", listen.status().message());
    } else if (serving.admin.listen == serving.listen && listen->port != 0) {
      faults.add("serving.admin.listen", "is serving.listen; leave it out, or give another port");
    }
  }
  const TlsConfig& tls = serving.tls;
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    faults.add(tls.key_file.empty() ? "serving.tls.certificate_file" : "serving.tls.key_file",
               "certificate_file and key_file go together; {} is not given",
               tls.key_file.empty() ? "key_file" : "certificate_file");
  }
  if (tls.certificate_file.empty() && !tls.client_ca_file.empty()) {
    faults.add("serving.tls.client_ca_file", "needs serving.tls.certificate_file: there is no TLS without it");
  }
}

// Files that are opened at the start: the option that names one, and its path.
std::vector<std::pair<std::string, std::string>> files_to_read(const Config& config) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& [property, path] : config.stream.properties_files) {
    files.emplace_back(fmt::format("stream.properties_files, {}", property), path);
  }
  for (const char* option :
       {"serving.tokens.inference_file", "serving.tokens.feedback_file", "serving.tokens.admin_file",
        "serving.tls.certificate_file", "serving.tls.key_file", "serving.tls.client_ca_file"}) {
    const auto path = std::get<std::string>(find_option(option)->get(config));
    if (!path.empty()) files.emplace_back(option, path);
  }
  return files;
}

}  // namespace

std::vector<ConfigFault> check_together(const Config& config) {
  Faults faults;
  check_model(config.model, faults);
  check_module(config, faults);
  check_layers(config, faults);
  check_stream(config, faults);
  check_learning(config, faults);
  check_memory(config, faults);
  check_evaluation(config, faults);
  check_tuning(config, faults);
  check_serving(config.serving, faults);
  return faults.take();
}

Status check_runnable(const Config& config) {
  if (config.stream.topic.empty()) return invalid_argument("stream.topic is not set: name the topic to learn from");
  for (const auto& [option, path] : files_to_read(config)) {
    std::ifstream file(path);
    if (!file.good()) {
      return invalid_argument(fmt::format("{}: cannot read {}: {}", option, path, std::strerror(errno)));
    }
  }
  return Status::ok();
}

}  // namespace freshet
