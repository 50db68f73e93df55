#include "serving/http_server.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/rng.h"
#include "serving/content_coding.h"
#include "tests/support/http_client.h"

namespace freshet {
namespace {

using test::http_request;
using test::HttpClient;
using namespace std::chrono_literals;

// Holds whoever waits until it is opened.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
  }
  void await_waiters(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  int waiting_ = 0;
};

class HttpServerTest : public ::testing::Test {
 protected:
  // "/echo" answers method, path, query and body; "/big?N" N bytes; "/throw" throws; "/wait" waits for the gate.
  Response handle(const Request& request) {
    Response response;
    response.content_type = kTextType;
    if (request.path == "/echo") {
      response.body.append(request.method).append(" ").append(request.query).append(" ").append(request.body);
    } else if (request.path == "/big") {
      response.body.assign(std::stoul(std::string(request.query)), 'b');
      response.compressible = true;
    } else if (request.path == "/throw") {
      throw std::runtime_error("as told");
    } else if (request.path == "/throw_int") {
      throw 7;
    } else if (request.path == "/wait") {
      gate.pass();
      response.body = "waited";
    } else if (request.path == "/header") {
      response.body = request.header("x-test");
    } else {
      return error_response(404, "no");
    }
    return response;
  }

  void start(HttpServerOptions options = {}) {
    options.address = "127.0.0.1";
    options.port = 0;
    auto started = HttpServer::start(
        options, [this](const Request& r) { return handle(r); }, metrics, log, clock);
    ASSERT_TRUE(started) << started.status().to_string();
    server = std::move(*started);
  }

  double metric(std::string_view name, const MetricLabels& labels = {}) {
    return metrics.counter(name, "", labels).value();
  }
  double answered(const std::string& code) { return metric("freshet_http_requests_total", {{"code", code}}); }

  void TearDown() override {
    gate.open();
    server.reset();
  }

  // Sends `bytes` on a fresh connection and expects an error response, then a close.
  void expect_refused(std::string_view bytes, int status) {
    HttpClient client(server->port());
    ASSERT_TRUE(client.connected());
    client.send(bytes);
    const auto reply = client.read_reply();
    ASSERT_TRUE(reply) << bytes.substr(0, 80);
    EXPECT_EQ(reply->status, status) << bytes.substr(0, 80);
    EXPECT_EQ(reply->headers.at("connection"), "close");
    EXPECT_EQ(reply->body.rfind(R"({"error":")", 0), 0U) << reply->body;
    EXPECT_TRUE(client.closed_by_server());
    EXPECT_TRUE(client.rest().empty()) << client.rest();
  }

  void expect_alive() {
    HttpClient client(server->port());
    const auto reply = client.get("/echo?alive");
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->body, "GET alive ");
  }

  LocalMetrics metrics;
  MemoryLog log;
  SystemClock clock;
  Gate gate;
  std::unique_ptr<HttpServer> server;
};

TEST_F(HttpServerTest, KeepsConnectionsAlive) {
  start();
  HttpClient client(server->port());
  for (int i = 0; i < 100; ++i) {
    const auto reply = client.post("/echo?q=1", "body" + std::to_string(i));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 200);
    EXPECT_EQ(reply->body, "POST q=1 body" + std::to_string(i));
    EXPECT_TRUE(reply->headers.contains("date"));
  }
  EXPECT_EQ(answered("200"), 100);
}

TEST_F(HttpServerTest, AnswersPipelinedRequestsInOrder) {
  start();
  HttpClient client(server->port());
  std::string bytes;
  for (int i = 0; i < 500; ++i) bytes += http_request("POST", "/echo", std::to_string(i) + std::string(i, 'x'));
  std::thread sender([&] { EXPECT_TRUE(client.send(bytes)); });
  for (int i = 0; i < 500; ++i) {
    const auto reply = client.read_reply();
    ASSERT_TRUE(reply) << i;
    EXPECT_EQ(reply->body, "POST  " + std::to_string(i) + std::string(i, 'x'));
  }
  sender.join();
}

TEST_F(HttpServerTest, AnswersAClientThatHasClosedItsSide) {
  start();
  HttpClient client(server->port());
  client.send(http_request("POST", "/echo", "a") + http_request("POST", "/echo", "b"));
  client.half_close();
  EXPECT_EQ(client.read_reply()->body, "POST  a");
  EXPECT_EQ(client.read_reply()->body, "POST  b");
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(HttpServerTest, TakesRequestsByteByByte) {
  start();
  const std::string chunked =
      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";
  HttpClient client(server->port());
  for (const auto& bytes : {http_request("POST", "/echo?q", "hello"), chunked, chunked}) {
    for (const char byte : bytes) ASSERT_TRUE(client.send({&byte, 1}));
  }
  EXPECT_EQ(client.read_reply()->body, "POST q hello");
  EXPECT_EQ(client.read_reply()->body, "POST  abc0123456789");
  EXPECT_EQ(client.read_reply()->body, "POST  abc0123456789");
}

TEST_F(HttpServerTest, SpeaksHttp10AndHead) {
  start();
  HttpClient old(server->port());
  old.send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.read_reply()->body, "GET  ");
  EXPECT_TRUE(old.closed_by_server());
  HttpClient kept(server->port());
  kept.send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /echo HTTP/1.0\r\n\r\n");
  EXPECT_EQ(kept.read_reply()->headers.at("connection"), "keep-alive");
  EXPECT_TRUE(kept.read_reply());
  HttpClient client(server->port());
  client.send(http_request("HEAD", "/big?1000") + http_request("GET", "/echo"));
  EXPECT_EQ(client.read_reply(true)->headers.at("content-length"), "1000");
  EXPECT_EQ(client.read_reply()->body, "GET  ");
}

TEST_F(HttpServerTest, ClosesWhenTheClientAsksForIt) {
  start();
  HttpClient client(server->port());
  client.send(http_request("GET", "/echo", {}, "Connection: close\r\n"));
  EXPECT_EQ(client.read_reply()->headers.at("connection"), "close");
  EXPECT_TRUE(client.closed_by_server());
}

TEST_F(HttpServerTest, TakesTheAbsoluteFormAndHeadersOfAnyCase) {
  start();
  HttpClient client(server->port());
  client.send(
      "GET http://host:1/echo?x HTTP/1.1\r\nhost: h\r\n\r\nGET /header HTTP/1.1\r\nHOST: h\r\nX-TeSt:  v w \r\n\r\n");
  EXPECT_EQ(client.read_reply()->body, "GET x ");
  EXPECT_EQ(client.read_reply()->body, "v w");
}

TEST_F(HttpServerTest, AsksForTheBodyOfAClientThatWaits) {
  start();
  HttpClient client(server->port());
  client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.read_reply()->status, 100);
  client.send("body");
  EXPECT_EQ(client.read_reply()->body, "POST  body");
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\n\r\n", 417);
}

TEST_F(HttpServerTest, RefusesHeadersThatAreTooLarge) {
  HttpServerOptions options;
  options.header_bytes_max = 1024;
  start(options);
  expect_refused("GET /echo HTTP/1.1\r\nHost: h\r\nX: " + std::string(2000, 'x'), 431);
  expect_refused("GET /" + std::string(5000, 'x'), 431);
  std::string many = "GET /echo HTTP/1.1\r\nHost: h\r\n";
  for (int i = 0; i < 500; ++i) many += "A: b\r\n";
  expect_refused(many, 431);
  // Sent line by line, so that the parser sees it in pieces.
  HttpClient client(server->port());
  client.send("GET /echo HTTP/1.1\r\nHost: h\r\n");
  bool open = true;
  for (int i = 0; i < 100'000 && open; ++i) open = client.send("A: b\r\n");
  const auto reply = client.read_reply();
  EXPECT_TRUE(!reply || reply->status == 431);
  EXPECT_TRUE(client.closed_by_server());
  expect_alive();
}

TEST_F(HttpServerTest, RefusesBodiesThatAreTooLarge) {
  HttpServerOptions options;
  options.body_bytes_max = 100;
  start(options);
  expect_refused(http_request("POST", "/echo", std::string(101, 'x')), 413);
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999\r\n\r\n", 413);
  std::string chunks = "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 11; ++i) chunks += "A\r\n0123456789\r\n";
  expect_refused(chunks + "0\r\n\r\n", 413);
  // A refused body that is still on its way does not cost the client the answer.
  expect_refused(http_request("POST", "/echo", std::string(1'000'000, 'x')), 413);
  HttpClient client(server->port());
  EXPECT_EQ(client.post("/echo", std::string(100, 'y'))->status, 200);
}

TEST_F(HttpServerTest, TakesLargeBodiesAndGivesLargeAnswers) {
  start();
  HttpClient client(server->port());
  std::string body;
  body.resize(10'000'000, 'z');
  const auto echoed = client.post("/echo", body);
  ASSERT_TRUE(echoed);
  EXPECT_EQ(echoed->body, "POST  " + body);
  EXPECT_EQ(client.get("/echo")->body, "GET  ");
}

TEST_F(HttpServerTest, RefusesWhatIsNotHttp) {
  start();
  expect_refused("\x16\x03\x01\x02garbage that looks like TLS\r\n\r\n", 400);
  expect_refused("GET\r\n\r\n", 400);
  expect_refused("GET /echo HTTP/1.1\r\nHost: h\r\nno colon here\r\n\r\n", 400);
  expect_refused("GET /echo HTTP/1.1\r\nHost: h\r\nA: b\r\n  folded\r\n\r\n", 400);
  expect_refused("GET /echo HTTP/2.0\r\nHost: h\r\n\r\n", 505);
  expect_refused("GET /echo HTTP/1.1\r\n\r\n", 400);                        // no Host
  expect_refused("GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);  // two
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400);
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400);
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 400);
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 501);
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501);
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx", 415);
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip, gzip\r\nContent-Length: 1\r\n\r\nx", 415);
  expect_refused(
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Encoding: deflate\r\n"
      "Content-Length: 1\r\n\r\nx",
      415);
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", 400);
  expect_refused("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;" + std::string(100'000, 'e'),
                 400);
  expect_alive();
}

TEST_F(HttpServerTest, TakesCompressedBodies) {
  HttpServerOptions options;
  options.body_bytes_max = 100'000;
  start(options);
  ContentCoder coder;
  HttpClient client(server->port());
  const auto send = [&](const std::string& body, const std::string& coding) {
    client.send(http_request("POST", "/echo", body, "Content-Encoding: " + coding + "\r\n"));
    return client.read_reply().value_or(test::HttpReply{});
  };
  const std::string text(100'000, 'z');
  std::string packed;
  for (const ContentCoding coding : {ContentCoding::kGzip, ContentCoding::kDeflate}) {
    ASSERT_TRUE(coder.deflate(coding, text, packed));
    EXPECT_EQ(send(packed, std::string(coding_name(coding))).body, "POST  " + text);
    const auto bad = send("nonsense", std::string(coding_name(coding)));
    EXPECT_EQ(bad.status, 400);
    EXPECT_EQ(bad.body.rfind(R"({"error":"the request body)", 0), 0U) << bad.body;
  }
  ASSERT_TRUE(coder.deflate(ContentCoding::kGzip, text + "z", packed));
  const auto bomb = send(packed, "gzip");
  EXPECT_EQ(bomb.status, 413);
  EXPECT_EQ(bomb.body, R"({"error":"the request body inflates to more than 100000 bytes, the most that is taken"})");
  EXPECT_EQ(send("plain", "identity").body, "POST  plain");
  EXPECT_EQ(send("", "gzip").body, "POST  ");  // nothing to inflate
  EXPECT_EQ(answered("413"), 1);
}

TEST_F(HttpServerTest, CompressesAnswersForClientsThatTakeThem) {
  start();
  ContentCoder coder;
  HttpClient client(server->port());
  const auto get = [&](const std::string& path, const std::string& headers) {
    client.send(http_request("GET", path, {}, headers));
    return client.read_reply().value_or(test::HttpReply{});
  };
  for (const auto& [accepted, coding] :
       {std::pair<std::string, ContentCoding>{"gzip", ContentCoding::kGzip}, {"deflate", ContentCoding::kDeflate}}) {
    const auto reply = get("/big?200000", "Accept-Encoding: " + accepted + "\r\n");
    EXPECT_EQ(reply.headers.at("content-encoding"), accepted);
    EXPECT_EQ(reply.headers.at("vary"), "Accept-Encoding");
    EXPECT_LT(reply.body.size(), 2000U);
    std::string plain;
    ASSERT_TRUE(coder.inflate(coding, reply.body, 200'000, plain));
    EXPECT_EQ(plain, std::string(200'000, 'b'));
  }
  const auto small = get("/big?1000", "Accept-Encoding: gzip\r\n");
  EXPECT_FALSE(small.headers.contains("content-encoding"));
  EXPECT_EQ(small.body.size(), 1000U);
  EXPECT_FALSE(get("/big?2000", "").headers.contains("content-encoding"));
  EXPECT_FALSE(get("/big?2000", "Accept-Encoding: br, gzip;q=0\r\n").headers.contains("content-encoding"));
  // What a handler does not offer for it goes as it is.
  client.send(http_request("POST", "/echo", std::string(2000, 'e'), "Accept-Encoding: gzip\r\n"));
  const auto echoed = client.read_reply();
  ASSERT_TRUE(echoed);
  EXPECT_EQ(echoed->body, "POST  " + std::string(2000, 'e'));
  EXPECT_FALSE(echoed->headers.contains("vary"));
  // Each answer of a pipeline has its own coding.
  client.send(http_request("GET", "/big?2000", {}, "Accept-Encoding: gzip\r\n") + http_request("GET", "/big?2000") +
              http_request("GET", "/big?2000", {}, "Accept-Encoding: deflate\r\n"));
  EXPECT_EQ(client.read_reply()->headers.at("content-encoding"), "gzip");
  EXPECT_EQ(client.read_reply()->body, std::string(2000, 'b'));
  EXPECT_EQ(client.read_reply()->headers.at("content-encoding"), "deflate");
}

TEST_F(HttpServerTest, SurvivesGarbage) {
  HttpServerOptions options;
  options.request_timeout = 20ms;
  options.idle_timeout = 20ms;
  options.linger_timeout = 20ms;
  start(options);
  const std::uint64_t seed = 20130101;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  const std::string good = http_request("POST", "/echo?q", "0123456789") +
                           "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (int i = 0; i < 300; ++i) {
    std::string bytes = good;
    for (std::uint64_t edits = 1 + rng.below(4); edits > 0; --edits) {
      const std::size_t at = rng.below(bytes.size());
      switch (rng.below(4)) {
        case 0:
          bytes[at] = static_cast<char>(rng.below(256));
          break;
        case 1:
          bytes.erase(at, 1 + rng.below(10));
          break;
        case 2:
          bytes.insert(at, 1 + rng.below(10), static_cast<char>(rng.below(256)));
          break;
        default:
          bytes.resize(at + 1);
          break;
      }
    }
    HttpClient client(server->port());
    client.send(bytes);
    client.half_close();
    EXPECT_TRUE(client.closed_by_server()) << i;
  }
  expect_alive();
}

TEST_F(HttpServerTest, CutsOffSlowClients) {
  HttpServerOptions options;
  options.request_timeout = 40ms;
  options.linger_timeout = 40ms;
  options.idle_timeout = 20s;
  start(options);
  for (const std::string_view part : {"GET /ec", "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc",
                                      "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}) {
    expect_refused(part, 408);
  }
  // Dripping does not help: the time is for the whole request.
  HttpClient dripping(server->port());
  bool open = dripping.send("GET /echo HTTP/1.1\r\nHost: h\r\n");
  const auto began = std::chrono::steady_clock::now();
  while (open && std::chrono::steady_clock::now() - began < 20s) open = dripping.send("A") && !dripping.readable(2ms);
  EXPECT_EQ(dripping.read_reply()->status, 408);
  EXPECT_TRUE(dripping.closed_by_server());
  EXPECT_GE(metric("freshet_http_timeouts_total"), 4);
  EXPECT_EQ(metrics.gauge("freshet_http_requests_in_flight", "").value(), 0);
}

TEST_F(HttpServerTest, ClosesIdleConnections) {
  HttpServerOptions options;
  options.idle_timeout = 40ms;
  start(options);
  HttpClient silent(server->port());
  EXPECT_TRUE(silent.closed_by_server());
  HttpClient once(server->port());
  ASSERT_TRUE(once.get("/echo"));
  EXPECT_TRUE(once.closed_by_server());
  EXPECT_EQ(metric("freshet_http_timeouts_total"), 0);
}

TEST_F(HttpServerTest, CutsOffClientsThatDoNotReadTheirAnswer) {
  HttpServerOptions options;
  options.request_timeout = 60ms;
  start(options);
  HttpClient client(server->port());
  client.send(http_request("GET", "/big?50000000"));
  while (metric("freshet_http_timeouts_total") == 0) std::this_thread::yield();
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_LT(client.rest().size(), 50'000'000U);
  expect_alive();
}

TEST_F(HttpServerTest, TurnsExceptionsIntoAnswers) {
  start();
  HttpClient client(server->port());
  for (const auto* path : {"/throw", "/throw_int"}) {
    const auto reply = client.get(path);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->status, 500);
    EXPECT_EQ(reply->body, R"({"error":"internal error; the server's log says more"})");
  }
  EXPECT_EQ(client.get("/echo")->status, 200);
  EXPECT_TRUE(log.contains("http_handler_failed"));
  EXPECT_EQ(answered("500"), 2);
}

TEST_F(HttpServerTest, ServesManyConnectionsAtATime) {
  HttpServerOptions options;
  options.threads = 2;
  start(options);
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<HttpClient>(server->port()));
    ASSERT_TRUE(clients.back()->connected()) << i;
  }
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < clients.size(); ++i) clients[i]->send(http_request("POST", "/echo", std::to_string(i)));
    for (std::size_t i = 0; i < clients.size(); ++i) {
      const auto reply = clients[i]->read_reply();
      ASSERT_TRUE(reply) << i;
      EXPECT_EQ(reply->body, "POST  " + std::to_string(i));
    }
  }
  EXPECT_EQ(metrics.gauge("freshet_http_connections", "").value(), 200);
}

TEST_F(HttpServerTest, RefusesConnectionsBeyondTheLimit) {
  HttpServerOptions options;
  options.connections_max = 3;
  start(options);
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<HttpClient>(server->port()));
    ASSERT_TRUE(clients.back()->get("/echo"));
  }
  HttpClient fourth(server->port());
  const auto refused = fourth.read_reply();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503);
  EXPECT_EQ(refused->headers.at("retry-after"), "1");
  EXPECT_EQ(refused->body, R"({"error":"too many connections"})");
  EXPECT_TRUE(fourth.closed_by_server());
  clients.clear();  // once the server has seen the closes there is room again
  std::optional<test::HttpReply> reply;
  for (int i = 0; i < 10'000 && !(reply && reply->status == 200); ++i) reply = HttpClient(server->port()).get("/echo");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 200);
}

TEST_F(HttpServerTest, DrainAnswersRequestsInFlight) {
  HttpServerOptions options;
  options.threads = 2;
  start(options);
  HttpClient waiting(server->port());
  waiting.send(http_request("GET", "/wait"));
  gate.await_waiters(1);
  HttpClient idle(server->port());  // the other thread's
  ASSERT_TRUE(idle.get("/echo"));
  bool drained = false;
  std::thread drainer([&] { drained = server->drain(30s); });
  EXPECT_TRUE(idle.closed_by_server());
  gate.open();
  const auto reply = waiting.read_reply();
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, "waited");
  EXPECT_EQ(reply->headers.at("connection"), "close");
  EXPECT_TRUE(waiting.closed_by_server());
  drainer.join();
  EXPECT_TRUE(drained);
  EXPECT_FALSE(HttpClient(server->port()).get("/echo"));
  EXPECT_EQ(metrics.gauge("freshet_http_connections", "").value(), 0);
}

TEST_F(HttpServerTest, DrainLetsAHalfSentRequestFinish) {
  start();
  HttpClient client(server->port());
  const std::string bytes = http_request("POST", "/echo", "0123456789");
  client.send(bytes.substr(0, bytes.size() - 5));
  while (metrics.gauge("freshet_http_requests_in_flight", "").value() == 0) std::this_thread::yield();
  HttpClient idle(server->port());
  ASSERT_TRUE(idle.get("/echo"));
  std::thread drainer([&] { EXPECT_TRUE(server->drain(30s)); });
  EXPECT_TRUE(idle.closed_by_server());  // draining has begun
  client.send(bytes.substr(bytes.size() - 5));
  EXPECT_EQ(client.read_reply()->body, "POST  0123456789");
  EXPECT_TRUE(client.closed_by_server());
  drainer.join();
}

TEST_F(HttpServerTest, DrainEndsWhenItsTimeIsUp) {
  start();
  HttpClient client(server->port());
  client.send("GET /echo HTTP/1.1\r\n");
  while (metrics.gauge("freshet_http_requests_in_flight", "").value() == 0) std::this_thread::yield();
  EXPECT_FALSE(server->drain(30ms));
  EXPECT_TRUE(client.closed_by_server());
  EXPECT_EQ(metrics.gauge("freshet_http_connections", "").value(), 0);
  EXPECT_EQ(metrics.gauge("freshet_http_requests_in_flight", "").value(), 0);
}

TEST_F(HttpServerTest, SaysWhyItCannotListen) {
  start();
  HttpServerOptions options;
  options.address = "127.0.0.1";
  options.port = server->port();
  const Handler nothing = [](const Request&) { return Response(); };
  const auto taken = HttpServer::start(options, nothing, metrics, log, clock);
  EXPECT_EQ(taken.code(), Code::kUnavailable);
  EXPECT_NE(taken.status().message().find("in use"), std::string::npos) << taken.status().message();
  options.address = "not an address";
  EXPECT_EQ(HttpServer::start(options, nothing, metrics, log, clock).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace freshet
