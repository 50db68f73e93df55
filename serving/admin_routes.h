// Routes by which an operator works on the state of a running daemon. What is possible, and what it does, comes from
// callbacks, so that this room knows nothing of the daemon.
//
//   POST /admin/v1/{lane}/{name}   starts one; the body is a JSON object of its arguments
//   GET  /admin/v1/{lane}/current  how far the running one is, or how the last one ended
//
// A lane runs one at a time; what must not wait behind a backup has a lane of its own.
//
// Every request carries an admin token (serving/access_control.h).
//
// Threads: the callbacks are called from any server thread, several at a time, and must return soon.
// Failure: a body that is no JSON object: 400.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "serving/json_object.h"
#include "serving/router.h"

namespace freshet {

struct AdminAnswer {
  int status = 200;
  std::string json;  // an object
};

struct AdminCallbacks {
  std::function<AdminAnswer(std::string_view name, const JsonObject& arguments)> start;
  std::function<AdminAnswer()> current;
};

// The router was made with an AccessControl.
void add_admin_routes(Router& router, std::string_view lane, const AdminCallbacks& callbacks);

}  // namespace freshet
