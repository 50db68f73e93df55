// TlsContext: the certificate and key that new TLS sessions of a server use (TLS 1.2 and 1.3), read again when their
// files change; and TlsSession, one client's session.
//
// OpenSSL works on the socket itself, without waiting, rather than through asio's stream, so that a connection is
// driven like a plain one (try, then wait for room) and holds no buffers while it is idle: asio's keep 70 KiB each.
//
// Threads: `accept` from any, `refresh` from one; a mutex guards one pointer. A session has one owner.
// Owns: the context; a session its OpenSSL object, not the socket.
// Failure: `load` says which file is wrong and why. A pair that goes bad later leaves the one before in use, with a
// warning and a metric; a session that fails says so and is to be closed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/status.h"
#include "serving/watched_files.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX
struct ssl_st;      // OpenSSL's SSL

namespace freshet {

struct TlsSocket;

struct TlsFiles {
  std::string certificate;  // PEM; with the chain behind it
  std::string key;          // PEM, without a passphrase
  std::string client_ca;    // PEM; empty: clients need no certificate
};

enum class TlsStep : std::uint8_t { kDone, kWantRead, kWantWrite, kEnded, kFailed };

class TlsSession {
 public:
  TlsSession(ssl_st* ssl, std::unique_ptr<TlsSocket> socket);
  TlsSession(TlsSession&&) noexcept;
  TlsSession& operator=(TlsSession&&) = delete;
  ~TlsSession();

  // Each does what it can without waiting; a Want says what the socket must be ready for before it is tried again. A
  // write is tried again with the same bytes, or with more behind them.
  TlsStep handshake();
  TlsStep read(char* to, std::size_t size, std::size_t& got);
  TlsStep write(const char* from, std::size_t size, std::size_t& sent);
  bool unread() const;  // bytes that came and were not read
  void end();           // tells the peer that nothing more comes, if that is possible now
  void release();       // the socket is closed: its number may soon be another's

 private:
  TlsStep step_of(int result);

  std::unique_ptr<TlsSocket> socket_;
  ssl_st* ssl_;
  bool broken_ = false;
};

class TlsContext {
 public:
  // `metrics`, `log` and `clock` outlive the context.
  static Result<std::unique_ptr<TlsContext>> load(const TlsFiles& files, MetricsRegistry& metrics, Log& log,
                                                  const Clock& clock);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // A server's session on a connected socket; it does not outlive this object. Null where memory is lacking.
  std::unique_ptr<TlsSession> accept(int descriptor) const;

  // Reads files that have changed. To be called about once a second.
  void refresh();

 private:
  struct Impl;
  explicit TlsContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace freshet
