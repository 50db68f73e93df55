// The routes beside the inference protocol: "/" a page that shows the daemon, "/metrics" the Prometheus text, and what
// the page is fed with. What they say comes from callbacks, so that this room needs to know nothing of the daemon.
//
//   GET /status                       how it stands, for programs
//   GET /status/stream                the same and more, again and again, as server-sent events
//   GET /status/history?step=second   how it was; step: second, minute, life
//   GET /status/slices                what was scored of each slice in the kept rounds
//   GET /status/config                the options
//
// Where predictions take a token, all of them do, and /status/config one of an administrator; the page itself says
// nothing and is open.
//
// Threads: the callbacks are called from any server thread, several at a time.
// Failure: a step that there is not: 400. More who follow the stream than it takes: 503.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "serving/event_stream.h"
#include "serving/router.h"

namespace freshet {

// All but `page` and the metrics give JSON.
struct StatusSources {
  std::function<std::string()> metrics;  // Prometheus text exposition format 0.0.4
  std::function<std::string()> status;
  std::function<std::shared_ptr<EventStream>()> stream;
  std::function<std::optional<std::string>(std::string_view step)> history;  // nothing: there is no such step
  std::function<std::string()> slices;
  std::function<std::string()> config;
  std::string page;         // an HTML document
  std::string page_policy;  // its content security policy
};

// An empty callback, or page, leaves its route out.
void add_status_routes(Router& router, StatusSources sources);

}  // namespace freshet
