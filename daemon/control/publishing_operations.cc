#include "daemon/control/publishing_operations.h"

#include <fmt/format.h>

#include <charconv>

#include "core/json_writer.h"
#include "daemon/status_json.h"

namespace freshet {
namespace {

constexpr std::chrono::minutes kPatience{1};  // a batch, a full disk that gets room

Result<std::string> control(Pipeline& pipeline, const JsonObject& arguments) {
  PublishingRequest request;
  request.action = TRY(parse_publishing_action(member(arguments, "action")));
  const std::string version = member(arguments, "version");
  if (!version.empty()) {
    const auto read = std::from_chars(version.data(), version.data() + version.size(), request.version);
    if (read.ec != std::errc() || read.ptr != version.data() + version.size()) {
      return invalid_argument(fmt::format("'version' must be a number, not '{}'", version));
    }
  }
  const PublishingAnswer answer = TRY(pipeline.control_publishing(request, kPatience));
  JsonWriter json(0);
  json.begin_object();
  json.field("served_version", answer.served_version);
  json.field("paused", answer.paused);
  json.field("pinned_version", answer.pinned_version);
  json.end_object();
  return json.take();
}

}  // namespace

StateOperations publishing_operations(Pipeline& pipeline) {
  StateOperations operations;
  operations["publishing"] = {
      "requests", [&pipeline](const JsonObject& arguments, Progress&) { return control(pipeline, arguments); }};
  operations["versions"] = {"versions", [&pipeline](const JsonObject&, Progress&) -> Result<std::string> {
                              const PipelineSnapshot snapshot = pipeline.snapshot();
                              JsonWriter json(0);
                              json.begin_object();
                              json.field("served_version", snapshot.served_version);
                              write_gate(json, snapshot);
                              json.end_object();
                              return json.take();
                            }};
  return operations;
}

}  // namespace freshet
