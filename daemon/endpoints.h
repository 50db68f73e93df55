// Endpoints: where the daemon is asked: the HTTP server of `serving.listen`, and one of `serving.admin.listen` where
// that is set, with their tokens and certificate.
//
// Threads: the owner's; the servers have threads of their own, and the accepting one of the first looks once a second
// whether files of tokens or certificates have changed.
// Owns: servers, routes, tokens, TLS context. What the routes call outlives the servers.
// Failure: `prepare` says what is wrong with tokens and certificates before anything else is opened, `listen` why a
// server cannot listen.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/status.h"
#include "daemon/config/config.h"
#include "daemon/control/control_file.h"
#include "serving/access_control.h"
#include "serving/http_server.h"
#include "serving/router.h"
#include "serving/tls_context.h"

namespace freshet {

class Endpoints {
 public:
  // Reads the files of tokens and certificates. `metrics`, `log` and `clock` outlive this object.
  static Result<std::unique_ptr<Endpoints>> prepare(const ServingConfig& config, MetricsRegistry& metrics, Log& log,
                                                    const Clock& clock);

  // Routes are added before `listen`. The two are one where administration has no address of its own.
  Router& requests() { return requests_; }
  Router& administration() { return separate() ? administration_ : requests_; }
  bool separate() const { return !config_.admin.listen.empty(); }

  Status listen();
  std::uint16_t port() const { return server_->port(); }
  // For the control file: where administration is, and the owner's token.
  ControlAddress control() const;

  // True when every request in flight was answered.
  bool drain(std::chrono::milliseconds grace);

 private:
  Endpoints(const ServingConfig& config, std::string owner_token, MetricsRegistry& metrics, Log& log,
            const Clock& clock);
  Result<std::unique_ptr<HttpServer>> start(const std::string& address, const Router& router,
                                            HttpServerOptions options);
  HttpServerOptions server_options() const;
  void warn_of_what_is_open() const;
  std::string scheme() const { return tls_ ? "HTTPS" : "HTTP"; }

  const ServingConfig config_;
  const std::string owner_token_;
  MetricsRegistry& metrics_;
  Log& log_;
  const Clock& clock_;
  std::unique_ptr<AccessControl> access_;
  std::unique_ptr<TlsContext> tls_;  // null: plain HTTP
  Router requests_;
  Router administration_;
  std::unique_ptr<HttpServer> admin_server_;
  std::unique_ptr<HttpServer> server_;
};

// Whether only this machine reaches an address to listen on.
bool is_loopback(const std::string& host);

}  // namespace freshet
