// freshet model: what is served by a running daemon, and what shall be.
#include <fmt/format.h>

#include <cstdio>

#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/commands/stopped_state.h"
#include "daemon/control/control_client.h"
#include "daemon/pipeline/publishing.h"

namespace freshet {
namespace {

Result<std::string> ask(const ModelArguments& arguments) {
  const std::string folder = TRY(state_folder(arguments.path, arguments.config));
  const ControlClient daemon =
      TRY(ControlClient::for_folder(folder).with_context("no daemon runs on " + folder + ", and it takes one"));
  const auto no_progress = [](std::uint64_t, std::uint64_t) {};
  if (arguments.action == "versions") return daemon.run("versions", {}, no_progress);
  TRY(parse_publishing_action(arguments.action));
  return daemon.run("publishing", {{"action", arguments.action}, {"version", std::to_string(arguments.version)}},
                    no_progress);
}

}  // namespace

int run_model(const ModelArguments& arguments) {
  const auto result = ask(arguments);
  if (!result.is_ok()) {
    fmt::print(stderr, "freshet model {}: {}\n", arguments.action, result.status().message());
    return kExitFailed;
  }
  if (arguments.json || arguments.action == "versions") {
    fmt::print("{}\n", *result);
    return kExitOk;
  }
  const auto answer = parse_json_object(*result);
  if (!answer.is_ok()) return kExitFailed;
  const std::string pinned = member(*answer, "pinned_version");
  fmt::print("model version {} is served{}{}\n", member(*answer, "served_version"),
             member(*answer, "paused") == "true" ? "; publishing is paused, `freshet model resume` ends that" : "",
             pinned != "0" ? "; it is pinned, `freshet model resume` ends that" : "");
  return kExitOk;
}

}  // namespace freshet
