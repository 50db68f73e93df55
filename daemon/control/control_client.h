// ControlClient: asks the daemon that runs on a state folder to do something, and waits for the end of it.
//
// Threads: one owner.  Owns: nothing; each request has a connection of its own.
// Failure: kUnavailable when nobody answers, kFailedPrecondition when the daemon refuses, else what its work ended
// with.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/control/control_file.h"
#include "daemon/control/operations.h"
#include "serving/json_object.h"

namespace freshet {

class ControlClient {
 public:
  using Arguments = std::vector<std::pair<std::string, std::string>>;
  using OnProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;

  // Of the daemon on this folder; kNotFound when there is no control file.
  static Result<ControlClient> for_folder(const std::string& folder);

  // Whether the daemon is there and takes this folder's token.
  Status answers() const;

  // Starts the operation and asks for its state until it has ended: the `result` of its report, a JSON object.
  // lane: see serving/admin_routes.h.
  Result<std::string> run(std::string_view operation, const Arguments& arguments, const OnProgress& on_progress,
                          std::string_view lane = kOperationsLane) const;

 private:
  struct Answer {
    int status = 0;
    std::string body;
  };
  explicit ControlClient(ControlAddress address) : address_(std::move(address)) {}
  Result<Answer> request(std::string_view method, std::string_view path, std::string_view body) const;

  ControlAddress address_;
};

}  // namespace freshet
