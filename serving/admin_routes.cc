#include "serving/admin_routes.h"

#include <string>
#include <utility>

namespace freshet {
namespace {

Response to_response(AdminAnswer answer) {
  Response response;
  response.status = answer.status;
  response.body = std::move(answer.json);
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

}  // namespace

void add_admin_routes(Router& router, std::string_view lane, const AdminCallbacks& callbacks) {
  const std::string path = "/admin/v1/" + std::string(lane);
  router.add(
      "GET", path + "/current", [current = callbacks.current](const Request&) { return to_response(current()); },
      Access::kAdmin);
  router.add(
      "POST", path + "/{name}",
      [start = callbacks.start](const Request& request) {
        JsonObject arguments;
        if (!request.body.empty()) {
          auto parsed = parse_json_object(request.body);
          if (!parsed.is_ok()) return error_response(400, parsed.status().message());
          arguments = std::move(parsed).value();
        }
        return to_response(start(request.param("name"), arguments));
      },
      Access::kAdmin);
}

}  // namespace freshet
