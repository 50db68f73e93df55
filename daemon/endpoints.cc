#include "daemon/endpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

namespace freshet {

Endpoints::Endpoints(const ServingConfig& config, std::string owner_token, MetricsRegistry& metrics, Log& log,
                     const Clock& clock)
    : config_(config), owner_token_(std::move(owner_token)), metrics_(metrics), log_(log), clock_(clock) {}

Result<std::unique_ptr<Endpoints>> Endpoints::prepare(const ServingConfig& config, MetricsRegistry& metrics, Log& log,
                                                      const Clock& clock) {
  std::string token = TRY(make_control_token());
  std::unique_ptr<Endpoints> endpoints(new Endpoints(config, std::move(token), metrics, log, clock));
  AccessControl::Files files;
  files.inference = config.tokens.inference_file;
  files.feedback = config.tokens.feedback_file;
  files.admin = config.tokens.admin_file;
  endpoints->access_ = TRY(AccessControl::load(files, endpoints->owner_token_, metrics, log));
  endpoints->requests_ = Router(*endpoints->access_);
  endpoints->administration_ = Router(*endpoints->access_);
  if (!config.tls.certificate_file.empty()) {
    TlsFiles tls;
    tls.certificate = config.tls.certificate_file;
    tls.key = config.tls.key_file;
    tls.client_ca = config.tls.client_ca_file;
    endpoints->tls_ = TRY(TlsContext::load(tls, metrics, log, clock));
  }
  return endpoints;
}

HttpServerOptions Endpoints::server_options() const {
  HttpServerOptions options;
  options.header_bytes_max = static_cast<std::size_t>(config_.header_bytes_max);
  options.body_bytes_max = static_cast<std::size_t>(config_.body_bytes_max);
  options.large_bodies_bytes_max = static_cast<std::size_t>(config_.large_bodies_bytes_max);
  options.connections_max = config_.connections_max;
  options.connections_per_peer_max = config_.connections_per_peer_max;
  options.idle_timeout = std::chrono::milliseconds(config_.idle_timeout_ms);
  options.header_timeout = std::chrono::milliseconds(config_.header_timeout_ms);
  options.request_timeout = std::chrono::milliseconds(config_.request_timeout_ms);
  options.handshake_timeout = std::chrono::milliseconds(config_.tls.handshake_timeout_ms);
  options.tls = tls_.get();
  return options;
}

Result<std::unique_ptr<HttpServer>> Endpoints::start(const std::string& address, const Router& router,
                                                     HttpServerOptions options) {
  const HostPort listen = TRY(parse_host_port(address));
  options.address = listen.host;
  options.port = listen.port;
  return HttpServer::start(
      options, [&router](const Request& request) { return router.handle(request); }, metrics_, log_, clock_);
}

Status Endpoints::listen() {
  if (separate()) {
    HttpServerOptions options = server_options();
    options.thread_name = "admin";
    admin_server_ = TRY(start(config_.admin.listen, administration_, options).with_context("serving.admin.listen"));
    const HostPort address = TRY(parse_host_port(config_.admin.listen));
    log_.info("serving_admin",
              fmt::format("administration ({}) at {}:{}", scheme(), address.host, admin_server_->port()));
  }
  HttpServerOptions options = server_options();
  options.threads = config_.threads;
  options.every_second = [this] {
    access_->refresh();
    if (tls_) tls_->refresh();
  };
  server_ = TRY(start(config_.listen, requests_, options));
  const HostPort address = TRY(parse_host_port(config_.listen));
  warn_of_what_is_open();
  log_.info("serving", fmt::format("{} on {}:{}", scheme(), address.host, server_->port()));
  return Status::ok();
}

void Endpoints::warn_of_what_is_open() const {
  const auto far = [](const std::string& address) {
    const auto parsed = parse_host_port(address);
    return parsed.is_ok() && !is_loopback(parsed->host);
  };
  const std::string& changes = separate() ? config_.admin.listen : config_.listen;
  if (far(changes) && !access_->demands(Access::kChange)) {
    log_.warning(
        "open_to_all",
        fmt::format("whoever reaches {} may load and unload versions{}; serving.tokens.admin_file names who may "
                    "(administration takes the token of {} alone)",
                    changes, separate() ? "" : " and ask for predictions", kControlFileName));
  }
  const bool tokens = !config_.tokens.inference_file.empty() || !config_.tokens.feedback_file.empty() ||
                      !config_.tokens.admin_file.empty();
  if (tokens && !tls_ && (far(config_.listen) || far(changes))) {
    log_.warning("tokens_in_clear",
                 "tokens come over plain HTTP, where others on the way can read them: set "
                 "serving.tls.certificate_file, unless a proxy before this server speaks TLS");
  }
}

ControlAddress Endpoints::control() const {
  ControlAddress address;
  const auto listen = parse_host_port(separate() ? config_.admin.listen : config_.listen);
  if (listen.is_ok()) address.host = listen->host;
  address.port = separate() ? admin_server_->port() : server_->port();
  address.token = owner_token_;
  if (tls_) {
    std::error_code error;
    const auto absolute = std::filesystem::absolute(config_.tls.certificate_file, error);
    address.certificate_file = error ? config_.tls.certificate_file : absolute.string();
  }
  return address;
}

bool Endpoints::drain(std::chrono::milliseconds grace) {
  constexpr std::chrono::milliseconds kAdminGrace{1000};  // nothing there takes long
  const bool answered = !server_ || server_->drain(grace);
  return (!admin_server_ || admin_server_->drain(std::min(grace, kAdminGrace))) && answered;
}

bool is_loopback(const std::string& host) { return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0; }

}  // namespace freshet
