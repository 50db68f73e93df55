// HttpConnection: one client's connection, from accept to close, over a plain or a TLS stream; and HttpContext, what
// the connections of one server thread share.
//
// Threads: one server thread; no locks.  Owns: its stream and buffers (input of fixed size, reused output).
// Failure: whatever goes wrong ends the connection; where the client can still be told, with an error response first.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/content_coding.h"
#include "serving/event_stream.h"
#include "serving/http_metrics.h"
#include "serving/http_server.h"
#include "serving/http_stream.h"
#include "serving/peer_counts.h"
#include "serving/request_parser.h"

namespace freshet {

// What the server asks of a connection, whatever its stream.
class Connection {
 public:
  Connection() = default;
  virtual ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // `place` is where the context's list holds this connection.
  virtual void start(std::list<std::shared_ptr<Connection>>::iterator place) = 0;
  // Ends the connection when its time is up.
  virtual void check_deadline(std::int64_t now_ns) = 0;
  // Closes an idle connection; a busy one closes after its response.
  virtual void drain() = 0;
  virtual void close() = 0;
  // Since when it has waited for a request; nothing while it is busy.
  virtual std::optional<std::int64_t> idle_since_ns() const = 0;
};

struct HttpContext {
  const HttpServerOptions& options;
  const Handler& handler;
  HttpMetrics& metrics;
  Log& log;
  const Clock& clock;
  std::size_t worker = 0;
  const std::atomic<bool>& draining;
  std::atomic<std::size_t>& large_bodies;  // bytes of all bodies above kSmallBodyBytes, of every server thread
  std::list<std::shared_ptr<Connection>> connections{};
  std::string date{};                                                   // "Date: …\r\n", refreshed by the sweep
  std::function<void(const PeerCounts::Address&)> connection_closed{};  // called after one left `connections`
  ContentCoder coder{};                                                 // for bodies that are or become compressed
  std::string coded{};  // what it makes of one, until it is handled or sent
};

// Bodies up to this size are not counted among HttpServerOptions::large_bodies_bytes_max, so that small requests are
// taken even when large ones have taken all of it.
inline constexpr std::size_t kSmallBodyBytes = std::size_t{256} << 10;

template <typename Stream>  // PlainStream or TlsStream
class HttpConnection final : public Connection,
                             public std::enable_shared_from_this<HttpConnection<Stream>>,
                             private EventListener {
 public:
  HttpConnection(Stream stream, HttpContext& context, const PeerCounts::Address& peer);

  void start(std::list<std::shared_ptr<Connection>>::iterator place) override;
  void check_deadline(std::int64_t now_ns) override;
  void drain() override;
  void close() override;
  std::optional<std::int64_t> idle_since_ns() const override;

 private:
  using ErrorCode = boost::system::error_code;

  bool busy() const { return parser_.has_value() || !output_.empty() || handshaking_; }
  void run();         // parse, handle, write, until bytes or room to write are lacking
  ParseStep parse();  // the next request out of the buffer
  void begin_request();
  void serve();  // the request that the parser holds
  Response answer(Request& request);
  // From here on the connection follows `events`; false when they take no more listeners.
  bool follow(std::shared_ptr<EventStream> events, const Response& response);
  void send_events();    // the newest state, once the one before is with the kernel
  void wake() override;  // any thread
  void fail(int status, std::string_view reason);
  void append_response(const Response& response, bool head_only, bool keep_alive);
  // Compresses what the client takes compressed; the head of the answer says so.
  std::string_view choose_body(const Response& response);
  bool flush();  // true when all output is with the kernel; else goes on by itself, or has closed
  void read();
  void on_read(const ErrorCode& error, std::size_t bytes);
  void finish();  // all is answered: close, or linger until the client has read the answer
  void make_room();
  void wait_for_request(std::int64_t now_ns);
  void set_deadline(std::chrono::milliseconds from_now);
  bool count_body();  // false when all bodies together have become too large
  void drop_body();
  std::size_t buffer_bytes() const;

  HttpContext& context_;
  Stream stream_;
  const PeerCounts::Address peer_;
  std::list<std::shared_ptr<Connection>>::iterator place_;

  std::unique_ptr<char[]> input_;  // NOLINT(modernize-avoid-c-arrays)
  std::size_t begin_ = 0;          // of the bytes not parsed yet
  std::size_t end_ = 0;
  std::size_t request_begin_ = 0;        // of the request being parsed, whose header stays in place
  std::optional<RequestParser> parser_;  // engaged from a request's first byte to its response
  std::vector<HeaderView> headers_;
  std::string body_;
  std::size_t counted_ = 0;  // of the body, in HttpContext::large_bodies
  std::string output_;
  std::size_t sent_ = 0;
  ContentCoding accepted_ = ContentCoding::kIdentity;  // by the client, of the answer at hand
  std::shared_ptr<EventStream> events_;                // what it follows
  std::uint64_t events_sent_ = 0;                      // number of the newest state sent
  std::atomic<bool> woken_{false};                     // send_events() is on its way

  std::int64_t deadline_ns_ = 0;
  std::int64_t began_ns_ = 0;  // the request being parsed, or the wait for one
  std::size_t discarded_ = 0;
  bool handshaking_ = false;
  bool header_whole_ = false;
  bool reading_ = false;  // a read is under way
  bool writing_ = false;  // waiting for room to write
  bool continue_sent_ = false;
  bool close_after_output_ = false;
  bool linger_ = false;  // the client may still be sending
  bool lingering_ = false;
  bool closed_ = false;
};

extern template class HttpConnection<PlainStream>;
extern template class HttpConnection<TlsStream>;

}  // namespace freshet
