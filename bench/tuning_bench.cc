// Studies on the optical digits: trials a minute, best macro F1 on the test part, time to 0.97 and 0.98.
//
//   tuning_bench [--data FILE] [--searcher random] [--scheduler asha] [--seeds 3] [--first-seed 1] [--trials 64]
//                [--epochs 27] [--grace 1] [--eta 3] [--workers 2] [--order arrival|virtual] [--initial 0]
//                [--every 1] [--warm TRIALS [--warm-searcher NAME] [--warm-grace EPOCHS] [--narrow yes|no]
//                [--margin 0.1] [--first 4]]
//
// One JSON line a study. --every: epochs between evaluations, as its peers report each one. --warm: each study is
// followed by one of so many trials at most, that begins with what three cold studies with other seeds found, and has
// arrived at the trial that reaches the cold study's best.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>

#include <fmt/core.h>

#include "bench/tuning/digits.h"
#include "core/json_writer.h"
#include "learners/tuning/study.h"
#include "learners/tuning/study_runner.h"
#include "learners/tuning/warm_start.h"

namespace freshet {
namespace {

using Arguments = std::map<std::string, std::string>;

struct Wanted {
  tuning::StudyOptions study;
  tuning::RunnerOptions runner;
  std::uint64_t seeds = 3, first_seed = 1, warm = 0;
};

std::uint64_t number(const Arguments& arguments, const std::string& name, std::uint64_t otherwise) {
  const auto found = arguments.find(name);
  return found == arguments.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
}
std::string text(const Arguments& arguments, const std::string& name, const std::string& otherwise) {
  const auto found = arguments.find(name);
  return found == arguments.end() ? otherwise : found->second;
}

Result<std::unique_ptr<tuning::Study>> make_study(const Wanted& wanted, std::uint64_t seed) {
  auto space = TRY(tuning::ParameterSpace::create(bench::digits_spaces()));
  tuning::StudyOptions options = wanted.study;
  options.searcher.seed = seed;
  return tuning::Study::create(options, std::move(space));
}

struct Measured {
  double seconds = 0.0;
  std::map<double, double> seconds_to;  // of these scores
  std::optional<std::size_t> arrived;   // trials begun when `aim` was reached
  std::uint64_t arrived_epochs = 0;     // and epochs trained
};

Result<Measured> run(tuning::Study& study, const Wanted& wanted, const bench::Digits& digits, std::uint64_t seed,
                     double aim) {
  bench::DigitsTrainers trainers(digits, seed);
  auto runner = TRY(tuning::StudyRunner::create(study, trainers, wanted.runner));
  Measured measured;
  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); };
  TRY(runner->run([&] {
    const auto best = study.best();
    if (best.empty()) return;
    for (const double score : {0.97, 0.98}) {
      if (best[0].objective >= score) measured.seconds_to.try_emplace(score, seconds());
    }
    if (!measured.arrived && best[0].objective >= aim) {
      measured.arrived = study.trials().size();
      measured.arrived_epochs = study.total_resource();
    }
  }));
  measured.seconds = seconds();
  return measured;
}

void print(const tuning::Study& study, const Measured& measured, std::uint64_t seed, std::string_view kind) {
  JsonWriter json(0);
  json.begin_object();
  json.field("kind", kind);
  json.field("seed", seed);
  json.field("seconds", measured.seconds);
  json.field("trials", study.trials().size());
  json.field("trials_per_minute", static_cast<double>(study.trials().size()) / measured.seconds * 60.0);
  json.field("epochs", study.total_resource());
  const auto best = study.best();
  json.field("best", best.empty() ? 0.0 : best[0].objective);
  for (const auto& [score, seconds] : measured.seconds_to) json.field(fmt::format("seconds_to_{}", score), seconds);
  if (measured.arrived) {
    json.field("arrived_at_trial", *measured.arrived);
    json.field("arrived_at_epoch", measured.arrived_epochs);
  }
  if (!best.empty()) {
    json.key("configuration");
    json.json(study.space().json(study.trials()[best[0].trial].configuration));
  }
  json.end_object();
  fmt::print("{}\n", json.take());
  std::fflush(stdout);
}

Status run_all(const Arguments& arguments) {
  const char* home = std::getenv("HOME");
  const char* cache = std::getenv("FRESHET_CACHE");
  const std::string folder = cache != nullptr ? cache : fmt::format("{}/.cache/freshet", home != nullptr ? home : "");
  const auto digits = TRY(bench::Digits::read(text(arguments, "data", folder + "/digits/digits.bin")));
  Wanted wanted;
  wanted.study.searcher.kind = text(arguments, "searcher", "random");
  wanted.study.searcher.initial = static_cast<std::uint32_t>(number(arguments, "initial", 0));
  wanted.study.scheduler.kind = text(arguments, "scheduler", "asha");
  wanted.study.scheduler.max_resource = number(arguments, "epochs", 27);
  wanted.study.scheduler.grace = number(arguments, "grace", 1);
  wanted.study.scheduler.eta = static_cast<std::uint32_t>(number(arguments, "eta", 3));
  wanted.study.max_trials = number(arguments, "trials", 64);
  wanted.study.evaluate_every = number(arguments, "every", 1);
  wanted.runner.workers = static_cast<std::uint32_t>(number(arguments, "workers", 2));
  wanted.runner.order = text(arguments, "order", "arrival") == "virtual" ? tuning::CompletionOrder::kVirtual
                                                                         : tuning::CompletionOrder::kArrival;
  wanted.runner.priority = tuning::WorkerPriority::kNormal;  // peers run at the normal one
  wanted.seeds = number(arguments, "seeds", 3);
  wanted.first_seed = number(arguments, "first-seed", 1);
  wanted.warm = number(arguments, "warm", 0);
  for (std::uint64_t seed = wanted.first_seed; seed < wanted.first_seed + wanted.seeds; ++seed) {
    auto cold = TRY(make_study(wanted, seed));
    const Measured measured = TRY(run(*cold, wanted, digits, seed, 2.0));
    print(*cold, measured, seed, "cold");
    if (wanted.warm == 0) continue;
    std::vector<tuning::PastStudy> past;
    for (std::uint64_t other = 1; other <= 3; ++other) {
      const std::uint64_t other_seed = seed * 1000 + other;
      auto earlier = TRY(make_study(wanted, other_seed));
      TRY(run(*earlier, wanted, digits, other_seed, 2.0).status());
      past.push_back(tuning::past_study(*earlier, {}, static_cast<double>(other)));
    }
    Wanted after = wanted;
    after.study.max_trials = wanted.warm;
    after.study.searcher.kind = text(arguments, "warm-searcher", wanted.study.searcher.kind);
    after.study.scheduler.grace = number(arguments, "warm-grace", wanted.study.scheduler.grace);
    const std::uint64_t warm_seed = seed * 1000 + 500;
    auto space = TRY(tuning::ParameterSpace::create(bench::digits_spaces()));
    tuning::WarmStartOptions options;
    options.narrow = text(arguments, "narrow", "yes") == "yes";
    options.narrow_margin = std::strtod(text(arguments, "margin", "0.1").c_str(), nullptr);
    options.first = number(arguments, "first", options.first);
    auto start = TRY(tuning::plan_warm_start(past, {}, 4.0, space, options, warm_seed));
    tuning::StudyOptions own = after.study;
    own.searcher.seed = warm_seed;
    auto warm = TRY(tuning::Study::create(own, std::move(start.space)));
    TRY(warm->begin_with(std::move(start.first), std::move(start.prior)));
    const Measured again = TRY(run(*warm, after, digits, warm_seed, cold->best().at(0).objective));
    print(*warm, again, seed, "warm");
  }
  return Status::ok();
}

}  // namespace
}  // namespace freshet

int main(int count, char** values) {
  freshet::Arguments arguments;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string_view name = values[i];
    if (name.substr(0, 2) != "--") {
      fmt::print(stderr, "tuning_bench: \"{}\" is no option\n", name);
      return 2;
    }
    arguments[std::string(name.substr(2))] = values[i + 1];
  }
  const freshet::Status status = freshet::run_all(arguments);
  if (status.is_ok()) return 0;
  fmt::print(stderr, "tuning_bench: {}\n", status.to_string());
  return 1;
}
