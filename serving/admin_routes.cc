#include "serving/admin_routes.h"

#include <utility>

#include "core/status.h"

namespace freshet {
namespace {

constexpr std::string_view kScheme = "Bearer ";

bool same(std::string_view given, std::string_view token) {
  unsigned difference = given.size() == token.size() ? 0U : 1U;
  for (std::size_t i = 0; i < token.size(); ++i) {
    const char c = i < given.size() ? given[i] : '\0';
    difference |= static_cast<unsigned>(static_cast<unsigned char>(c) ^ static_cast<unsigned char>(token[i]));
  }
  return difference == 0;
}

bool authorised(const Request& request, std::string_view token) {
  const std::string_view given = request.header("Authorization");
  return given.size() > kScheme.size() && equals_ignoring_case(given.substr(0, kScheme.size()), kScheme) &&
         same(given.substr(kScheme.size()), token);
}

Response refuse() {
  Response response = error_response(401, "administration needs the token that stands in the state folder");
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

Response to_response(AdminAnswer answer) {
  Response response;
  response.status = answer.status;
  response.body = std::move(answer.json);
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

}  // namespace

void add_admin_routes(Router& router, std::string_view lane, const std::string& token,
                      const AdminCallbacks& callbacks) {
  if (token.empty()) abort_with("admin routes without a token");
  const std::string path = "/admin/v1/" + std::string(lane);
  router.add("GET", path + "/current", [token, current = callbacks.current](const Request& request) {
    return authorised(request, token) ? to_response(current()) : refuse();
  });
  router.add("POST", path + "/{name}", [token, start = callbacks.start](const Request& request) {
    if (!authorised(request, token)) return refuse();
    JsonObject arguments;
    if (!request.body.empty()) {
      auto parsed = parse_json_object(request.body);
      if (!parsed.is_ok()) return error_response(400, parsed.status().message());
      arguments = std::move(parsed).value();
    }
    return to_response(start(request.param("name"), arguments));
  });
}

}  // namespace freshet
