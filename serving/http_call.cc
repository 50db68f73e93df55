#include "serving/http_call.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

#include "serving/tls_bio.h"

namespace freshet {
namespace {

constexpr std::size_t kAnswerBytesMax = std::size_t{4} << 20;
constexpr int kSecondsMax = 30;  // for each wait
constexpr std::string_view kPlainScheme = "http://";
constexpr std::string_view kTlsScheme = "https://";

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(BIO* bio) const { BIO_free(bio); }
};
template <typename T>
using Held = std::unique_ptr<T, Free>;

class Socket {
 public:
  explicit Socket(const HttpTarget& target) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (::getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &found) != 0) return;
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
    for (const addrinfo* place = found; place != nullptr; place = place->ai_next) {
      descriptor_ = ::socket(place->ai_family, place->ai_socktype | SOCK_CLOEXEC, place->ai_protocol);
      if (descriptor_ < 0) continue;
      timeval patience{};
      patience.tv_sec = kSecondsMax;
      ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
      ::setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
      if (::connect(descriptor_, place->ai_addr, place->ai_addrlen) == 0) return;
      ::close(descriptor_);
      descriptor_ = -1;
    }
  }
  ~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

std::string tls_reason() {
  const unsigned long code = ERR_peek_last_error();  // NOLINT(google-runtime-int): OpenSSL's own type
  const char* const reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  std::string text = reason == nullptr ? "the connection ended" : reason;
  ERR_clear_error();
  return text;
}

Result<Held<X509>> read_certificate(const std::string& path) {
  const Held<BIO> file(BIO_new_file(path.c_str(), "r"));
  Held<X509> certificate(file ? PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!certificate) {
    return invalid_argument(fmt::format("{} is not a certificate in PEM form: {}", path, tls_reason()));
  }
  return certificate;
}

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

// The client's end of a TLS session over a socket that waits.
class Tls {
 public:
  static Result<std::unique_ptr<Tls>> open(const HttpTarget& target, int descriptor) {
    std::unique_ptr<Tls> tls(new Tls);
    TRY(tls->prepare(target, descriptor));
    TRY(tls->shake_hands(target));
    return tls;
  }
  ~Tls() {
    if (ssl_) SSL_shutdown(ssl_.get());
  }
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  bool send(std::string_view bytes) {
    std::size_t sent = 0;  // all of them, or none: partial writes are off
    return bytes.empty() || SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent) == 1;
  }
  // Bytes read; 0 at the end, -1 after an error.
  ssize_t receive(char* to, std::size_t size) {
    std::size_t got = 0;
    const int result = SSL_read_ex(ssl_.get(), to, size, &got);
    if (result == 1) return static_cast<ssize_t>(got);
    return SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
  }

 private:
  Tls() = default;

  Status prepare(const HttpTarget& target, int descriptor) {
    ERR_clear_error();
    method_ = make_tls_bio_method();
    context_.reset(SSL_CTX_new(TLS_client_method()));
    if (!method_ || !context_) return resource_exhausted("no memory to set up TLS");
    SSL_CTX* const context = context_.get();
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_AUTO_RETRY);
    if (!target.certificate_file.empty()) {
      if (SSL_CTX_use_certificate_chain_file(context, target.certificate_file.c_str()) != 1) {
        return invalid_argument(
            fmt::format("{} is not a certificate in PEM form: {}", target.certificate_file, tls_reason()));
      }
      const std::string& key = target.key_file.empty() ? target.certificate_file : target.key_file;
      if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
        return invalid_argument(fmt::format("{} is not the key of {}: {}", key, target.certificate_file, tls_reason()));
      }
    }
    if (!target.only_certificate.empty()) {
      only_ = TRY(read_certificate(target.only_certificate));
    } else {
      const int loaded = target.ca_file.empty()
                             ? SSL_CTX_set_default_verify_paths(context)
                             : SSL_CTX_load_verify_locations(context, target.ca_file.c_str(), nullptr);
      if (loaded != 1) {
        return invalid_argument(
            fmt::format("{} is not a list of certificates in PEM form: {}", target.ca_file, tls_reason()));
      }
      SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    }
    ssl_.reset(SSL_new(context));
    if (!ssl_) return resource_exhausted("no memory to set up TLS");
    socket_.descriptor = descriptor;
    BIO* const bio = make_tls_bio(*method_, socket_);
    if (bio == nullptr) return resource_exhausted("no memory to set up TLS");
    SSL_set_bio(ssl_.get(), bio, bio);  // takes it
    if (is_address(target.host)) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), target.host.c_str());
    } else {
      SSL_set_tlsext_host_name(ssl_.get(), target.host.c_str());
      SSL_set1_host(ssl_.get(), target.host.c_str());
    }
    return Status::ok();
  }

  Status shake_hands(const HttpTarget& target) {
    if (SSL_connect(ssl_.get()) != 1) {
      const auto verdict = SSL_get_verify_result(ssl_.get());
      if (verdict != X509_V_OK) {
        return failed_precondition(
            fmt::format("{}:{} is not trusted: {}", target.host, target.port, X509_verify_cert_error_string(verdict)));
      }
      return unavailable(fmt::format("no TLS session with {}:{}: {}", target.host, target.port, tls_reason()));
    }
    if (!only_) return Status::ok();
    const Held<X509> shown(SSL_get1_peer_certificate(ssl_.get()));
    if (shown && X509_cmp(shown.get(), only_.get()) == 0) return Status::ok();
    return failed_precondition(fmt::format(
        "{}:{} is not trusted: it shows another certificate than {}; has that file just been changed, or does another "
        "server listen there?",
        target.host, target.port, target.only_certificate));
  }

  TlsSocket socket_;
  TlsBioMethod method_;
  Held<SSL_CTX> context_;
  Held<X509> only_;
  Held<SSL> ssl_;
};

bool send_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

Result<HttpTarget> parse_http_url(std::string_view url) {
  HttpTarget target;
  target.tls = url.starts_with(kTlsScheme);
  const auto wrong = [&] {
    return invalid_argument(
        fmt::format("'{}' is not the address of a server, such as http://localhost:8080 or https://host:8443", url));
  };
  if (!target.tls && !url.starts_with(kPlainScheme)) return wrong();
  std::string_view rest = url.substr(target.tls ? kTlsScheme.size() : kPlainScheme.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  const auto colon = rest.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return wrong();
  const auto read = std::from_chars(rest.data() + colon + 1, rest.data() + rest.size(), target.port);
  if (read.ec != std::errc() || read.ptr != rest.data() + rest.size() || target.port == 0) return wrong();
  std::string_view host = rest.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  target.host = host;
  return target;
}

Result<HttpAnswer> call_http(const HttpTarget& target, std::string_view method, std::string_view path,
                             std::string_view token, std::string_view body) {
  const auto lost = [&](std::string_view why) {
    return unavailable(fmt::format("the daemon at {}:{} does not answer: {}", target.host, target.port, why));
  };
  const Socket socket(target);
  if (socket.get() < 0) return lost(std::strerror(errno));
  std::unique_ptr<Tls> tls;
  if (target.tls) tls = TRY(Tls::open(target, socket.get()));
  const std::string authorization = token.empty() ? "" : fmt::format("Authorization: Bearer {}\r\n", token);
  const std::string text = fmt::format(
      "{} {} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\nConnection: "
      "close\r\n\r\n{}",
      method, path, target.host, authorization, body.size(), body);
  if (!(tls ? tls->send(text) : send_all(socket.get(), text))) {
    return lost(tls ? tls_reason() : std::strerror(errno));
  }
  std::string reply;
  std::array<char, 4096> bytes{};
  while (reply.size() < kAnswerBytesMax) {
    const ssize_t count =
        tls ? tls->receive(bytes.data(), bytes.size()) : ::recv(socket.get(), bytes.data(), bytes.size(), 0);
    if (count < 0) return lost(tls ? tls_reason() : std::strerror(errno));
    if (count == 0) break;
    reply.append(bytes.data(), static_cast<std::size_t>(count));
  }
  const auto end = reply.find("\r\n\r\n");
  HttpAnswer answer;
  constexpr std::size_t kStatusAt = 9;  // after "HTTP/1.1 "
  if (end == std::string::npos || !reply.starts_with("HTTP/1.1 ")) return lost("what it says is not HTTP");
  std::from_chars(reply.data() + kStatusAt, reply.data() + kStatusAt + 3, answer.status);
  answer.body = reply.substr(end + 4);
  return answer;
}

}  // namespace freshet
