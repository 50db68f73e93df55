// freshet model: what is served by a running daemon, and what shall be.
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/commands/stopped_state.h"
#include "daemon/control/control_client.h"
#include "daemon/pipeline/publishing.h"

namespace freshet {
namespace {

Result<std::string> ask(const ModelArguments& arguments) {
  const ControlClient daemon = TRY(running_daemon(arguments.path, arguments.config, arguments.control));
  const auto no_progress = [](std::uint64_t, std::uint64_t) {};
  if (arguments.action == "versions") return daemon.run("versions", {}, no_progress, kPublishingLane);
  TRY(parse_publishing_action(arguments.action));
  return daemon.run("publishing", {{"action", arguments.action}, {"version", std::to_string(arguments.version)}},
                    no_progress, kPublishingLane);
}

// The newest versions, one a line.
Status print_versions(const JsonObject& answer) {
  const std::string served = member(answer, "served_version");
  if (!answer.contains("gate")) {
    fmt::print("model version {} is served; every candidate is, without a gate (serving.gate.enabled)\n", served);
    return Status::ok();
  }
  const JsonObject gate = TRY(parse_json_object(member(answer, "gate")));
  const auto versions = TRY(parse_json_objects(member(gate, "versions")));
  fmt::print("{:>9} {:>12} {:>12}  {:<12} {:>10} {:>10}\n", "version", "learnt up to", "judged at", "verdict",
             "fresh loss", "difference");
  for (const JsonObject& version : versions) {
    const std::string number = member(version, "version");
    const bool judged = member(version, "fresh_rows") != "0";
    const double loss = std::strtod(member(version, "fresh_loss").c_str(), nullptr);
    const double difference = std::strtod(member(version, "fresh_difference").c_str(), nullptr);
    std::string notes;
    if (number == served) notes += "  served";
    if (number == member(gate, "trusted_version")) notes += "  trusted";
    if (member(version, "rolled_back") == "true") notes += "  rolled back";
    fmt::print("{:>9} {:>12} {:>12}  {:<12} {:>10} {:>10}{}\n", number, member(version, "last_event"),
               member(version, "judged_at"), member(version, "verdict"), judged ? fmt::format("{:.4f}", loss) : "-",
               judged ? fmt::format("{:+.4f}", difference) : "-", notes);
  }
  return Status::ok();
}

}  // namespace

int run_model(const ModelArguments& arguments) {
  const auto failed = [&](const Status& status) {
    fmt::print(stderr, "freshet model {}: {}\n", arguments.action, status.message());
    return kExitFailed;
  };
  const auto result = ask(arguments);
  if (!result.is_ok()) return failed(result.status());
  if (arguments.json) {
    fmt::print("{}\n", *result);
    return kExitOk;
  }
  const auto answer = parse_json_object(*result);
  if (!answer.is_ok()) return failed(answer.status());
  if (arguments.action == "versions") {
    const Status shown = print_versions(*answer);
    return shown.is_ok() ? kExitOk : failed(shown);
  }
  const std::string pinned = member(*answer, "pinned_version");
  fmt::print("model version {} is served{}{}\n", member(*answer, "served_version"),
             member(*answer, "paused") == "true" ? "; publishing is paused, `freshet model resume` ends that" : "",
             pinned != "0" ? "; it is pinned, `freshet model resume` ends that" : "");
  return kExitOk;
}

}  // namespace freshet
