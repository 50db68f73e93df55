#include "serving/tls_context.h"

#include <fmt/format.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509err.h>
#include <sys/socket.h>

#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "serving/tls_bio.h"

namespace freshet {
namespace {

constexpr std::string_view kReloads = "freshet_secret_reloads_total";
constexpr std::string_view kReloadsHelp = "Times that changed files of tokens or certificates were read again.";
// TLS 1.2 with forward secrecy and authenticated encryption alone; TLS 1.3 has nothing else.
constexpr const char* kCiphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
constexpr std::string_view kSessionContext = "freshet";

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using Context = std::shared_ptr<SSL_CTX>;

// The reasons that OpenSSL has gathered on this thread, the first one in front.
std::string reasons() {
  std::string text;
  constexpr int kReasonsMax = 8;
  for (int i = 0; i < kReasonsMax; ++i) {
    const unsigned long code = ERR_get_error();  // NOLINT(google-runtime-int): OpenSSL's own type
    if (code == 0) break;
    // Of the system's errors it keeps the number; "system lib" says nothing.
    const char* const reason =
        ERR_SYSTEM_ERROR(code) ? std::strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    if (reason == nullptr || std::string_view(reason) == "system lib") continue;
    if (!text.empty()) text += "; ";
    text += reason;
  }
  ERR_clear_error();
  return text.empty() ? "no reason given" : text;
}

// Without it OpenSSL would ask for the passphrase on the terminal.
int no_passphrase(char* /*to*/, int /*size*/, int /*writing*/, void* /*data*/) { return -1; }

Status wrong(std::string_view option, const std::string& path, std::string_view expected) {
  return invalid_argument(fmt::format("serving.tls.{}: {} is not {}: {}", option, path, expected, reasons()));
}

std::int64_t seconds_until(const ASN1_TIME* time) {
  int days = 0;
  int seconds = 0;
  constexpr std::int64_t kDay = 86'400;
  if (ASN1_TIME_diff(&days, &seconds, nullptr, time) != 1) return 0;
  return days * kDay + seconds;
}

// Whether a key was refused because it belongs to another certificate; one of another kind finds no certificate at all.
bool is_mismatch(unsigned long code) {  // NOLINT(google-runtime-int): OpenSSL's own type
  const int reason = ERR_GET_REASON(code);
  if (ERR_GET_LIB(code) == ERR_LIB_X509) {
    return reason == X509_R_KEY_VALUES_MISMATCH || reason == X509_R_KEY_TYPE_MISMATCH;
  }
  return ERR_GET_LIB(code) == ERR_LIB_SSL && reason == SSL_R_NO_CERTIFICATE_ASSIGNED;
}

Result<Context> make_context(const TlsFiles& files) {
  ERR_clear_error();
  std::unique_ptr<SSL_CTX, FreeContext> made(SSL_CTX_new(TLS_server_method()));
  if (!made) return resource_exhausted(fmt::format("cannot make a TLS context: {}", reasons()));
  SSL_CTX* const context = made.get();
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_default_passwd_cb(context, no_passphrase);
  if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 || SSL_CTX_set_cipher_list(context, kCiphers) != 1) {
    return internal_error(fmt::format("cannot set up TLS: {}", reasons()));
  }
  if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1) {
    return wrong("certificate_file", files.certificate, "a certificate in PEM form");
  }
  if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    const bool foreign = is_mismatch(ERR_peek_error());
    return wrong("key_file", files.key,
                 foreign ? "the key of serving.tls.certificate_file"
                         : "the private key of the certificate, in PEM form and without a passphrase");
  }
  // Resumed sessions must have been made with the same demands.
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kSessionContext.data()),
                                 static_cast<unsigned>(kSessionContext.size()));
  if (!files.client_ca.empty()) {
    STACK_OF(X509_NAME)* const names = SSL_load_client_CA_file(files.client_ca.c_str());
    if (names == nullptr || SSL_CTX_load_verify_locations(context, files.client_ca.c_str(), nullptr) != 1) {
      if (names != nullptr) sk_X509_NAME_pop_free(names, X509_NAME_free);
      return wrong("client_ca_file", files.client_ca, "a list of certificates in PEM form");
    }
    SSL_CTX_set_client_CA_list(context, names);  // takes them
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  return Context(std::move(made));
}

}  // namespace

TlsSession::TlsSession(ssl_st* ssl, std::unique_ptr<TlsSocket> socket) : socket_(std::move(socket)), ssl_(ssl) {}

TlsSession::TlsSession(TlsSession&& other) noexcept
    : socket_(std::move(other.socket_)), ssl_(std::exchange(other.ssl_, nullptr)), broken_(other.broken_) {}

TlsSession::~TlsSession() { SSL_free(ssl_); }  // null is nothing to it

TlsStep TlsSession::step_of(int result) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_NONE:
      return TlsStep::kDone;
    case SSL_ERROR_WANT_READ:
      return TlsStep::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return TlsStep::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return TlsStep::kEnded;
    default:
      broken_ = true;
      ERR_clear_error();
      return socket_->ended ? TlsStep::kEnded : TlsStep::kFailed;
  }
}

TlsStep TlsSession::handshake() {
  ERR_clear_error();
  return step_of(SSL_accept(ssl_));
}

TlsStep TlsSession::read(char* to, std::size_t size, std::size_t& got) {
  got = 0;
  if (broken_) return TlsStep::kFailed;
  ERR_clear_error();
  return step_of(SSL_read_ex(ssl_, to, size, &got));
}

TlsStep TlsSession::write(const char* from, std::size_t size, std::size_t& sent) {
  sent = 0;
  if (broken_) return TlsStep::kFailed;
  ERR_clear_error();
  return step_of(SSL_write_ex(ssl_, from, size, &sent));
}

bool TlsSession::unread() const { return SSL_has_pending(ssl_) == 1; }

void TlsSession::end() {
  // OpenSSL forbids it after an error, and before the handshake there is nobody to tell.
  if (broken_ || socket_->descriptor < 0 || SSL_is_init_finished(ssl_) != 1) return;
  if ((SSL_get_shutdown(ssl_) & SSL_SENT_SHUTDOWN) != 0) return;
  ERR_clear_error();
  if (SSL_shutdown(ssl_) < 0) ERR_clear_error();
}

void TlsSession::release() { socket_->descriptor = -1; }

struct TlsContext::Impl {
  Impl(const TlsFiles& tls_files, MetricsRegistry& metrics, Log& context_log, const Clock& context_clock)
      : files(tls_files),
        log(context_log),
        clock(context_clock),
        watched(files.client_ca.empty() ? std::vector<std::string>{files.certificate, files.key}
                                        : std::vector<std::string>{files.certificate, files.key, files.client_ca}),
        taken(metrics.counter(kReloads, kReloadsHelp, {{"secret", "certificate"}, {"result", "taken"}})),
        refused(metrics.counter(kReloads, kReloadsHelp, {{"secret", "certificate"}, {"result", "refused"}})),
        expires(metrics.gauge("freshet_tls_certificate_expiry_timestamp_seconds",
                              "When the certificate in use expires, in seconds since 1970.")) {}

  // Says when the certificate ends, and that it has.
  void look_at_certificate(const SSL_CTX* made) {
    const X509* const certificate = SSL_CTX_get0_certificate(made);
    if (certificate == nullptr) return;
    constexpr std::int64_t kMsPerSecond = 1000;
    const std::int64_t left = seconds_until(X509_get0_notAfter(certificate));
    expires.set(static_cast<double>(clock.wall_ms() / kMsPerSecond + left));
    if (left <= 0) {
      log.warning("tls_certificate_expired", fmt::format("{}: the certificate has expired", files.certificate));
    }
  }

  Context current() const {
    const std::lock_guard lock(mutex);
    return context;
  }

  const TlsFiles files;
  Log& log;
  const Clock& clock;
  WatchedFiles watched;
  Counter& taken;
  Counter& refused;
  Gauge& expires;
  TlsBioMethod bio_method = make_tls_bio_method();
  mutable std::mutex mutex;
  Context context;
};

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

TlsContext::~TlsContext() = default;

Result<std::unique_ptr<TlsContext>> TlsContext::load(const TlsFiles& files, MetricsRegistry& metrics, Log& log,
                                                     const Clock& clock) {
  auto impl = std::make_unique<Impl>(files, metrics, log, clock);
  impl->context = TRY(make_context(files));
  if (!impl->bio_method) return resource_exhausted("no memory to set up TLS");
  impl->look_at_certificate(impl->context.get());
  return std::unique_ptr<TlsContext>(new TlsContext(std::move(impl)));
}

std::unique_ptr<TlsSession> TlsContext::accept(int descriptor) const {
  const Context context = impl_->current();
  auto socket = std::make_unique<TlsSocket>();
  socket->descriptor = descriptor;
  socket->flags = MSG_DONTWAIT;
  SSL* const ssl = SSL_new(context.get());
  if (ssl == nullptr) return nullptr;
  TlsSocket& held = *socket;
  auto session = std::make_unique<TlsSession>(ssl, std::move(socket));
  BIO* const bio = make_tls_bio(*impl_->bio_method, held);
  if (bio == nullptr) return nullptr;
  SSL_set_bio(ssl, bio, bio);  // takes it
  SSL_set_accept_state(ssl);
  return session;
}

void TlsContext::refresh() {
  if (!impl_->watched.changed()) return;
  auto made = make_context(impl_->files);
  if (!made.is_ok()) {
    impl_->refused.increment();
    impl_->log.warning("certificate_kept",
                       fmt::format("{}; the certificate read before stays in use", made.status().message()));
    return;
  }
  impl_->look_at_certificate(made->get());
  impl_->taken.increment();
  impl_->log.info("certificate_read", "serving.tls: read again; new connections use it");
  const std::lock_guard lock(impl_->mutex);
  impl_->context = std::move(made).value();
}

}  // namespace freshet
