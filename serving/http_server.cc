#include "serving/http_server.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <ctime>
#include <exception>
#include <iterator>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "serving/http_connection.h"
#include "serving/http_metrics.h"

namespace freshet {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using ErrorCode = boost::system::error_code;

constexpr std::chrono::milliseconds kSweepMin{5};
constexpr std::chrono::milliseconds kSweepMax{1000};
constexpr std::chrono::milliseconds kAcceptRetry{100};
constexpr std::chrono::seconds kSecond{1};
constexpr std::int64_t kAcceptWarningEveryNs = 10'000'000'000;
constexpr std::int64_t kSpareEveryNs = 50'000'000;
constexpr std::size_t kSpareShare = 16;  // one connection in so many is kept free, as far as others are idle
constexpr std::string_view kRefusal =
    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Type: application/json\r\n"
    "Content-Length: 32\r\n\r\n{\"error\":\"too many connections\"}";

std::string date_header(std::int64_t wall_ms) {
  return fmt::format("Date: {:%a, %d %b %Y %H:%M:%S} GMT\r\n", fmt::gmtime(static_cast<std::time_t>(wall_ms / 1000)));
}

}  // namespace

struct HttpServer::Impl {
  struct Worker {
    Worker(Impl& server, std::size_t index)
        : context{server.options, server.handler, server.metrics,  server.log,
                  server.clock,   index,          server.draining, server.large_bodies},
          guard(asio::make_work_guard(loop)),
          sweep_timer(loop) {
      context.connection_closed = [&server, this](const PeerCounts::Address& peer) {
        server.open_connections.fetch_sub(1, std::memory_order_relaxed);
        if (server.options.connections_per_peer_max > 0) server.peers.remove(peer);
        server.retire_when_empty(*this);
      };
    }
    asio::io_context loop{1};  // run by one thread: asio leaves out what only several need
    HttpContext context;
    asio::executor_work_guard<asio::io_context::executor_type> guard;
    asio::steady_timer sweep_timer;
    bool drain_begun = false;
    std::thread thread;
  };

  Impl(const HttpServerOptions& server_options, Handler server_handler, MetricsRegistry& registry, Log& server_log,
       const Clock& server_clock)
      : options(server_options),
        handler(std::move(server_handler)),
        metrics(registry),
        log(server_log),
        clock(server_clock) {
    const auto shortest = std::min({options.idle_timeout, options.request_timeout, options.header_timeout,
                                    options.handshake_timeout, options.linger_timeout});
    sweep_every = std::clamp(shortest / 4, kSweepMin, kSweepMax);
    options.threads = std::max<std::size_t>(options.threads, 1);
    for (std::size_t i = 0; i < options.threads; ++i) workers.push_back(std::make_unique<Worker>(*this, i));
  }

  Status listen();
  void accept();
  void take(Worker& worker, HttpSocket socket);
  void adopt(Worker& worker, HttpSocket socket, const PeerCounts::Address& peer);
  std::shared_ptr<Connection> make_connection(HttpContext& context, HttpSocket socket,
                                              const PeerCounts::Address& peer) const;
  void refuse(HttpSocket socket);
  void spare_connections();
  void evict(Worker& worker);
  void sweep(Worker& worker);
  void tick();
  // Runs `loop` until it has no more work; `name` is the thread's.
  void run(asio::io_context& loop, const std::string& name);
  void begin_drain(Worker& worker);
  void retire_when_empty(Worker& worker);

  HttpServerOptions options;
  Handler handler;
  HttpMetrics metrics;
  Log& log;
  const Clock& clock;
  std::chrono::milliseconds sweep_every{};
  std::vector<std::unique_ptr<Worker>> workers;
  // Accepting has a thread of its own, so that a worker that is busy with a long request holds no newcomer up.
  asio::io_context accept_loop{1};
  tcp::acceptor acceptor{accept_loop};
  asio::steady_timer accept_timer{accept_loop};
  asio::steady_timer second_timer{accept_loop};
  std::int64_t spared_ns = 0;         // when idle connections were last evicted; the accepting thread's
  std::int64_t accept_warned_ns = 0;  // likewise
  PeerCounts peers;
  std::size_t next_worker = 0;
  std::thread accept_thread;
  std::uint16_t port = 0;

  std::atomic<std::size_t> open_connections{0};
  std::atomic<std::size_t> large_bodies{0};
  std::atomic<bool> draining{false};

  std::mutex mutex;
  std::condition_variable changed;
  std::size_t workers_done = 0;  // guarded by mutex
  bool drained = false;          // owner's thread only
};

Status HttpServer::Impl::listen() {
  ErrorCode error;
  const std::string address = options.address == "localhost" ? "127.0.0.1" : options.address;
  const auto ip = asio::ip::make_address(address, error);
  if (error) return invalid_argument(fmt::format("'{}' is not an IP address to listen on", options.address));
  const tcp::endpoint endpoint(ip, options.port);
  const auto failed = [&](std::string_view what) {
    return unavailable(fmt::format("cannot {} {}:{}: {}", what, options.address, options.port, error.message()));
  };
  if (acceptor.open(endpoint.protocol(), error); error) return failed("open a socket for");
  if (acceptor.set_option(tcp::acceptor::reuse_address(true), error); error) return failed("reuse");
  if (acceptor.bind(endpoint, error); error) return failed("bind to");
  if (acceptor.listen(asio::socket_base::max_listen_connections, error); error) return failed("listen on");
  port = acceptor.local_endpoint(error).port();
  return Status::ok();
}

void HttpServer::Impl::accept() {
  Worker& worker = *workers[next_worker];
  acceptor.async_accept(worker.loop, [this, &worker](const ErrorCode& error, HttpSocket socket) {
    if (error == asio::error::operation_aborted || !acceptor.is_open()) return;
    if (error) {
      // Out of file descriptors, mostly: trying again at once would only spin.
      const std::int64_t now_ns = clock.monotonic_ns();
      if (accept_warned_ns == 0 || now_ns - accept_warned_ns > kAcceptWarningEveryNs) {
        accept_warned_ns = now_ns;
        log.warning("http_accept_failed", "Could not accept a connection; trying again shortly.",
                    {{"error", error.message()}});
      }
      spare_connections();
      accept_timer.expires_after(kAcceptRetry);
      accept_timer.async_wait([this](const ErrorCode& cancelled) {
        if (!cancelled && acceptor.is_open()) accept();
      });
      return;
    }
    take(worker, std::move(socket));
    accept();
  });
}

void HttpServer::Impl::take(Worker& worker, HttpSocket socket) {
  const std::size_t open = open_connections.load(std::memory_order_relaxed);
  if (open + options.connections_max / kSpareShare >= options.connections_max) spare_connections();
  ErrorCode gone;
  const tcp::endpoint remote = socket.remote_endpoint(gone);
  if (gone) return;
  const PeerCounts::Address peer = PeerCounts::address_of(remote.address());
  if (open >= options.connections_max || !peers.add(peer, options.connections_per_peer_max)) {
    refuse(std::move(socket));
    return;
  }
  open_connections.fetch_add(1, std::memory_order_relaxed);
  asio::post(worker.loop,
             [this, &worker, peer, moved = std::move(socket)]() mutable { adopt(worker, std::move(moved), peer); });
  next_worker = (next_worker + 1) % workers.size();
}

void HttpServer::Impl::refuse(HttpSocket socket) {
  metrics.connections_refused.increment();
  if (options.tls != nullptr) return;  // there is no telling before the handshake
  metrics.count_response(503);
  ErrorCode ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(kRefusal.data(), kRefusal.size()), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

void HttpServer::Impl::adopt(Worker& worker, HttpSocket socket, const PeerCounts::Address& peer) {
  auto& list = worker.context.connections;
  try {
    list.push_back(make_connection(worker.context, std::move(socket), peer));
  } catch (...) {  // out of memory: the place is free again
    worker.context.connection_closed(peer);
    throw;
  }
  list.back()->start(std::prev(list.end()));
}

std::shared_ptr<Connection> HttpServer::Impl::make_connection(HttpContext& context, HttpSocket socket,
                                                              const PeerCounts::Address& peer) const {
  if (options.tls == nullptr) {
    return std::make_shared<HttpConnection<PlainStream>>(PlainStream(std::move(socket)), context, peer);
  }
  auto session = options.tls->accept(socket.native_handle());
  if (session == nullptr) throw std::bad_alloc();
  return std::make_shared<HttpConnection<TlsStream>>(TlsStream(std::move(socket), std::move(session)), context, peer);
}

// Idle connections cost their owners nothing to open again; whoever comes anew finds room that way.
void HttpServer::Impl::spare_connections() {
  const std::int64_t now_ns = clock.monotonic_ns();
  if (spared_ns != 0 && now_ns - spared_ns < kSpareEveryNs) return;
  spared_ns = now_ns;
  for (auto& worker : workers) {
    asio::post(worker->loop, [this, raw = worker.get()] { evict(*raw); });
  }
}

void HttpServer::Impl::evict(Worker& worker) {
  const std::int64_t before_ns = clock.monotonic_ns() - std::chrono::nanoseconds(options.spare_idle).count();
  auto& list = worker.context.connections;
  std::vector<std::pair<std::int64_t, std::shared_ptr<Connection>>> idle;
  for (const auto& connection : list) {
    const auto since_ns = connection->idle_since_ns();
    if (since_ns && *since_ns < before_ns) idle.emplace_back(*since_ns, connection);
  }
  const std::size_t count = std::min(idle.size(), list.size() / kSpareShare + 1);
  const auto middle = idle.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(idle.begin(), middle, idle.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const std::size_t before = list.size();
  for (auto it = idle.begin(); it != middle; ++it) it->second->drain();  // not where a request has just come
  metrics.connections_evicted.add(static_cast<double>(before - list.size()));
}

void HttpServer::Impl::tick() {
  second_timer.expires_after(kSecond);
  second_timer.async_wait([this](const ErrorCode& cancelled) {
    if (cancelled || !acceptor.is_open()) return;
    tick();
    options.every_second();
  });
}

void HttpServer::Impl::sweep(Worker& worker) {
  worker.context.date = date_header(clock.wall_ms());
  const std::int64_t now_ns = clock.monotonic_ns();
  auto& list = worker.context.connections;
  for (auto it = list.begin(); it != list.end();) {
    const std::shared_ptr<Connection> connection = *it++;  // it may leave the list
    connection->check_deadline(now_ns);
  }
  worker.sweep_timer.expires_after(sweep_every);
  worker.sweep_timer.async_wait([this, &worker](const ErrorCode& error) {
    if (!error) sweep(worker);
  });
}

void HttpServer::Impl::run(asio::io_context& loop, const std::string& name) {
  pthread_setname_np(pthread_self(), name.c_str());
  bool more = true;
  while (more) {
    try {
      loop.run();
      more = false;
    } catch (const std::exception& error) {  // each turn took a handler off the loop: this ends
      log.error("http_loop_failed", "An event of the HTTP server failed.", {{"error", error.what()}});
    }
  }
}

void HttpServer::Impl::begin_drain(Worker& worker) {
  worker.drain_begun = true;
  auto& list = worker.context.connections;
  for (auto it = list.begin(); it != list.end();) {
    const std::shared_ptr<Connection> connection = *it++;
    connection->drain();
  }
  retire_when_empty(worker);
}

void HttpServer::Impl::retire_when_empty(Worker& worker) {
  if (!worker.drain_begun || !worker.context.connections.empty()) return;
  worker.sweep_timer.cancel();
  worker.guard.reset();
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() { drain(std::chrono::milliseconds(0)); }

std::uint16_t HttpServer::port() const { return impl_->port; }

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpServerOptions& options, Handler handler,
                                                      MetricsRegistry& metrics, Log& log, const Clock& clock) {
  try {
    std::unique_ptr<HttpServer> server(
        new HttpServer(std::make_unique<Impl>(options, std::move(handler), metrics, log, clock)));
    Impl& impl = *server->impl_;
    TRY(impl.listen());
    impl.accept();
    if (impl.options.every_second) impl.tick();
    for (auto& worker : impl.workers) {
      impl.sweep(*worker);
      worker->thread = std::thread([&impl, raw = worker.get()] {
        impl.run(raw->loop, fmt::format("{}-{}", impl.options.thread_name, raw->context.worker));
        const std::lock_guard lock(impl.mutex);
        ++impl.workers_done;
        impl.changed.notify_all();
      });
    }
    impl.accept_thread = std::thread([&impl] { impl.run(impl.accept_loop, impl.options.thread_name + "-accept"); });
    return server;
  } catch (const std::exception& error) {
    return resource_exhausted(fmt::format("cannot start the HTTP server: {}", error.what()));
  }
}

bool HttpServer::drain(std::chrono::milliseconds grace) {
  auto& server = *impl_;
  if (server.drained) return server.workers_done == server.workers.size();
  server.drained = true;
  if (server.accept_thread.joinable()) {
    asio::post(server.accept_loop, [&server] {
      ErrorCode ignored;
      server.acceptor.close(ignored);
      server.accept_timer.cancel();
      server.second_timer.cancel();
    });
    server.accept_thread.join();
  }
  server.draining = true;
  for (auto& worker : server.workers) {
    asio::post(worker->loop, [&server, raw = worker.get()] { server.begin_drain(*raw); });
  }
  bool answered = false;
  if (server.workers.front()->thread.joinable()) {
    std::unique_lock lock(server.mutex);
    answered = server.changed.wait_for(lock, grace, [&] { return server.workers_done == server.workers.size(); });
  }
  if (!answered) {
    for (auto& worker : server.workers) worker->loop.stop();
  }
  for (auto& worker : server.workers) {
    if (worker->thread.joinable()) worker->thread.join();
    auto& list = worker->context.connections;
    while (!list.empty()) list.front()->close();
  }
  return answered;
}

}  // namespace freshet
