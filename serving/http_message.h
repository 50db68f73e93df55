// Request and Response: what a handler sees of HTTP, free of Boost. A request borrows everything from its connection's
// buffers and is valid only while the handler runs.
//
// Threads: a handler is called from any server thread, one request a thread at a time.  Owns: a response its body.
// Failure: a handler may throw; the server then answers 500 and logs.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace freshet {

class EventStream;

struct HeaderView {
  std::string_view name;
  std::string_view value;
};

struct Request {
  std::string_view method;  // "GET"
  std::string_view path;    // "/v2/models/m", still percent-encoded
  std::string_view query;   // what follows '?', without it
  std::span<const HeaderView> headers;
  std::string_view body;
  std::size_t body_slack = 0;  // bytes past the body's end that may be read (JSON parsers read ahead)
  std::size_t worker = 0;      // index of the server thread, below HttpServerOptions::threads

  // The first header of that name, whatever its case; empty when there is none.
  std::string_view header(std::string_view name) const;
  bool has_header(std::string_view name) const;
  // A placeholder of the route's pattern, percent-decoded; empty when there is none. Set by the router.
  std::string_view param(std::string_view name) const;

  static constexpr std::size_t kParamsMax = 4;
  std::array<std::pair<std::string_view, std::string_view>, kParamsMax> params;
};

inline constexpr std::string_view kJsonType = "application/json";
inline constexpr std::string_view kTextType = "text/plain; charset=utf-8";
inline constexpr std::string_view kHtmlType = "text/html; charset=utf-8";
inline constexpr std::string_view kEventStreamType = "text/event-stream";

struct Response {
  int status = 200;
  std::string_view content_type = kJsonType;  // must outlive the response: a literal
  std::string body = {};
  std::vector<std::pair<std::string_view, std::string>> headers = {};  // beside the server's own; names are literals
  // Whether the server may compress the body for a client that takes that. Not for all: tritonclient's asyncio client
  // asks for it with every request and unpacks the answers to inference alone.
  bool compressible = false;
  // Instead of a body: the connection follows this stream until it ends (serving/event_stream.h).
  std::shared_ptr<EventStream> events = {};
};

using Handler = std::function<Response(const Request&)>;

// {"error":"…"} with that status.
Response error_response(int status, std::string_view message);

// "Not Found"; "Unknown" for a code outside the table.
std::string_view status_reason(int status);

bool equals_ignoring_case(std::string_view left, std::string_view right);

}  // namespace freshet
