#include "daemon/commands/state_access.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "daemon/cli/signals.h"
#include "daemon/commands/stopped_state.h"
#include "daemon/config/config_loader.h"
#include "daemon/control/state_operations.h"

namespace freshet {
namespace {

constexpr std::chrono::milliseconds kLookEvery{100};

Result<std::string> work_here(Store& store, const std::string& operation, const ControlClient::Arguments& arguments,
                              CommandProgress& bar) {
  JsonObject members;
  for (const auto& [name, value] : arguments) members[name] = value;
  const StateOperations operations = store_operations(store);
  const auto found = operations.find(operation);
  if (found == operations.end()) return invalid_argument(fmt::format("there is no operation '{}'", operation));
  Progress progress;
  const StopOnSignal stop;
  const std::jthread watch([&](const std::stop_token& over) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!over.stop_requested()) {
      if (stop.flag()) progress.cancel();
      bar.show(progress.done(), progress.total());
      wake.wait_for(lock, over, kLookEvery, [] { return false; });
    }
  });
  return found->second.work(members, progress);
}

}  // namespace

Result<std::string> state_folder(const StateArguments& arguments) {
  if (!arguments.path.empty()) return arguments.path;
  if (arguments.config.file.empty()) return invalid_argument("name the store: --path FOLDER, or --config FILE");
  const Config config =
      TRY(load_config({arguments.config.file, std::nullopt, arguments.config.sets, process_environment()}));
  return config.memory.path;
}

Result<std::unique_ptr<Store>> open_to_read(const std::string& folder, Log& log, MetricsRegistry& metrics) {
  StoreOptions options;
  options.path = folder;
  options.read_only = true;
  options.create_if_missing = false;
  return Store::open(options, std::nullopt, log, metrics);
}

CommandProgress::CommandProgress(std::string title, std::string unit, bool quiet)
    : title_(std::move(title)), unit_(std::move(unit)), quiet_(quiet) {}

void CommandProgress::show(std::uint64_t done, std::uint64_t total) {
  if (quiet_ || total == 0) return;
  if (!bar_) {
    ProgressOptions options;
    options.title = title_;
    options.unit = unit_;
    options.total = total;
    options.terminal = is_terminal(stderr);
    options.columns = terminal_columns(stderr);
    bar_ = std::make_unique<ProgressBar>(options, clock_, write_to_stderr);
  }
  done_ = done;
  bar_->update(done);
}

void CommandProgress::finish() {
  if (bar_) bar_->finish(done_);
}

Result<ControlClient> running_daemon(const std::string& path, const ConfigArguments& config,
                                     const ControlArguments& control) {
  const ControlOptions options = control_options(control);
  if (!options.url.empty()) return ControlClient::for_url(options);
  const std::string folder = TRY(state_folder(path, config));
  auto daemon = ControlClient::for_folder(folder, options);
  if (daemon.code() != Code::kNotFound) return daemon;
  return std::move(daemon).with_context("no daemon runs on " + folder + ", and it takes one");
}

ControlOptions control_options(const ControlArguments& arguments) {
  ControlOptions options;
  options.url = arguments.url;
  options.token_file = arguments.token_file;
  options.ca_file = arguments.ca_file;
  options.certificate_file = arguments.certificate_file;
  options.key_file = arguments.key_file;
  return options;
}

Result<ControlClient> daemon_that_holds(const std::string& folder, const Status& refused,
                                        const ControlOptions& control) {
  if (refused.code() != Code::kFailedPrecondition) return refused;
  auto daemon = ControlClient::for_folder(folder, control);
  if (daemon.code() == Code::kNotFound) return refused;  // nobody to ask: why it cannot be opened
  if (!daemon.is_ok()) return daemon.status();
  if (const Status status = daemon->answers(); !status.is_ok()) {
    return Status(refused.code(), fmt::format("{}; {}", refused.message(), status.message()));
  }
  return daemon;
}

Result<std::string> work_on_state(const std::string& folder, const std::string& operation,
                                  const ControlClient::Arguments& arguments, CommandProgress& progress,
                                  const ControlOptions& control) {
  NullLog log;
  LocalMetrics metrics;
  StoreOptions options;
  options.path = folder;
  options.create_if_missing = false;
  options.migrate = false;
  auto store = Store::open(options, std::nullopt, log, metrics);
  Result<std::string> result = internal_error("not run");
  if (store.is_ok()) {
    result = work_here(**store, operation, arguments, progress);
  } else {
    const ControlClient daemon = TRY(daemon_that_holds(folder, store.status(), control));
    result =
        daemon.run(operation, arguments, [&](std::uint64_t done, std::uint64_t total) { progress.show(done, total); });
  }
  progress.finish();
  return result;
}

}  // namespace freshet
