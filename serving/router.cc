#include "serving/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/status.h"

namespace freshet {
namespace {

constexpr std::size_t kSegmentsMax = 12;
constexpr std::size_t kEchoedPathMax = 200;

struct Segments {
  std::array<std::string_view, kSegmentsMax> items;
  std::size_t count = 0;
  bool too_many = false;
};

Segments split(std::string_view path) {
  Segments segments;
  if (!path.empty() && path.front() == '/') path.remove_prefix(1);
  if (!path.empty() && path.back() == '/') path.remove_suffix(1);
  while (!path.empty()) {
    if (segments.count == kSegmentsMax) {
      segments.too_many = true;
      break;
    }
    const auto slash = path.find('/');
    segments.items[segments.count++] = path.substr(0, slash);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return segments;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Appends `text` with its %XX undone; a '%' that starts no such pair stays as it is.
void append_decoded(std::string& out, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i];
    }
  }
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, Handler handler, Access access) {
  if (access == Access::kAdmin && access_ == nullptr) abort_with("a route of administration that takes no token");
  const Segments parts = split(pattern);
  Route route;
  route.method = method;
  route.handler = std::move(handler);
  route.access = access;
  std::size_t placeholders = 0;
  for (std::size_t i = 0; i < parts.count; ++i) {
    const std::string_view part = parts.items[i];
    const bool placeholder = part.size() > 2 && part.front() == '{' && part.back() == '}';
    placeholders += placeholder ? 1 : 0;
    route.segments.push_back({std::string(placeholder ? part.substr(1, part.size() - 2) : part), placeholder});
  }
  if (parts.too_many || placeholders > Request::kParamsMax) abort_with("route pattern with too many parts");
  routes_.push_back(std::move(route));
}

Response Router::handle(const Request& request) const {
  const Segments parts = split(request.path);
  const std::string_view method = request.method == "HEAD" ? "GET" : request.method;
  std::string allowed;
  for (const auto& route : routes_) {
    if (parts.too_many || route.segments.size() != parts.count) continue;
    const bool matches = std::equal(route.segments.begin(), route.segments.end(), parts.items.begin(),
                                    [](const Segment& segment, std::string_view part) {
                                      return segment.placeholder ? !part.empty() : segment.text == part;
                                    });
    if (!matches) continue;
    if (route.method != method) {
      if (!allowed.empty()) allowed += ", ";
      allowed += route.method == "GET" ? "GET, HEAD" : route.method;
      continue;
    }
    if (access_ != nullptr) {
      if (auto refused = access_->refusal(route.access, request)) return *std::move(refused);
    }
    Request routed = request;
    std::string decoded;
    decoded.reserve(request.path.size());  // decoding never lengthens, so the views below stay good
    std::size_t filled = 0;
    for (std::size_t i = 0; i < parts.count; ++i) {
      if (!route.segments[i].placeholder) continue;
      std::string_view value = parts.items[i];
      if (value.find('%') != std::string_view::npos) {
        const std::size_t begin = decoded.size();
        append_decoded(decoded, value);
        value = std::string_view(decoded).substr(begin);
      }
      routed.params[filled++] = {route.segments[i].text, value};
    }
    return route.handler(routed);
  }
  if (!allowed.empty()) {
    Response response = error_response(405, fmt::format("{} is not possible on {}; allowed: {}", request.method,
                                                        request.path.substr(0, kEchoedPathMax), allowed));
    response.headers.emplace_back("Allow", std::move(allowed));
    return response;
  }
  return error_response(404, fmt::format("no such path: {}", request.path.substr(0, kEchoedPathMax)));
}

}  // namespace freshet
