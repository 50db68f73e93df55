// call_http: one HTTP/1.1 request to a server and its answer, over TLS where the target says so; for commands, which
// wait for it. Every wait ends after half a minute.
//
// Threads: any; it has no state.  Owns: one connection while it runs.
// Failure: kUnavailable when nobody answers in time, kFailedPrecondition for a server that cannot prove who it is: it
// is told neither token nor body. kInvalidArgument for files or addresses that cannot be used.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"

namespace freshet {

struct HttpTarget {
  std::string host;  // a name or an address, without brackets
  std::uint16_t port = 0;
  bool tls = false;
  std::string ca_file;           // PEM: who vouches for the server; empty: the system's authorities
  std::string only_certificate;  // PEM: the server must show this very certificate; its name then does not matter
  std::string certificate_file;  // PEM: of this client, where the server asks for one
  std::string key_file;
};

// "http://host:port" or "https://host:port", without a path.
Result<HttpTarget> parse_http_url(std::string_view url);

struct HttpAnswer {
  int status = 0;
  std::string body;
};

// `token` is sent as a bearer token unless it is empty.
Result<HttpAnswer> call_http(const HttpTarget& target, std::string_view method, std::string_view path,
                             std::string_view token, std::string_view body);

}  // namespace freshet
