// ModelRepository: which kept versions of the model answer requests, and the model repository extension over it:
//
//   POST /v2/repository/index                      {"ready":true} leaves out what does not answer
//   POST /v2/repository/models/{model}/load        {"parameters":{"version":"7"}}; without a version: the live one
//   POST /v2/repository/models/{model}/unload      {"parameters":{"version":"7"}}
//
// Versions come from training alone. The live one always answers: to unload it is refused. An unloaded version stays
// kept for a rollback, and is gone for good when newer ones push it out; until then it can be loaded again.
//
// Threads: any; a mutex guards the unloaded versions and is taken by requests that name a version.
// Owns: the list of unloaded versions.
// Failure: 400 bad request, 404 unknown model or version, 409 the live version, 503 no version yet.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/predictor.h"
#include "core/status.h"
#include "serving/http_message.h"
#include "serving/model_slot.h"
#include "serving/router.h"

namespace freshet {

class ModelRepository {
 public:
  // `slot` outlives this object, which outlives the server.
  ModelRepository(std::string model_name, const ModelSlot& slot) : model_name_(std::move(model_name)), slot_(slot) {}

  // `changes` takes load and unload; it may be `requests`. Both take the index.
  void add_routes(Router& requests, Router& changes);

  // The version if it is the live one or kept and not unloaded; else null.
  std::shared_ptr<const Predictor> find(std::uint64_t version) const;
  // The live version first, then those kept and not unloaded, newest first.
  std::vector<std::uint64_t> served_versions() const;

 private:
  struct Target {
    std::optional<std::uint64_t> version;
    std::optional<Response> refusal;
  };
  Response index(const Request& request) const;
  Response load(const Request& request);
  Response unload(const Request& request);
  // What a load or unload is about, or why it cannot be.
  Target read_target(const Request& request) const;
  Response not_kept(std::uint64_t version) const;
  Response done(std::string_view what) const;
  bool unloaded(std::uint64_t version) const;
  void set_unloaded(std::uint64_t version, bool unloaded);

  const std::string model_name_;
  const ModelSlot& slot_;
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> unloaded_;
};

// A version as it stands in a path or parameter: decimal digits.
std::optional<std::uint64_t> parse_version(std::string_view text);

// 404 for a model that this server does not have, 503 for one without a version yet.
Response unknown_model(std::string_view asked, std::string_view served);
Response no_version_yet(std::string_view model);

}  // namespace freshet
