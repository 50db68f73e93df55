// HttpServer: HTTP/1.1, plain or over TLS, for a handful of busy clients: keep-alive, pipelining, chunked bodies, and a
// bound on everything that a client controls.
//
// Threads: `threads` of its own, each with its own event loop and its own share of the connections, so that no lock is
// taken per request, and one that accepts. Handlers run on them. `drain` and the destructor from the owner's thread.
// Owns: its sockets, threads and a copy of the handler.  Failure: `start` says why it cannot listen; after that every
// failure ends a connection, never the server.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/status.h"
#include "serving/http_message.h"
#include "serving/tls_context.h"

namespace freshet {

struct HttpServerOptions {
  std::string address = "0.0.0.0";  // an IP address, or "localhost"
  std::uint16_t port = 8080;        // 0: any free port
  std::size_t threads = 1;
  std::size_t header_bytes_max = 8192;
  std::size_t body_bytes_max = std::size_t{16} << 20;
  std::size_t large_bodies_bytes_max = std::size_t{256} << 20;  // of all bodies above 256 KiB together
  std::size_t connections_max = 1024;                           // one more is answered 503 and closed
  std::size_t connections_per_peer_max = 0;                     // of one client address; 0: no bound
  std::chrono::milliseconds idle_timeout{75'000};               // between requests of a connection
  // When connections become scarce, those that have been idle for longer than this are closed, the longest idle first.
  std::chrono::milliseconds spare_idle{1'000};
  std::chrono::milliseconds handshake_timeout{10'000};  // of TLS
  std::chrono::milliseconds header_timeout{10'000};     // to send one request's header whole
  std::chrono::milliseconds request_timeout{30'000};    // to send one request whole, and to take one response whole
  std::chrono::milliseconds linger_timeout{2'000};      // after an error: lets the client read why
  TlsContext* tls = nullptr;                            // outlives the server; null: plain HTTP
  std::string thread_name = "http";                     // of its threads; up to 8 letters
  std::function<void()> every_second;                   // called on the accepting thread; must return soon
};

class HttpServer {
 public:
  // Listens when it returns. `metrics`, `log` and `clock` outlive the server.
  static Result<std::unique_ptr<HttpServer>> start(const HttpServerOptions& options, Handler handler,
                                                   MetricsRegistry& metrics, Log& log, const Clock& clock);
  ~HttpServer();  // drains with no grace
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;

  // Stops accepting, closes idle connections, lets requests in flight finish for at most `grace`, then closes what is
  // left and joins the threads. True when every request in flight was answered. A second call does nothing.
  bool drain(std::chrono::milliseconds grace);

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace freshet
