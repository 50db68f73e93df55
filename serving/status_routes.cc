#include "serving/status_routes.h"

#include <utility>

namespace freshet {
namespace {

constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

Response document(std::string json) {
  Response response;
  response.body = std::move(json);
  response.compressible = true;
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

void add_document(Router& router, std::string_view path, std::function<std::string()> source,
                  Access access = Access::kInference) {
  if (!source) return;
  router.add(
      "GET", path, [source = std::move(source)](const Request&) { return document(source()); }, access);
}

Response follow(const Request& request, const std::function<std::shared_ptr<EventStream>()>& stream) {
  if (request.method != "GET") {
    Response response = error_response(405, "a stream has no head alone; allowed: GET");
    response.headers.emplace_back("Allow", "GET");
    return response;
  }
  Response response;
  response.headers.emplace_back("Cache-Control", "no-store");
  response.headers.emplace_back("X-Accel-Buffering", "no");  // proxies of the nginx kind would gather the events
  response.events = stream();
  return response;
}

Response page_response(const std::string& page, const std::string& policy) {
  Response response;
  response.content_type = kHtmlType;
  response.headers.emplace_back("Content-Security-Policy", policy);
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  response.headers.emplace_back("X-Content-Type-Options", "nosniff");
  response.headers.emplace_back("Cache-Control", "no-cache");
  response.body = page;
  response.compressible = true;
  return response;
}

// The value of `name` in "a=1&b=2"; empty when it is not there.
std::string_view query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=') {
      return pair.substr(name.size() + 1);
    }
    query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
  }
  return {};
}

}  // namespace

void add_status_routes(Router& router, StatusSources sources) {
  if (sources.metrics) {
    router.add("GET", "/metrics", [metrics = std::move(sources.metrics)](const Request&) {
      Response response;
      response.content_type = kMetricsType;
      response.body = metrics();
      response.compressible = true;
      return response;
    });
  }
  add_document(router, "/status", std::move(sources.status));
  add_document(router, "/status/slices", std::move(sources.slices));
  add_document(router, "/status/config", std::move(sources.config), Access::kChange);
  if (sources.history) {
    router.add("GET", "/status/history", [history = std::move(sources.history)](const Request& request) {
      auto found = history(query_value(request.query, "step"));
      return found ? document(std::move(*found)) : error_response(400, "'step' must be second, minute or life");
    });
  }
  if (sources.stream) {
    router.add("GET", "/status/stream",
               [stream = std::move(sources.stream)](const Request& request) { return follow(request, stream); });
  }
  if (sources.page.empty()) return;
  router.add(
      "GET", "/",
      [page = std::move(sources.page), policy = std::move(sources.page_policy)](const Request&) {
        return page_response(page, policy);
      },
      Access::kOpen);
}

}  // namespace freshet
