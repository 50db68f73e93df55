// freshet backtest: the daemon's pipeline over a file, as fast as it goes, the same result every time.
#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

#include "core/hash.h"
#include "core/json_writer.h"
#include "daemon/adapters/spdlog_log.h"
#include "daemon/cli/progress_bar.h"
#include "daemon/cli/signals.h"
#include "daemon/cli/temporary_folder.h"
#include "daemon/commands/backtest_report.h"
#include "daemon/commands/commands.h"
#include "daemon/config/config_loader.h"
#include "daemon/event_spec_choice.h"
#include "daemon/pipeline/pipeline.h"
#include "daemon/room_options.h"
#include "daemon/status_json.h"
#include "learners/device.h"
#include "stream/file_source.h"

namespace freshet {
namespace {

constexpr std::chrono::milliseconds kProgressEvery{200};
constexpr std::uint64_t kHistoryEveryEvents = 5000;

// Seconds must not decide anything here: the same file always gives the same model.
void make_deterministic(Config& config) {
  config.learning.round.every_ms = 0;
  config.learning.round.go_live = setting::GoLive::kNextCut;
  config.checkpoint.every_ms = 0;
  // A backtest's standard error is for its progress; whoever wants more than warnings asks for debug.
  if (config.log.level == LogLevel::kInfo) config.log.level = LogLevel::kWarning;
}

std::uint64_t peak_rss_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

// Shows how far the source is, on a thread of its own, until it goes out of scope.
class ProgressThread {
 public:
  ProgressThread(const EventSource& source, const Clock& clock, bool quiet) {
    if (quiet) return;
    thread_ = std::jthread([&source, &clock](const std::stop_token& stop) {
      ProgressOptions options;
      options.title = "backtest";
      options.unit = "bytes";
      options.total = source.progress().bytes_total;
      options.terminal = is_terminal(stderr);
      options.columns = terminal_columns(stderr);
      ProgressBar bar(options, clock, write_to_stderr);
      std::mutex mutex;
      std::condition_variable_any wake;
      std::unique_lock lock(mutex);
      while (!stop.stop_requested()) {
        bar.update(source.progress().bytes_read);
        wake.wait_for(lock, stop, kProgressEvery, [] { return false; });
      }
      bar.finish(source.progress().bytes_read);
    });
  }

 private:
  std::jthread thread_;
};

// A line an event: its partition and offset (in a file: the line), the version that answered, and what it said.
class PredictionFile {
 public:
  Status open(const std::string& path) {
    file_.open(path, std::ios::binary | std::ios::trunc);
    file_ << "partition,offset,version,prediction\n";
    return file_ ? Status::ok() : unavailable(fmt::format("cannot write {}", path));
  }
  void write(const EventBatch& events, const Predictions& predictions, std::uint64_t version) {
    text_.clear();
    auto out = std::back_inserter(text_);
    for (std::size_t row = 0; row < predictions.rows; ++row) {
      fmt::format_to(out, "{},{},{}", events.positions[row].partition, events.positions[row].offset, version);
      for (std::uint32_t i = 0; i < predictions.width; ++i) {
        fmt::format_to(out, ",{}", predictions.values[row * predictions.width + i]);
      }
      text_ += '\n';
    }
    file_ << text_;
  }
  Status close() {
    if (!file_.is_open()) return Status::ok();
    file_.close();
    return file_ ? Status::ok() : unavailable("the file of predictions could not be written");
  }

 private:
  std::ofstream file_;
  std::string text_;
};

struct BacktestRun {
  PipelineSnapshot snapshot;
  EvaluationReport held_out;  // the last model on all stored held-out events
  double seconds = 0;
  std::uint64_t model_hash = 0;
  std::uint64_t state_hash = 0;
};

Result<BacktestRun> backtest(const BacktestArguments& arguments, Config config) {
  make_deterministic(config);
  TRY(set_threads(static_cast<int>(config.learning.threads)));
  SystemClock clock;
  SpdlogLog log(config.log, clock);
  LocalMetrics metrics;
  const TemporaryFolder temporary = TRY(TemporaryFolder::create("freshet-backtest"));
  config.memory.path = arguments.state.empty() ? temporary.path() : arguments.state;

  const EventSpec spec = TRY(choose_event_spec_for_file(config, arguments.input, log));
  const Schema schema(spec);
  auto store = TRY(Store::open(store_options(config), store_identity(schema), log, metrics));
  if (store->last_seq() != 0) {
    return failed_precondition(fmt::format("{} holds {} events already; a backtest begins with an empty folder",
                                           config.memory.path, store->last_seq()));
  }
  std::unique_ptr<DeadLetterSink> dead_letters = std::make_unique<LogDeadLetters>(metrics, log, clock);
  if (!arguments.dead_letters.empty()) dead_letters = TRY(FileDeadLetters::open(arguments.dead_letters, metrics));
  auto source =
      TRY(FileSource::open(file_source_options(config, arguments.input), schema, *dead_letters, metrics, clock));
  ModelSlot slot(clock);
  PipelineOptions options;
  options.baseline_after_events = arguments.baseline_after_events;
  options.score_held_out = true;
  PredictionFile predictions;
  if (!arguments.predictions.empty()) {
    TRY(predictions.open(arguments.predictions));
    options.on_scored = [&](const EventBatch& events, const Predictions& said, std::uint64_t version) {
      predictions.write(events, said, version);
    };
  }
  if (!arguments.report.empty()) options.history_every_events = kHistoryEveryEvents;
  auto pipeline = TRY(Pipeline::open(config, schema, options, {*store, *source, slot, clock, log, metrics}));

  BacktestRun run;
  const std::int64_t begin = clock.monotonic_ns();
  {
    const ProgressThread progress(*source, clock, arguments.quiet);
    const StopOnSignal stop;
    TRY(pipeline->run(stop.flag()));
    if (stop.flag()) return cancelled("interrupted; nothing was written");
    TRY(pipeline->finish());
  }
  TRY(predictions.close());
  run.seconds = static_cast<double>(clock.monotonic_ns() - begin) * 1e-9;
  run.snapshot = pipeline->snapshot();
  run.held_out = TRY(pipeline->score_held_out());
  run.model_hash = hash_text(pipeline->learner_bytes());
  const StateHash state = TRY(pipeline->state_hash());
  run.state_hash = state.whole;
  return run;
}

// Of events that training never saw: as the served model of the time predicted them when they came, and as the last
// model predicts those that are kept.
void write_held_out(JsonWriter& json, const BacktestRun& run) {
  if (run.snapshot.held_out.events == 0) return;
  json.key("held_out");
  json.begin_object();
  json.field("events", run.snapshot.held_out.events);
  write_metrics(json, "as_they_came", run.snapshot.held_out.stream);
  json.field("events_kept", run.held_out.events);
  write_metrics(json, "final_model", run.held_out.stream);
  json.end_object();
}

std::string to_json(const BacktestRun& run) {
  JsonWriter json;
  json.begin_object();
  json.field("events", run.snapshot.events);
  json.field("seconds", run.seconds);
  json.field("trainer_cpu_seconds", run.snapshot.trainer_cpu_seconds);
  json.field("events_per_second", static_cast<double>(run.snapshot.events) / run.seconds);
  for (const auto& metric : run.snapshot.evaluation.stream) json.field(metric.name, metric.value);
  json.field("rounds", run.snapshot.rounds);
  json.field("swaps", run.snapshot.swaps);
  json.field("dead_letters", run.snapshot.skipped);
  json.field("weights_restored", run.snapshot.restored);
  json.field("memory_events", run.snapshot.memory_events);
  write_baseline(json, run.snapshot);
  write_held_out(json, run);
  write_own_measures(json, run.snapshot);
  write_sifting(json, run.snapshot);
  write_forgetting(json, run.snapshot, true);
  write_gate(json, run.snapshot);
  write_drift(json, run.snapshot);
  write_tuning(json, run.snapshot);
  json.field("model_hash", hash_text_of(run.model_hash));
  json.field("state_hash", hash_text_of(run.state_hash));
  json.field("peak_rss_bytes", peak_rss_bytes());
  json.end_object();
  return json.take();
}

}  // namespace

int run_backtest(const BacktestArguments& arguments) {
  const auto fail = [](const Status& status) {
    fmt::print(stderr, "freshet backtest: {}\n", status.message());
    return kExitFailed;
  };
  auto config = load_config({arguments.config.file, std::nullopt, arguments.config.sets, process_environment()});
  if (!config.is_ok()) return fail(config.status());
  auto run = backtest(arguments, *std::move(config));
  if (!run.is_ok()) return fail(run.status());
  const std::string json = to_json(*run);
  fmt::print("{}", json);
  if (!arguments.json.empty()) {
    if (Status status = write_file(arguments.json, json); !status.is_ok()) return fail(status);
  }
  if (!arguments.report.empty()) {
    if (Status status = write_backtest_report(arguments.report, "Backtest of " + arguments.input, run->snapshot, json);
        !status.is_ok())
      return fail(status);
  }
  return kExitOk;
}

}  // namespace freshet
