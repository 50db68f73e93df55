// How the `freshet state` commands get at a store: read-only beside whoever has it open, or with the daemon's help when
// one has it.
//
// Threads: main.  Failure: what keeps a command from the store, in words that say what to do.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"
#include "daemon/cli/progress_bar.h"
#include "daemon/commands/commands.h"
#include "daemon/control/control_client.h"
#include "storage/store.h"

namespace freshet {

// --path, or memory.path of --config.
Result<std::string> state_folder(const StateArguments& arguments);

// As it is now; a daemon may go on writing.
Result<std::unique_ptr<Store>> open_to_read(const std::string& folder, Log& log, MetricsRegistry& metrics);

// A bar on standard error; one that shows nothing when `quiet`.
class CommandProgress {
 public:
  CommandProgress(std::string title, std::string unit, bool quiet);
  void show(std::uint64_t done, std::uint64_t total);
  void finish();

 private:
  std::string title_;
  std::string unit_;
  bool quiet_;
  SystemClock clock_;
  std::unique_ptr<ProgressBar> bar_;  // made once the total is known
  std::uint64_t done_ = 0;
};

// The daemon that has the store open, asked for after opening it here was `refused`; what keeps the command from it
// otherwise.
Result<ControlClient> daemon_that_holds(const std::string& folder, const Status& refused,
                                        const ControlOptions& control = {});

// The daemon on the folder that --path or --config names, or the one at --url.
Result<ControlClient> running_daemon(const std::string& path, const ConfigArguments& config,
                                     const ControlArguments& control);

ControlOptions control_options(const ControlArguments& arguments);

// Does a state operation (daemon/control/state_operations.h): on the store itself where nobody has it open, else by
// asking the daemon. The result is a JSON object. SIGINT and SIGTERM end it when it runs here.
Result<std::string> work_on_state(const std::string& folder, const std::string& operation,
                                  const ControlClient::Arguments& arguments, CommandProgress& progress,
                                  const ControlOptions& control = {});

}  // namespace freshet
