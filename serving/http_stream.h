// PlainStream and TlsStream: the bytes of one connection, as the connection code sees them. It is made once for each of
// the two, so that plain HTTP pays nothing for TLS.
//
// Threads: one owner, the connection's server thread.  Owns: the socket, the TLS session.
// Failure: an error code, after which the connection is to be closed.
#pragma once

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <cstddef>
#include <memory>
#include <utility>

#include "serving/tls_context.h"

namespace freshet {

// Bound to io_context's own executor: the type-erased default costs an indirection per operation.
using HttpSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

class PlainStream {
 public:
  using ErrorCode = boost::system::error_code;
  static constexpr bool kHandshakes = false;

  explicit PlainStream(HttpSocket socket) : socket_(std::move(socket)) {}

  HttpSocket& socket() { return socket_; }

  // Calls done(error, bytes) later, never at once.
  template <typename Done>
  void async_read_some(char* to, std::size_t size, Done done) {
    socket_.async_read_some(boost::asio::buffer(to, size), std::move(done));
  }
  // would_block: done(error) of async_wait_to_write says when to try again.
  std::size_t write_some(const char* from, std::size_t size, ErrorCode& error) {
    return socket_.write_some(boost::asio::buffer(from, size), error);
  }
  template <typename Done>
  void async_wait_to_write(Done done) {
    socket_.async_wait(HttpSocket::wait_write, std::move(done));
  }
  bool unread() {
    ErrorCode ignored;
    return socket_.available(ignored) > 0;
  }
  void end() {
    ErrorCode ignored;
    socket_.shutdown(HttpSocket::shutdown_send, ignored);
  }
  void close() {
    ErrorCode ignored;
    socket_.close(ignored);
  }

 private:
  HttpSocket socket_;
};

class TlsStream {
 public:
  using ErrorCode = boost::system::error_code;
  static constexpr bool kHandshakes = true;

  TlsStream(HttpSocket socket, std::unique_ptr<TlsSession> session)
      : socket_(std::move(socket)), session_(std::move(session)) {}

  HttpSocket& socket() { return socket_; }

  // Calls done(error), perhaps at once. `done` keeps this stream alive, as everywhere here.
  template <typename Done>
  void async_handshake(Done done) {
    const TlsStep step = session_->handshake();
    if (wait_for(step, [this, done](const ErrorCode& error) {
          if (error) {
            done(error);
          } else {
            async_handshake(done);
          }
        })) {
      return;
    }
    done(error_of(step));
  }

  template <typename Done>
  void async_read_some(char* to, std::size_t size, Done done) {
    std::size_t got = 0;
    const TlsStep step = session_->read(to, size, got);
    if (wait_for(step, [this, to, size, done](const ErrorCode& error) {
          if (error) {
            done(error, 0);
          } else {
            async_read_some(to, size, done);
          }
        })) {
      return;
    }
    boost::asio::post(socket_.get_executor(), [done, error = error_of(step), got] { done(error, got); });
  }
  std::size_t write_some(const char* from, std::size_t size, ErrorCode& error) {
    std::size_t sent = 0;
    const TlsStep step = session_->write(from, size, sent);
    wants_to_read_ = step == TlsStep::kWantRead;
    const bool wants = wants_to_read_ || step == TlsStep::kWantWrite;
    error = wants ? boost::asio::error::would_block : error_of(step);
    return sent;
  }
  template <typename Done>
  void async_wait_to_write(Done done) {
    socket_.async_wait(wants_to_read_ ? HttpSocket::wait_read : HttpSocket::wait_write, std::move(done));
  }
  bool unread() {
    ErrorCode ignored;
    return session_->unread() || socket_.available(ignored) > 0;
  }
  void end() {
    session_->end();
    ErrorCode ignored;
    socket_.shutdown(HttpSocket::shutdown_send, ignored);
  }
  void close() {
    session_->end();
    session_->release();
    ErrorCode ignored;
    socket_.close(ignored);
  }

 private:
  // True when the step asks to wait; `again` is called with the outcome of that.
  template <typename Again>
  bool wait_for(TlsStep step, Again again) {
    if (step != TlsStep::kWantRead && step != TlsStep::kWantWrite) return false;
    socket_.async_wait(step == TlsStep::kWantRead ? HttpSocket::wait_read : HttpSocket::wait_write, std::move(again));
    return true;
  }
  static ErrorCode error_of(TlsStep step) {
    if (step == TlsStep::kDone) return {};
    if (step == TlsStep::kEnded) return boost::asio::error::eof;
    return boost::asio::error::connection_aborted;
  }

  HttpSocket socket_;
  std::unique_ptr<TlsSession> session_;
  bool wants_to_read_ = false;
};

}  // namespace freshet
