// freshet tune: a study over the stored memory, by hand: beside a running daemon, or with none.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/json_writer.h"
#include "daemon/cli/progress_bar.h"
#include "daemon/cli/signals.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/config/config_loader.h"
#include "daemon/config/option_table.h"
#include "daemon/tuning/study_setup.h"
#include "learners/device.h"

namespace freshet {
namespace {

constexpr std::uint32_t kStudyFileFormat = 1;
constexpr std::size_t kShownTrials = 5;
constexpr std::chrono::milliseconds kPoll{5};

struct TuneRun {
  std::unique_ptr<tuning::Study> study;
  TrialObjective objective;
  std::size_t training = 0;
  std::size_t judging = 0;
  bool judged_by_newest = false;
  std::size_t slices = 0;
  double worker_seconds = 0;
  bool stopped = false;
};

// The study as it is, so that the same command goes on with it: whole or not at all.
Status save_study(const tuning::StudyRunner& runner, const std::string& path) {
  ByteWriter out;
  out.put(kStudyFileFormat);
  runner.save(out);
  const std::string partial = path + ".partial";
  {
    std::ofstream file(partial, std::ios::binary);
    const std::string bytes = out.take();
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) return unavailable(fmt::format("cannot write {}", partial));
  }
  std::error_code error;
  std::filesystem::rename(partial, path, error);
  if (error) return unavailable(fmt::format("cannot rename {} to {}: {}", partial, path, error.message()));
  return Status::ok();
}

Status load_study(tuning::StudyRunner& runner, const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  ByteReader in(bytes);
  if (in.get<std::uint32_t>() != kStudyFileFormat) return data_loss(fmt::format("{} is no study", path));
  return runner.load(in).with_context("reading the study " + path + " (another file begins a new one)");
}

std::string best_note(const tuning::Study& study, const TrialObjective& objective) {
  const auto best = study.best();
  std::string note = fmt::format("{} trials", study.trials().size());
  if (best.empty()) return note;
  return fmt::format("{}, best {} {:.5f}", note, objective.metric,
                     lower_is_better(objective.metric) ? -best[0].objective : best[0].objective);
}

Status run_study(const TuneArguments& arguments, TuneRun& run, tuning::StudyRunner& runner) {
  const SystemClock clock;
  ProgressOptions bar_options;
  bar_options.title = "tuning";
  bar_options.unit = "stretches";
  const tuning::StudyOptions& options = run.study->options();
  bar_options.total = options.max_trials * options.scheduler.max_resource;
  if (options.max_compute_ratio > 0) {
    const auto most =
        static_cast<std::uint64_t>(options.max_compute_ratio * static_cast<double>(options.scheduler.max_resource));
    bar_options.total = std::min(bar_options.total, most);
  }
  bar_options.terminal = is_terminal(stderr);
  bar_options.columns = terminal_columns(stderr);
  ProgressBar bar(bar_options, clock, arguments.quiet ? [](std::string_view) {} : write_to_stderr);
  const StopOnSignal stop;
  for (;;) {
    const auto step = TRY(runner.advance(false));
    if (step == tuning::StudyRunner::Step::kOver) break;
    if (stop.flag()) {
      runner.request_stop();
      run.stopped = true;
      break;
    }
    if (step == tuning::StudyRunner::Step::kFinished && !arguments.study.empty()) {
      TRY(save_study(runner, arguments.study));
    }
    if (step == tuning::StudyRunner::Step::kWaiting) std::this_thread::sleep_for(kPoll);
    bar.update(run.study->total_resource(), best_note(*run.study, run.objective));
  }
  bar.finish(run.study->total_resource(), best_note(*run.study, run.objective));
  run.worker_seconds = runner.worker_seconds();
  if (run.stopped && arguments.study.empty()) return cancelled("interrupted; --study FILE keeps what was tried");
  return Status::ok();
}

Result<TuneRun> tune(const TuneArguments& arguments) {
  const Config config =
      TRY(load_config({arguments.config.file, std::nullopt, arguments.config.sets, process_environment()}));
  TRY(set_threads(static_cast<int>(config.learning.threads)));
  TuneRun run;
  run.objective = TRY(trial_objective(config));
  const auto options = TRY(study_options(config));
  auto space = TRY(study_space(config));
  run.study = TRY(tuning::Study::create(options, std::move(space)));
  const std::string folder = arguments.path.empty() ? config.memory.path : arguments.path;
  NullLog log;
  LocalMetrics metrics;
  const auto store = TRY(open_to_read(folder, log, metrics));
  const TrialSnapshot snapshot =
      TRY(read_snapshot(config, *store, config.tuning.events_max, config.tuning.seed).with_context(folder));
  run.training = snapshot.training.size();
  run.judging = snapshot.judging.size();
  run.judged_by_newest = snapshot.judged_by_newest;
  run.slices = snapshot.slices.size();
  // What is configured now is the first trial: the study then says how much better the best one is.
  std::vector<tuning::Setting> present;
  std::vector<std::string> searched;
  for (std::size_t i = 0; i < run.study->space().size(); ++i) {
    const std::string& option = run.study->space()[i].option;
    present.push_back({option, option_text(config, option)});
    searched.push_back(option);
  }
  TrialLearners trainers(config, snapshot, run.objective, config.tuning.max_resource, std::move(searched));
  Rng rng(config.tuning.seed);
  TRY(run.study->begin_with({run.study->space().nearest(present, rng)}, {}));
  const auto runner = TRY(tuning::StudyRunner::create(*run.study, trainers, runner_options(config)));
  if (!arguments.study.empty() && std::filesystem::exists(arguments.study)) {
    TRY(load_study(*runner, arguments.study));
  }
  TRY(run_study(arguments, run, *runner));
  return run;
}

std::string to_json(const TuneRun& run) {
  JsonWriter json;
  json.begin_object();
  json.field("metric", run.objective.metric);
  json.field("forgetting_penalty", run.objective.forgetting_penalty);
  json.field("events_trained_on", static_cast<std::uint64_t>(run.training));
  json.field("events_judging", static_cast<std::uint64_t>(run.judging));
  json.field("judged_by_newest", run.judged_by_newest);
  json.field("slices", static_cast<std::uint64_t>(run.slices));
  json.field("worker_seconds", run.worker_seconds);
  const auto best = run.study->best();
  if (!best.empty()) {
    json.key("best");
    json.begin_object();
    json.field("trial", best[0].trial);
    json.field("resource", best[0].resource);
    json.field("objective", best[0].objective);
    json.key("settings");
    json.json(run.study->space().json(run.study->trials()[best[0].trial].configuration));
    json.end_object();
  }
  json.key("study");
  run.study->write_json(json);
  json.end_object();
  return json.take();
}

void print_for_people(const TuneRun& run) {
  const tuning::Study& study = *run.study;
  fmt::print("{} trials trained {} stretches together ({} are a whole training), {:.1f} s of processor time{}\n",
             study.trials().size(), study.total_resource(), study.options().scheduler.max_resource, run.worker_seconds,
             run.stopped ? "; interrupted" : "");
  fmt::print("judged by {} on {} {}, trained on {} events\n\n", run.objective.metric, run.judging,
             run.judged_by_newest ? "of the newest events" : "held-out events", run.training);
  const auto best = study.best(kShownTrials);
  if (best.empty()) {
    fmt::print("no trial came to an end\n");
    return;
  }
  fmt::print("  trial  stretches  objective\n");
  for (const auto& trial : best) {
    fmt::print("  {:>5}  {:>9}  {:>9.5f}  {}\n", trial.trial, trial.resource, trial.objective,
               study.space().json(study.trials()[trial.trial].configuration));
  }
  const auto& configured = study.trials()[0].evaluations;
  if (!configured.empty()) {
    fmt::print(
        "  what is configured now, or as near to it as the space allows, is trial 0: {:.5f} after {} stretches\n",
        configured.back().objective, configured.back().resource);
  }
  fmt::print("\nto take the best over, start with:\n ");
  for (const tuning::Setting& setting : study.space().settings(study.trials()[best[0].trial].configuration)) {
    fmt::print(" --set {}={}", setting.option, setting.value);
  }
  fmt::print("\n");
}

}  // namespace

int run_tune(const TuneArguments& arguments) {
  const auto run = tune(arguments);
  if (!run.is_ok()) {
    fmt::print(stderr, "freshet tune: {}\n", run.status().message());
    return kExitFailed;
  }
  if (arguments.json) {
    fmt::print("{}", to_json(*run));
  } else {
    print_for_people(*run);
  }
  return kExitOk;
}

}  // namespace freshet
