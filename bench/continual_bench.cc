// Continual learning on MNIST: strategies and memories through the protocols of bench/continual/protocol.h, several
// seeds each, which give all runs the same streams and initial weights. One thread.
//
//   continual_bench [--protocol split|permuted|rotated|all] [--only LABEL[,LABEL...]] [--buffer EVENTS] [--seeds 5]
//                   [--first-seed 1] [--data FOLDER] [--scratch FOLDER] [--json OUT] [--quick]
//                   [--run STRATEGY] [--set KEY=VALUE]...
//
// --run replaces the table by one run of the strategy, from what the protocol gives and --set changes. --quick: a few
// events of each task and one seed, to see that everything works. bench/continual/prepare.sh fetches the data.
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "bench/continual/mnist.h"
#include "bench/continual/run.h"
#include "bench/continual/specs.h"
#include "core/json_writer.h"
#include "learners/device.h"

namespace freshet::bench {
namespace {

constexpr std::size_t kQuickEvents = 200;

struct Arguments {
  std::string protocol = "split";
  std::vector<std::string> only;
  std::uint64_t buffer = 0;  // 0: all
  std::uint64_t seeds = 5;
  std::uint64_t first_seed = 1;
  std::string data;
  std::string scratch;
  std::string json;
  bool quick = false;
  std::string run;
  std::vector<std::string> settings;
};

struct Outcome {
  RunSpec spec;
  std::vector<SeedResult> seeds;
};

struct Spread {
  double mean = 0;
  double deviation = 0;  // of a sample; 0 for a single seed
};

template <typename Measure>
Spread spread(const std::vector<SeedResult>& seeds, const Measure& measure) {
  Spread spread;
  const auto count = static_cast<double>(seeds.size());
  for (const auto& seed : seeds) spread.mean += measure(seed) / count;
  if (seeds.size() < 2) return spread;
  for (const auto& seed : seeds) spread.deviation += std::pow(measure(seed) - spread.mean, 2) / (count - 1);
  spread.deviation = std::sqrt(spread.deviation);
  return spread;
}

double events_per_second(const SeedResult& seed) { return static_cast<double>(seed.events) / seed.seconds; }
double events_per_cpu_second(const SeedResult& seed) { return static_cast<double>(seed.events) / seed.cpu_seconds; }

// Of the seeds' rates, by the processor's time: on a machine with other work the clock's say little.
double median_rate(const std::vector<SeedResult>& seeds) {
  std::vector<double> rates;
  for (const auto& seed : seeds) rates.push_back(events_per_cpu_second(seed));
  std::ranges::sort(rates);
  return rates[rates.size() / 2];
}

std::string share(double value) { return std::isnan(value) ? "-" : fmt::format("{:.3f}", value); }

void print_header(const std::string& protocol) {
  fmt::print("\n{} MNIST\n{:<28} {:>7}  {:<15} {:<15} {:>11} {:>12}  {:>6} {:>6}\n", protocol, "strategy", "memory",
             "accuracy", "forgetting", "events/CPUs", "memory bytes", "Python", "paper");
}

void print_row(const Outcome& outcome) {
  const auto accuracy = spread(outcome.seeds, [](const SeedResult& seed) { return seed.accuracy; });
  const auto forgetting = spread(outcome.seeds, [](const SeedResult& seed) { return seed.forgetting; });
  fmt::print("{:<28} {:>7}  {:.4f} ({:.4f}) {:.4f} ({:.4f}) {:>11.0f} {:>12}  {:>6} {:>6}\n", outcome.spec.label,
             outcome.spec.buffer, accuracy.mean, accuracy.deviation, forgetting.mean, forgetting.deviation,
             median_rate(outcome.seeds), outcome.seeds.back().memory_bytes, share(outcome.spec.python),
             share(outcome.spec.paper));
  std::fflush(stdout);
}

void write_seed(JsonWriter& json, const SeedResult& seed) {
  json.begin_object();
  json.field("seed", seed.seed);
  json.field("accuracy", seed.accuracy);
  json.field("forgetting", seed.forgetting);
  json.field("events", seed.events);
  json.field("seconds", seed.seconds);
  json.field("events_per_second", events_per_second(seed));
  json.field("events_per_cpu_second", events_per_cpu_second(seed));
  json.field("memory_bytes", seed.memory_bytes);
  json.key("accuracy_matrix");
  json.begin_array();
  for (const auto& row : seed.matrix) {
    json.begin_array();
    for (const double score : row) json.value(score);
    json.end_array();
  }
  json.end_array();
  json.end_object();
}

std::string to_json(const std::vector<Outcome>& outcomes) {
  JsonWriter json;
  json.begin_object();
  json.field("cpu", cpu_capability());
  json.key("runs");
  json.begin_array();
  for (const auto& outcome : outcomes) {
    const RunSpec& spec = outcome.spec;
    json.begin_object();
    json.field("protocol", spec.protocol);
    json.field("label", spec.label);
    json.field("strategy", spec.learner.strategy);
    json.field("buffer", spec.buffer);
    json.field("on_disk", spec.on_disk);
    json.field("policy", spec.policy);
    json.field("sampling", spec.sampling);
    json.field("fresh", spec.fresh);
    json.field("replayed", spec.replayed);
    json.field("learning_rate", spec.learner.schedule.learning_rate);
    json.field("accuracy", spread(outcome.seeds, [](const SeedResult& s) { return s.accuracy; }).mean);
    json.field("forgetting", spread(outcome.seeds, [](const SeedResult& s) { return s.forgetting; }).mean);
    json.field("events_per_cpu_second", median_rate(outcome.seeds));
    json.key("seeds");
    json.begin_array();
    for (const auto& seed : outcome.seeds) write_seed(json, seed);
    json.end_array();
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return json.take();
}

Result<Outcome> go_through(const RunSpec& spec, const Mnist& mnist, const Arguments& arguments) {
  Outcome outcome{spec, {}};
  const std::uint64_t seeds = arguments.quick ? 1 : arguments.seeds;
  for (std::uint64_t seed = arguments.first_seed; seed < arguments.first_seed + seeds; ++seed) {
    std::string scratch =
        (arguments.scratch.empty() ? std::filesystem::temp_directory_path().string() : arguments.scratch) +
        "/continual_XXXXXX";
    if (spec.on_disk && mkdtemp(scratch.data()) == nullptr) return unavailable("no folder at " + scratch);
    auto result = run_seed(spec, mnist, seed, arguments.quick ? kQuickEvents : 0, scratch, [&](double done) {
      fmt::print(stderr, "\r{} {}, memory {}, seed {} ({} of them): {:3.0f} %  ", spec.protocol, spec.label,
                 spec.buffer, seed, seeds, done * 100);
    });
    if (spec.on_disk) std::filesystem::remove_all(scratch);
    fmt::print(stderr, "\r{:78}\r", "");
    outcome.seeds.push_back(TRY(std::move(result)));
  }
  return outcome;
}

Result<std::vector<RunSpec>> wanted(const std::string& protocol, const Arguments& arguments) {
  std::vector<RunSpec> specs;
  if (!arguments.run.empty()) {
    RunSpec spec = base_spec(protocol);
    spec.learner.strategy = arguments.run;
    spec.label = arguments.run;
    spec.buffer = arguments.buffer;
    spec.replayed = arguments.buffer == 0 ? 0 : spec.fresh;
    specs.push_back(std::move(spec));
  } else {
    for (auto& spec : table_of(protocol)) {
      const bool named =
          arguments.only.empty() || std::ranges::find(arguments.only, spec.label) != arguments.only.end();
      if (named && (arguments.buffer == 0 || spec.buffer == arguments.buffer)) specs.push_back(std::move(spec));
    }
  }
  for (auto& spec : specs) {
    for (const auto& setting : arguments.settings) TRY(change(setting, spec));
  }
  return specs;
}

Status run(const Arguments& arguments) {
  TRY(set_threads(1));
  const auto mnist = TRY(load_mnist(arguments.data));
  std::vector<std::string> protocols = {arguments.protocol};
  if (arguments.protocol == "all") protocols = {"split", "permuted", "rotated"};
  std::vector<Outcome> outcomes;
  for (const auto& protocol : protocols) {
    const auto specs = TRY(wanted(protocol, arguments));
    print_header(protocol);
    for (const auto& spec : specs) {
      outcomes.push_back(TRY(go_through(spec, mnist, arguments)));
      print_row(outcomes.back());
    }
  }
  if (arguments.json.empty()) return Status::ok();
  std::ofstream file(arguments.json);
  if (!(file << to_json(outcomes)).flush()) return unavailable("cannot write " + arguments.json);
  return Status::ok();
}

std::string default_data() {
  if (const char* cache = getenv("FRESHET_CACHE")) return std::string(cache) + "/mnist";
  const char* home = getenv("HOME");
  return std::string(home == nullptr ? "." : home) + "/.cache/freshet/mnist";
}

Result<Arguments> parse(int count, char** words) {
  Arguments arguments;
  arguments.data = default_data();
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--quick") {
      arguments.quick = true;
      continue;
    }
    if (i + 1 == count) return invalid_argument(fmt::format("{} is unknown, or its value is missing", word));
    const std::string value = words[++i];
    if (word == "--protocol") {
      arguments.protocol = value;
    } else if (word == "--only") {
      for (std::size_t from = 0; from <= value.size();) {
        const std::size_t to = std::min(value.find(',', from), value.size());
        arguments.only.push_back(value.substr(from, to - from));
        from = to + 1;
      }
    } else if (word == "--buffer") {
      arguments.buffer = std::strtoull(value.c_str(), nullptr, 10);
    } else if (word == "--seeds") {
      arguments.seeds = std::max(1ULL, std::strtoull(value.c_str(), nullptr, 10));
    } else if (word == "--first-seed") {
      arguments.first_seed = std::strtoull(value.c_str(), nullptr, 10);
    } else if (word == "--data") {
      arguments.data = value;
    } else if (word == "--scratch") {
      arguments.scratch = value;
    } else if (word == "--json") {
      arguments.json = value;
    } else if (word == "--run") {
      arguments.run = value;
    } else if (word == "--set") {
      arguments.settings.push_back(value);
    } else {
      return invalid_argument(fmt::format("no option {}", word));
    }
  }
  return arguments;
}

}  // namespace
}  // namespace freshet::bench

int main(int count, char** words) {
  auto arguments = freshet::bench::parse(count, words);
  const auto status = arguments.is_ok() ? freshet::bench::run(*arguments) : arguments.status();
  if (status.is_ok()) return 0;
  fmt::print(stderr, "continual_bench: {}\n", status.to_string());
  return 1;
}
