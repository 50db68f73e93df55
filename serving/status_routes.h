// The routes beside the inference protocol: "/" a status page, "/status" what it shows as JSON, "/metrics" the
// Prometheus text. What they say comes from callbacks, so that this room needs to know nothing of the daemon. Where
// predictions take a token, /status and /metrics do; the page itself says nothing and is open.
//
// Threads: the callbacks are called from any server thread, several at a time.
#pragma once

#include <functional>
#include <string>

#include "serving/router.h"

namespace freshet {

struct StatusSources {
  std::function<std::string()> metrics;  // Prometheus text exposition format 0.0.4
  std::function<std::string()> status;   // a JSON object; its members are shown as a table
};

// An empty callback leaves its route out.
void add_status_routes(Router& router, StatusSources sources);

}  // namespace freshet
