// freshet tune: a study over the stored memory, by hand: beside a running daemon, or with none.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <span>
#include <thread>

#include "core/json_writer.h"
#include "daemon/cli/progress_bar.h"
#include "daemon/cli/signals.h"
#include "daemon/commands/backtest_report.h"
#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/config/config_loader.h"
#include "daemon/config/option_table.h"
#include "daemon/tuning/study_file.h"
#include "daemon/tuning/study_report.h"
#include "daemon/tuning/study_setup.h"
#include "learners/device.h"

namespace freshet {
namespace {

constexpr std::size_t kShownTrials = 5;
constexpr std::chrono::milliseconds kPoll{5};

struct TuneRun {
  std::unique_ptr<tuning::Study> study;
  StudyTimeline timeline;
  StudyFacts facts;
  double worker_seconds = 0;  // of this run
  bool stopped = false;

  std::string document() const { return study_document(*study, timeline, facts); }
};

Status load_study(TuneRun& run, tuning::StudyRunner& runner, const std::string& path) {
  StudyFile file = TRY(read_study_file(path));
  ByteReader in(file.runner);
  TRY(runner.load(in).with_context("reading the study " + path + " (another file begins a new one)"));
  run.timeline = std::move(file.timeline);
  run.timeline.begin_after(*run.study);
  return Status::ok();
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
  const std::int64_t begun_ns = clock.monotonic_ns();
  const auto elapsed = [&] { return static_cast<double>(clock.monotonic_ns() - begun_ns) * 1e-9; };
  const std::string kept = arguments.studies.empty() ? std::string() : arguments.studies[0];
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
    if (step == tuning::StudyRunner::Step::kFinished) {
      run.timeline.note(*run.study, elapsed(), runner.worker_seconds());
      if (!kept.empty()) TRY(write_study_file(kept, run.document(), run.timeline, runner));
    }
    if (stop.flag()) {
      runner.request_stop();
      run.stopped = true;
      break;
    }
    if (step == tuning::StudyRunner::Step::kWaiting) std::this_thread::sleep_for(kPoll);
    bar.update(run.study->total_resource(), best_note(*run.study, run.facts.objective));
  }
  bar.finish(run.study->total_resource(), best_note(*run.study, run.facts.objective));
  run.worker_seconds = runner.worker_seconds();
  // Once more, now that it is over, or stands still: a report says so.
  if (!kept.empty()) TRY(write_study_file(kept, run.document(), run.timeline, runner));
  if (run.stopped && kept.empty() && arguments.report.empty()) {
    return cancelled("interrupted; --study FILE keeps what was tried");
  }
  return Status::ok();
}

Result<TuneRun> tune(const TuneArguments& arguments) {
  const Config config =
      TRY(load_config({arguments.config.file, std::nullopt, arguments.config.sets, process_environment()}));
  TRY(set_threads(static_cast<int>(config.learning.threads)));
  TuneRun run;
  run.facts.model = config.model.name;
  run.facts.objective = TRY(trial_objective(config));
  run.facts.workers = config.tuning.workers;
  const auto options = TRY(study_options(config));
  auto space = TRY(study_space(config));
  run.study = TRY(tuning::Study::create(options, std::move(space)));
  const std::string folder = arguments.path.empty() ? config.memory.path : arguments.path;
  NullLog log;
  LocalMetrics metrics;
  const auto store = TRY(open_to_read(folder, log, metrics));
  const TrialSnapshot snapshot =
      TRY(read_snapshot(config, *store, {config.tuning.events_max, config.tuning.seed}).with_context(folder));
  run.facts.events_trained_on = snapshot.training.size();
  run.facts.events_judging = snapshot.judging.size();
  run.facts.judged_by_newest = snapshot.judged_by_newest;
  run.facts.slices = snapshot.slices.size();
  // What is configured now is the first trial: the study then says how much better the best one is.
  std::vector<tuning::Setting> present;
  std::vector<std::string> searched;
  for (std::size_t i = 0; i < run.study->space().size(); ++i) {
    const std::string& option = run.study->space()[i].option;
    present.push_back({option, option_text(config, option)});
    searched.push_back(option);
  }
  TrialLearners trainers(config, snapshot, run.facts.objective, config.tuning.max_resource, std::move(searched));
  Rng rng(config.tuning.seed);
  run.facts.configured_trial = 0;
  TRY(run.study->begin_with({run.study->space().nearest(present, rng)}, {}));
  const auto runner = TRY(tuning::StudyRunner::create(*run.study, trainers, runner_options(config)));
  if (!arguments.studies.empty() && std::filesystem::exists(arguments.studies[0])) {
    TRY(load_study(run, *runner, arguments.studies[0]));
  }
  TRY(run_study(arguments, run, *runner));
  return run;
}

std::string to_json(const TuneRun& run) {
  JsonWriter json;
  json.begin_object();
  json.field("metric", run.facts.objective.metric);
  json.field("forgetting_penalty", run.facts.objective.forgetting_penalty);
  json.field("events_trained_on", run.facts.events_trained_on);
  json.field("events_judging", run.facts.events_judging);
  json.field("judged_by_newest", run.facts.judged_by_newest);
  json.field("slices", run.facts.slices);
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
  fmt::print("judged by {} on {} {}, trained on {} events\n\n", run.facts.objective.metric, run.facts.events_judging,
             run.facts.judged_by_newest ? "of the newest events" : "held-out events", run.facts.events_trained_on);
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

std::string today() {
  const auto days = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  const std::chrono::year_month_day date(days);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()));
}

// Files that a report shows beside the study that runs, or alone.
Result<std::vector<ReportedStudy>> read_shown(std::span<const std::string> paths) {
  std::vector<ReportedStudy> shown;
  for (const std::string& path : paths) {
    StudyFile file = TRY(read_study_file(path));
    if (file.document.empty()) {
      return failed_precondition(
          fmt::format("{} was kept by a version without reports: go on with it once, with its --config", path));
    }
    shown.push_back({path, std::move(file.document)});
  }
  return shown;
}

Status write_report(const TuneArguments& arguments, std::vector<ReportedStudy> studies) {
  std::map<std::string, int> stems;
  const auto stem = [](const std::string& path) { return std::filesystem::path(path).stem().string(); };
  for (const ReportedStudy& study : studies) ++stems[stem(study.name)];
  for (ReportedStudy& study : studies) {  // where only the folder tells two apart, it stays
    if (stems[stem(study.name)] == 1) study.name = stem(study.name);
  }
  const std::string page = TRY(study_report(today(), studies));
  TRY(write_file(arguments.report, page));
  if (!arguments.quiet) fmt::print(stderr, "wrote the report {}\n", arguments.report);
  return Status::ok();
}

// What would be a pity to find out after the study.
Result<std::vector<ReportedStudy>> prepare_report(const TuneArguments& arguments) {
  if (arguments.report.empty()) return std::vector<ReportedStudy>();
  if (!std::ofstream(arguments.report, std::ios::app)) {
    return unavailable(fmt::format("cannot write {}; is the folder there?", arguments.report));
  }
  const std::span<const std::string> paths(arguments.studies);
  return read_shown(arguments.config.file.empty() || paths.empty() ? paths : paths.subspan(1));
}

int failed(const Status& status) {
  fmt::print(stderr, "freshet tune: {}\n", status.message());
  return kExitFailed;
}

}  // namespace

int run_tune(const TuneArguments& arguments) {
  const bool alone = arguments.config.file.empty();  // a report of studies that ran before
  if (alone && (arguments.report.empty() || arguments.studies.empty())) {
    fmt::print(stderr, "freshet tune: --config is required (or --report and --study, for a report alone)\n");
    return kExitUsage;
  }
  auto shown = prepare_report(arguments);
  if (!shown.is_ok()) return failed(shown.status());
  if (alone) {
    const Status written = write_report(arguments, std::move(*shown));
    return written.is_ok() ? kExitOk : failed(written);
  }
  const auto run = tune(arguments);
  if (!run.is_ok()) return failed(run.status());
  if (arguments.json) {
    fmt::print("{}", to_json(*run));
  } else {
    print_for_people(*run);
  }
  if (arguments.report.empty()) return kExitOk;
  const std::string name = arguments.studies.empty() ? run->facts.model : arguments.studies[0];
  shown->insert(shown->begin(), {name, run->document()});
  const Status written = write_report(arguments, std::move(*shown));
  return written.is_ok() ? kExitOk : failed(written);
}

}  // namespace freshet
