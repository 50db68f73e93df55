// freshet log-level: how much a running daemon logs.
#include <fmt/format.h>

#include <cstdio>

#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/control/control_client.h"

namespace freshet {
namespace {

Status change(const LogLevelArguments& arguments) {
  const ControlClient daemon = TRY(running_daemon(arguments.path, arguments.config, arguments.control));
  const auto no_progress = [](std::uint64_t, std::uint64_t) {};
  TRY(daemon.run("log_level", {{"level", arguments.level}}, no_progress, kPublishingLane));
  return Status::ok();
}

}  // namespace

int run_log_level(const LogLevelArguments& arguments) {
  if (const Status status = change(arguments); !status.is_ok()) {
    fmt::print(stderr, "freshet log-level: {}\n", status.message());
    return kExitFailed;
  }
  fmt::print("the daemon logs from level {} on, until it is told otherwise or reloads its configuration\n",
             arguments.level);
  return kExitOk;
}

}  // namespace freshet
