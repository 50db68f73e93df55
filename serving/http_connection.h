// HttpConnection: one client's connection, from accept to close, and HttpContext, what the connections of one server
// thread share.
//
// Threads: one server thread; no locks.  Owns: its socket and buffers (input of fixed size, reused output).
// Failure: whatever goes wrong ends the connection; where the client can still be told, with an error response first.
#pragma once

#include <atomic>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
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
#include "serving/request_parser.h"

namespace freshet {

class HttpConnection;

struct HttpContext {
  const HttpServerOptions& options;
  const Handler& handler;
  HttpMetrics& metrics;
  Log& log;
  const Clock& clock;
  std::size_t worker = 0;
  const std::atomic<bool>& draining;
  std::list<std::shared_ptr<HttpConnection>> connections;
  std::string date;                         // "Date: …\r\n", refreshed by the sweep
  std::function<void()> connection_closed;  // called after one left `connections`
  ContentCoder coder{};                     // for bodies that are or become compressed
  std::string coded{};                      // what it makes of one, until it is handled or sent
};

// Bound to io_context's own executor: the type-erased default costs an indirection per operation.
using HttpSocket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, boost::asio::io_context::executor_type>;

class HttpConnection final : public std::enable_shared_from_this<HttpConnection>, private EventListener {
 public:
  HttpConnection(HttpSocket socket, HttpContext& context);

  // `place` is where the context's list holds this connection.
  void start(std::list<std::shared_ptr<HttpConnection>>::iterator place);
  // Ends the connection when its time is up.
  void check_deadline(std::int64_t now_ns);
  // Closes an idle connection; a busy one closes after its response.
  void drain();
  void close();
  bool busy() const { return parser_.has_value() || !output_.empty(); }

 private:
  using ErrorCode = boost::system::error_code;

  void run();         // parse, handle, write, until bytes or room to write are lacking
  ParseStep parse();  // the next request out of the buffer
  void serve();       // the request that the parser holds
  Response answer(Request& request);
  // From here on the connection follows `stream`; false when that takes no more listeners.
  bool follow(std::shared_ptr<EventStream> stream, const Response& response);
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
  void set_deadline(std::chrono::milliseconds from_now);
  std::size_t buffer_bytes() const;

  HttpContext& context_;
  HttpSocket socket_;
  std::list<std::shared_ptr<HttpConnection>>::iterator place_;

  std::unique_ptr<char[]> input_;  // NOLINT(modernize-avoid-c-arrays)
  std::size_t begin_ = 0;          // of the bytes not parsed yet
  std::size_t end_ = 0;
  std::size_t request_begin_ = 0;        // of the request being parsed, whose header stays in place
  std::optional<RequestParser> parser_;  // engaged from a request's first byte to its response
  std::vector<HeaderView> headers_;
  std::string body_;
  std::string output_;
  std::size_t sent_ = 0;
  ContentCoding accepted_ = ContentCoding::kIdentity;  // by the client, of the answer at hand
  std::shared_ptr<EventStream> events_;                // what it follows
  std::uint64_t events_sent_ = 0;                      // number of the newest state sent
  std::atomic<bool> woken_{false};                     // send_events() is on its way

  std::int64_t deadline_ns_ = 0;
  std::size_t discarded_ = 0;
  bool reading_ = false;  // a read is under way
  bool writing_ = false;  // waiting for room to write
  bool continue_sent_ = false;
  bool close_after_output_ = false;
  bool linger_ = false;  // the client may still be sending
  bool lingering_ = false;
  bool closed_ = false;
};

}  // namespace freshet
