#include "serving/model_repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/json_writer.h"
#include "serving/json_object.h"

namespace freshet {
namespace {

constexpr std::size_t kEchoedMax = 100;
constexpr std::size_t kBodyBytesMax = 4096;  // nothing that is understood here is longer

Result<JsonObject> read_body(const Request& request) {
  if (request.body.empty()) return JsonObject();
  if (request.body.size() > kBodyBytesMax) {
    return invalid_argument(fmt::format("the request has {} bytes; models come from training and cannot be sent here",
                                        request.body.size()));
  }
  return parse_json_object(request.body);
}

}  // namespace

std::optional<std::uint64_t> parse_version(std::string_view text) {
  std::uint64_t version = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), version);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return version;
}

Response unknown_model(std::string_view asked, std::string_view served) {
  return error_response(
      404, fmt::format("there is no model '{}'; this server has '{}'", asked.substr(0, kEchoedMax), served));
}

Response no_version_yet(std::string_view model) {
  Response response = error_response(503, fmt::format("model '{}' has no version yet; try again shortly", model));
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

void ModelRepository::add_routes(Router& requests, Router& changes) {
  const auto add_index = [this](Router& router) {
    router.add("POST", "/v2/repository/index", [this](const Request& request) { return index(request); });
  };
  add_index(requests);
  if (&requests != &changes) add_index(changes);
  changes.add(
      "POST", "/v2/repository/models/{model}/load", [this](const Request& request) { return load(request); },
      Access::kChange);
  changes.add(
      "POST", "/v2/repository/models/{model}/unload", [this](const Request& request) { return unload(request); },
      Access::kChange);
}

bool ModelRepository::unloaded(std::uint64_t version) const {
  const std::lock_guard lock(mutex_);
  return std::find(unloaded_.begin(), unloaded_.end(), version) != unloaded_.end();
}

std::shared_ptr<const Predictor> ModelRepository::find(std::uint64_t version) const {
  std::shared_ptr<const Predictor> model = slot_.current();
  if (model && model->version() == version) return model;
  if (unloaded(version)) return nullptr;
  return slot_.find(version);
}

std::vector<std::uint64_t> ModelRepository::served_versions() const {
  std::vector<std::uint64_t> versions = slot_.loaded_versions();
  if (versions.empty()) return versions;
  versions.erase(
      std::remove_if(versions.begin() + 1, versions.end(), [this](std::uint64_t kept) { return unloaded(kept); }),
      versions.end());
  return versions;
}

Response ModelRepository::index(const Request& request) const {
  const auto body = read_body(request);
  if (!body.is_ok()) return error_response(400, body.status().message());
  const std::string ready = member(*body, "ready");
  if (!ready.empty() && ready != "true" && ready != "false")
    return error_response(400, fmt::format("'ready' must be true or false, is {}", ready.substr(0, kEchoedMax)));
  std::string out = "[";
  const auto add = [&](std::string_view version, bool answers, std::string_view reason) {
    if (!answers && ready == "true") return;
    if (out.size() > 1) out += ',';
    out += R"({"name":)";
    append_json_text(out, model_name_);
    if (!version.empty()) out.append(R"(,"version":")").append(version).append("\"");
    out.append(R"(,"state":")").append(answers ? "READY" : "UNAVAILABLE").append(R"(","reason":")").append(reason);
    out += "\"}";
  };
  const std::vector<std::uint64_t> versions = slot_.loaded_versions();
  if (versions.empty()) add("", false, "no version has been trained yet");
  for (std::size_t i = 0; i < versions.size(); ++i) {
    const bool answers = i == 0 || !unloaded(versions[i]);
    add(std::to_string(versions[i]), answers, answers ? "" : "unloaded");
  }
  Response response;
  response.body = out + "]";
  return response;
}

ModelRepository::Target ModelRepository::read_target(const Request& request) const {
  const auto refuse = [](Response response) { return Target{std::nullopt, std::move(response)}; };
  if (request.param("model") != model_name_) return refuse(unknown_model(request.param("model"), model_name_));
  const auto body = read_body(request);
  if (!body.is_ok()) return refuse(error_response(400, body.status().message()));
  Target target;
  const auto stated = body->find("parameters");
  if (stated == body->end() || stated->second == "null") return target;
  const auto parameters = parse_json_object(stated->second);
  if (!parameters.is_ok()) return refuse(error_response(400, "'parameters' must be an object"));
  for (const auto& [name, value] : *parameters) {
    if (name == "config" || name.starts_with("file:"))
      return refuse(
          error_response(400, fmt::format("'{}' is not possible: models come from training and cannot be sent",
                                          name.substr(0, kEchoedMax))));
    if (name != "version") continue;
    target.version = parse_version(value);
    if (!target.version)
      return refuse(error_response(400, fmt::format("'{}' is no version number", value.substr(0, kEchoedMax))));
  }
  return target;
}

Response ModelRepository::not_kept(std::uint64_t version) const {
  return error_response(404, fmt::format("model '{}' has no version '{}' kept; kept: {}", model_name_, version,
                                         fmt::join(slot_.loaded_versions(), ", ")));
}

Response ModelRepository::done(std::string_view what) const {
  Response response;
  response.body = R"({"name":)";
  append_json_text(response.body, model_name_);
  response.body.append(",\"").append(what).append("\":true}");
  return response;
}

// The list holds kept versions only, so that it is as short as what is kept.
void ModelRepository::set_unloaded(std::uint64_t version, bool unloaded) {
  const std::vector<std::uint64_t> kept = slot_.loaded_versions();
  const std::lock_guard lock(mutex_);
  std::erase_if(unloaded_, [&](std::uint64_t one) {
    return one == version || std::find(kept.begin(), kept.end(), one) == kept.end();
  });
  if (unloaded) unloaded_.push_back(version);
}

Response ModelRepository::load(const Request& request) {
  Target target = read_target(request);
  if (target.refusal) return std::move(*target.refusal);
  if (!slot_.current()) return no_version_yet(model_name_);
  if (target.version) {
    if (!slot_.find(*target.version)) return not_kept(*target.version);
    set_unloaded(*target.version, false);
  }
  return done("load");
}

Response ModelRepository::unload(const Request& request) {
  Target target = read_target(request);
  if (target.refusal) return std::move(*target.refusal);
  const std::shared_ptr<const Predictor> live = slot_.current();
  if (!live) return no_version_yet(model_name_);
  if (!target.version || *target.version == live->version()) {
    return error_response(
        409, fmt::format("version {} of model '{}' is live and answers requests; only kept versions can be unloaded, "
                         "named by the parameter 'version'",
                         live->version(), model_name_));
  }
  if (!slot_.find(*target.version)) return not_kept(*target.version);
  set_unloaded(*target.version, true);
  return done("unload");
}

}  // namespace freshet
