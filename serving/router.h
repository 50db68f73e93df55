// Router: finds the handler of a request by method and path. A pattern is a path whose `{name}` segments match any one
// segment; patterns are tried in the order they were added.
//
// A route says what access it asks for; who does not have it is answered before the handler sees the request.
//
// Threads: `add` before serving starts; `handle` from any number of threads.  Owns: its handlers.
// Failure: no such path: 404. Path known, method not: 405 with Allow. No access: 401 or 403. All as {"error": …}.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "serving/access_control.h"
#include "serving/http_message.h"

namespace freshet {

class Router {
 public:
  Router() = default;  // without tokens: no route can ask for Access::kAdmin
  // `access` outlives the router.
  explicit Router(const AccessControl& access) : access_(&access) {}

  // `pattern` begins with '/', e.g. "/v2/models/{model}/infer"; at most Request::kParamsMax placeholders. A route that
  // would let everybody administrate aborts.
  void add(std::string_view method, std::string_view pattern, Handler handler, Access access = Access::kInference);

  // HEAD is answered by the GET handler (the server leaves the body out). A trailing slash makes no difference.
  Response handle(const Request& request) const;

 private:
  struct Segment {
    std::string text;  // the literal, or the placeholder's name
    bool placeholder = false;
  };
  struct Route {
    std::string method;
    std::vector<Segment> segments;
    Handler handler;
    Access access = Access::kInference;
  };

  const AccessControl* access_ = nullptr;
  std::vector<Route> routes_;
};

}  // namespace freshet
