#include "serving/http_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstring>
#include <exception>
#include <iterator>
#include <limits>
#include <tuple>
#include <utility>

namespace freshet {
namespace {

constexpr std::size_t kReadBytes = std::size_t{24} << 10;   // room for body bytes beside the header
constexpr std::size_t kFlushBytes = std::size_t{64} << 10;  // pipelined answers are gathered up to here
constexpr std::size_t kKeepBytes = kSmallBodyBytes;         // buffers grown beyond are given back
constexpr std::size_t kBodySlack = 64;
constexpr std::size_t kDiscardMax = std::size_t{4} << 20;  // bytes of a refused request that are read away
constexpr std::size_t kCompressMin = 1024;                 // bytes of an answer; smaller ones fit a packet as they are
constexpr int kEventBufferBytes = 256 << 10;  // of the kernel, for one who follows events and does not read
constexpr int kRequestsPerTurn = 32;          // then other connections get theirs

void shrink(std::string& buffer) {
  buffer.clear();
  if (buffer.capacity() > kKeepBytes) std::string().swap(buffer);
}

// Path and query of a request target: "/path?query", or the absolute form "http://host/path?query".
std::pair<std::string_view, std::string_view> split_target(std::string_view target) {
  if (!target.empty() && target.front() != '/') {
    const auto scheme = target.find("://");
    const auto slash = scheme == std::string_view::npos ? scheme : target.find('/', scheme + 3);
    if (slash != std::string_view::npos) target.remove_prefix(slash);
  }
  const auto mark = target.find('?');
  if (mark == std::string_view::npos) return {target, {}};
  return {target.substr(0, mark), target.substr(mark + 1)};
}

}  // namespace

template <typename Stream>
HttpConnection<Stream>::HttpConnection(Stream stream, HttpContext& context, const PeerCounts::Address& peer)
    : context_(context),
      stream_(std::move(stream)),
      peer_(peer),
      input_(new char[context.options.header_bytes_max + kReadBytes]) {}

template <typename Stream>
std::size_t HttpConnection<Stream>::buffer_bytes() const {
  return context_.options.header_bytes_max + kReadBytes;
}

template <typename Stream>
void HttpConnection<Stream>::start(std::list<std::shared_ptr<Connection>>::iterator place) {
  place_ = place;
  context_.metrics.connections.add(1);
  ErrorCode ignored;
  stream_.socket().set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  stream_.socket().non_blocking(true, ignored);
  if constexpr (Stream::kHandshakes) {
    handshaking_ = true;
    set_deadline(context_.options.handshake_timeout);
    stream_.async_handshake([self = this->shared_from_this()](const ErrorCode& error) {
      if (self->closed_) return;
      if (error) {
        self->context_.metrics.handshakes_failed.increment();
        self->close();
        return;
      }
      self->handshaking_ = false;
      if (self->context_.draining.load(std::memory_order_relaxed)) {
        self->close();
        return;
      }
      self->wait_for_request(self->context_.clock.monotonic_ns());
      self->read();
    });
  } else {
    wait_for_request(context_.clock.monotonic_ns());
    read();
  }
}

template <typename Stream>
void HttpConnection<Stream>::set_deadline(std::chrono::milliseconds from_now) {
  deadline_ns_ = context_.clock.monotonic_ns() + std::chrono::nanoseconds(from_now).count();
}

template <typename Stream>
void HttpConnection<Stream>::wait_for_request(std::int64_t now_ns) {
  began_ns_ = now_ns;
  deadline_ns_ = now_ns + std::chrono::nanoseconds(context_.options.idle_timeout).count();
}

template <typename Stream>
void HttpConnection<Stream>::run() {
  if (events_) return send_events();
  for (int turn = 0; turn < kRequestsPerTurn; ++turn) {
    if (close_after_output_) {
      if (flush()) finish();
      return;
    }
    switch (parse()) {
      case ParseStep::kComplete:
        serve();
        if (events_) return send_events();
        if (output_.size() > kFlushBytes && !flush()) return;
        break;
      case ParseStep::kFailed:
        break;
      case ParseStep::kNeedMore:
        if (!flush()) return;
        if (context_.draining.load(std::memory_order_relaxed) && !parser_) {
          finish();
        } else {
          read();
        }
        return;
    }
  }
  if (flush())
    boost::asio::post(stream_.socket().get_executor(), [self = this->shared_from_this()] {
      if (!self->closed_) self->run();
    });
}

template <typename Stream>
ParseStep HttpConnection<Stream>::parse() {
  if (!parser_) {
    while (begin_ < end_ && (input_[begin_] == '\r' || input_[begin_] == '\n')) ++begin_;
    if (begin_ == end_) {
      begin_ = end_ = 0;
      return ParseStep::kNeedMore;
    }
    if (buffer_bytes() - begin_ < context_.options.header_bytes_max + kReadBytes / 2) {
      std::memmove(input_.get(), input_.get() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    begin_request();
  }
  const ParseOutcome outcome = parser_->feed(input_.get() + begin_, end_ - begin_);
  if (outcome.step == ParseStep::kFailed) {
    fail(outcome.status, outcome.reason);
    return outcome.step;
  }
  begin_ += outcome.consumed;
  if (!header_whole_ && parser_->header_done()) {  // from here on the time for the whole request counts
    header_whole_ = true;
    deadline_ns_ = began_ns_ + std::chrono::nanoseconds(context_.options.request_timeout).count();
  }
  if (outcome.step == ParseStep::kNeedMore && !count_body()) {
    fail(503, "too many bytes of request bodies are on their way; try again shortly");
    return ParseStep::kFailed;
  }
  if (outcome.step == ParseStep::kNeedMore && parser_->header_done() && parser_->wants_continue() && !continue_sent_) {
    output_ += "HTTP/1.1 100 Continue\r\n\r\n";
    continue_sent_ = true;
  }
  return outcome.step;
}

template <typename Stream>
void HttpConnection<Stream>::begin_request() {
  const HttpServerOptions& options = context_.options;
  parser_.emplace(RequestParser::Limits{options.header_bytes_max, options.body_bytes_max}, headers_, body_);
  continue_sent_ = false;
  header_whole_ = false;
  request_begin_ = begin_;
  context_.metrics.requests_in_flight.add(1);
  began_ns_ = context_.clock.monotonic_ns();
  deadline_ns_ =
      began_ns_ + std::chrono::nanoseconds(std::min(options.header_timeout, options.request_timeout)).count();
}

template <typename Stream>
bool HttpConnection<Stream>::count_body() {
  if (body_.size() <= kSmallBodyBytes) return true;
  const std::size_t more = body_.size() - counted_;
  counted_ = body_.size();
  return context_.large_bodies.fetch_add(more, std::memory_order_relaxed) + more <=
         context_.options.large_bodies_bytes_max;
}

template <typename Stream>
void HttpConnection<Stream>::drop_body() {
  if (counted_ > 0) context_.large_bodies.fetch_sub(counted_, std::memory_order_relaxed);
  counted_ = 0;
  shrink(body_);
}

template <typename Stream>
void HttpConnection<Stream>::serve() {
  const std::int64_t began_ns = context_.clock.monotonic_ns();
  Request request;
  request.method = parser_->method();
  std::tie(request.path, request.query) = split_target(parser_->target());
  request.headers = headers_;
  request.worker = context_.worker;
  const Response response = answer(request);
  if (response.compressible && response.body.size() >= kCompressMin) {
    accepted_ = choose_coding(request.header("Accept-Encoding"));
  }
  const bool keep_alive = parser_->client_keeps_alive() && !context_.draining.load(std::memory_order_relaxed);
  if (!response.events) {
    append_response(response, request.method == "HEAD", keep_alive);
    close_after_output_ = !keep_alive;
  } else if (!follow(response.events, response)) {
    append_response(error_response(503, "no more connections may follow this stream now"), false, false);
    close_after_output_ = true;
  }
  parser_.reset();
  drop_body();
  const std::int64_t ended_ns = context_.clock.monotonic_ns();
  context_.metrics.request_seconds.observe(static_cast<double>(ended_ns - began_ns) * 1e-9);
  context_.metrics.requests_in_flight.add(-1);
  wait_for_request(ended_ns);
}

// The end of the connection is the end of the stream: whoever follows one asks nothing else on the way.
template <typename Stream>
bool HttpConnection<Stream>::follow(std::shared_ptr<EventStream> events, const Response& response) {
  if (!events->add(*this)) return false;
  events_ = std::move(events);
  ErrorCode ignored;
  stream_.socket().set_option(boost::asio::socket_base::send_buffer_size(kEventBufferBytes), ignored);
  context_.metrics.count_response(response.status);
  output_ += "HTTP/1.1 200 OK\r\n";
  output_ += context_.date;
  for (const auto& [name, value] : response.headers) {
    output_.append(name).append(": ").append(value).append("\r\n");
  }
  output_.append("Connection: close\r\nContent-Type: ").append(kEventStreamType).append("\r\n\r\n");
  return true;
}

template <typename Stream>
void HttpConnection<Stream>::wake() {
  if (woken_.exchange(true)) return;
  boost::asio::post(stream_.socket().get_executor(), [weak = this->weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->woken_ = false;
    self->send_events();
  });
}

template <typename Stream>
void HttpConnection<Stream>::send_events() {
  if (closed_ || writing_ || !events_) return;
  const EventStream::Frame newest = events_->newest();
  if (newest.number > events_sent_ && newest.bytes) {
    events_sent_ = newest.number;
    output_ += *newest.bytes;
  }
  if (!flush()) return;
  deadline_ns_ = std::numeric_limits<std::int64_t>::max();
  if (newest.last || context_.draining.load(std::memory_order_relaxed)) {
    finish();
  } else {
    read();
  }
}

template <typename Stream>
Response HttpConnection<Stream>::answer(Request& request) {
  try {
    std::string* body = &body_;
    if (parser_->coding() != ContentCoding::kIdentity && !body_.empty()) {
      const Status status =
          context_.coder.inflate(parser_->coding(), body_, context_.options.body_bytes_max, context_.coded);
      if (!status) return error_response(status.code() == Code::kInvalidArgument ? 400 : 413, status.message());
      body = &context_.coded;
    }
    body->reserve(body->size() + kBodySlack);
    request.body = *body;
    request.body_slack = kBodySlack;
    return context_.handler(request);
  } catch (const std::exception& error) {
    context_.log.error("http_handler_failed", "A request handler threw an exception.",
                       {{"path", request.path}, {"error", error.what()}});
  } catch (...) {
    context_.log.error("http_handler_failed", "A request handler threw.", {{"path", request.path}});
  }
  return error_response(500, "internal error; the server's log says more");
}

template <typename Stream>
void HttpConnection<Stream>::fail(int status, std::string_view reason) {
  Response response = error_response(status, reason);
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  append_response(response, false, false);
  if (parser_) context_.metrics.requests_in_flight.add(-1);
  parser_.reset();
  drop_body();
  close_after_output_ = true;
  linger_ = true;
}

template <typename Stream>
void HttpConnection<Stream>::append_response(const Response& response, bool head_only, bool keep_alive) {
  context_.metrics.count_response(response.status);
  const bool http_1_0 = parser_ && parser_->http_1_0();
  const std::string_view body = choose_body(response);
  auto out = std::back_inserter(output_);
  if (response.status == 200) {
    output_ += "HTTP/1.1 200 OK\r\n";
  } else {
    fmt::format_to(out, "HTTP/1.1 {} {}\r\n", response.status, status_reason(response.status));
  }
  output_ += context_.date;
  for (const auto& [name, value] : response.headers) {
    output_.append(name).append(": ").append(value).append("\r\n");
  }
  if (!keep_alive) {
    output_ += "Connection: close\r\n";
  } else if (http_1_0) {
    output_ += "Connection: keep-alive\r\n";
  }
  if (accepted_ != ContentCoding::kIdentity) {
    output_.append("Content-Encoding: ").append(coding_name(accepted_)).append("\r\n");
  }
  if (response.compressible && response.body.size() >= kCompressMin) output_ += "Vary: Accept-Encoding\r\n";
  output_.append("Content-Type: ").append(response.content_type);
  fmt::format_to(out, "\r\nContent-Length: {}\r\n\r\n", body.size());
  if (!head_only) output_ += body;
  accepted_ = ContentCoding::kIdentity;
  shrink(context_.coded);
}

template <typename Stream>
std::string_view HttpConnection<Stream>::choose_body(const Response& response) {
  if (accepted_ == ContentCoding::kIdentity) return response.body;
  if (context_.coder.deflate(accepted_, response.body, context_.coded)) return context_.coded;
  accepted_ = ContentCoding::kIdentity;
  return response.body;
}

template <typename Stream>
bool HttpConnection<Stream>::flush() {
  while (sent_ < output_.size()) {
    ErrorCode error;
    sent_ += stream_.write_some(output_.data() + sent_, output_.size() - sent_, error);
    if (error == boost::asio::error::would_block || error == boost::asio::error::try_again) {
      if (!writing_) set_deadline(context_.options.request_timeout);
      writing_ = true;
      stream_.async_wait_to_write([self = this->shared_from_this()](const ErrorCode& wait_error) {
        if (self->closed_) return;
        if (wait_error) {
          self->close();
        } else if (self->flush()) {
          self->run();
        }
      });
      return false;
    }
    if (error) {
      close();
      return false;
    }
  }
  if (writing_) set_deadline(parser_ ? context_.options.request_timeout : context_.options.idle_timeout);
  writing_ = false;
  sent_ = 0;
  shrink(output_);
  return true;
}

template <typename Stream>
void HttpConnection<Stream>::make_room() {
  if (!parser_) {
    begin_ = end_ = 0;
  } else if (parser_->header_done()) {
    // The header stays, the rest of the buffer takes the body in pieces.
    const std::size_t header_end = request_begin_ + parser_->header_bytes();
    std::memmove(input_.get() + header_end, input_.get() + begin_, end_ - begin_);
    end_ = header_end + (end_ - begin_);
    begin_ = header_end;
  }
}

template <typename Stream>
void HttpConnection<Stream>::read() {
  if (reading_ || closed_) return;
  make_room();
  if (end_ == buffer_bytes()) {  // only a chunk header or trailer can fill it
    fail(400, "chunk header or trailer is too large");
    if (flush()) finish();
    return;
  }
  reading_ = true;
  stream_.async_read_some(
      input_.get() + end_, buffer_bytes() - end_,
      [self = this->shared_from_this()](const ErrorCode& error, std::size_t bytes) { self->on_read(error, bytes); });
}

template <typename Stream>
void HttpConnection<Stream>::on_read(const ErrorCode& error, std::size_t bytes) {
  reading_ = false;
  if (closed_) return;
  if (error) {
    if (!writing_) close();  // else the write finds out by itself, or succeeds towards a half-closed client
    return;
  }
  if (close_after_output_ || events_) {
    discarded_ += bytes;
    if (discarded_ > kDiscardMax) {
      close();
    } else {
      begin_ = end_ = 0;
      read();
    }
    return;
  }
  end_ += bytes;
  try {
    run();
  } catch (const std::exception& failure) {  // out of memory, in the main
    context_.log.error("http_connection_failed", "A connection had to be given up.", {{"error", failure.what()}});
    close();
  }
}

template <typename Stream>
void HttpConnection<Stream>::finish() {
  stream_.end();
  // Closing with unread bytes makes the kernel send a reset, which can reach the client before it has read the answer.
  const bool unread = begin_ < end_ || stream_.unread();
  if (!linger_ && !unread) {
    close();
    return;
  }
  if (lingering_) return;
  lingering_ = true;
  set_deadline(context_.options.linger_timeout);
  begin_ = end_ = 0;
  read();
}

template <typename Stream>
void HttpConnection<Stream>::check_deadline(std::int64_t now_ns) {
  if (now_ns < deadline_ns_) return;
  if (parser_ && !writing_) {
    context_.metrics.timeouts.increment();
    fail(408, "the request took too long to arrive");
    if (flush()) finish();
    return;
  }
  if (writing_ || handshaking_) context_.metrics.timeouts.increment();
  close();
}

template <typename Stream>
void HttpConnection<Stream>::drain() {
  if (events_) return writing_ ? close() : send_events();  // nobody waits for a slow reader
  if (!busy() && reading_ && !stream_.unread()) close();
}

template <typename Stream>
void HttpConnection<Stream>::close() {
  if (closed_) return;
  closed_ = true;
  if (events_) events_->remove(*this);
  stream_.close();
  if (parser_) context_.metrics.requests_in_flight.add(-1);
  drop_body();
  context_.metrics.connections.add(-1);
  const auto self = this->shared_from_this();
  context_.connections.erase(place_);
  context_.connection_closed(peer_);
}

template <typename Stream>
std::optional<std::int64_t> HttpConnection<Stream>::idle_since_ns() const {
  if (busy() || closed_ || !reading_ || lingering_ || events_) return std::nullopt;
  return began_ns_;
}

template class HttpConnection<PlainStream>;
template class HttpConnection<TlsStream>;

}  // namespace freshet
