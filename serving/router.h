// Router: finds the handler of a request by method and path. A pattern is a path whose `{name}` segments match any one
// segment; patterns are tried in the order they were added.
//
// Threads: `add` before serving starts; `handle` from any number of threads.  Owns: its handlers.
// Failure: no such path: 404. Path known, method not: 405 with Allow. Both as {"error": …}.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "serving/http_message.h"

namespace freshet {

class Router {
 public:
  // `pattern` begins with '/', e.g. "/v2/models/{model}/infer"; at most Request::kParamsMax placeholders.
  void add(std::string_view method, std::string_view pattern, Handler handler);

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
  };

  std::vector<Route> routes_;
};

}  // namespace freshet
