// ControlClient: asks a running daemon to do something, and waits for the end of it: the daemon on a state folder,
// which control.json names, or one at an address.
//
// Threads: one owner.  Owns: nothing; each request has a connection of its own.
// Failure: kUnavailable when nobody answers, kFailedPrecondition when the daemon refuses or cannot prove who it is,
// else what its work ended with.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/control/control_file.h"
#include "daemon/control/operations.h"
#include "serving/http_call.h"
#include "serving/json_object.h"

namespace freshet {

// How a person says otherwise than control.json does; all may be empty.
struct ControlOptions {
  std::string url;               // "https://host:port" instead of the folder
  std::string token_file;        // the first token in it is sent
  std::string ca_file;           // who vouches for the daemon's certificate
  std::string certificate_file;  // of this client, for a daemon that asks for one
  std::string key_file;
};

class ControlClient {
 public:
  using Arguments = std::vector<std::pair<std::string, std::string>>;
  using OnProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

  // Of the daemon on this folder; kNotFound when there is no control file.
  static Result<ControlClient> for_folder(const std::string& folder, const ControlOptions& options = {});
  // Of the daemon at options.url.
  static Result<ControlClient> for_url(const ControlOptions& options);

  // Whether the daemon is there and takes the token.
  Status answers() const;

  // Starts the operation and asks for its state until it has ended: the `result` of its report, a JSON object.
  // lane: see serving/admin_routes.h.
  Result<std::string> run(std::string_view operation, const Arguments& arguments, const OnProgress& on_progress,
                          std::string_view lane = kOperationsLane) const;

 private:
  ControlClient() = default;
  Status choose(const ControlOptions& options);
  Result<HttpAnswer> request(std::string_view method, std::string_view path, std::string_view body) const;
  Status refused(const HttpAnswer& answer) const;

  HttpTarget target_;
  std::string token_;
  std::string token_from_;  // the file it came from
};

}  // namespace freshet
