// Server-sent events over a real connection: what is sent, to how many, and how it ends.
#include "serving/event_stream.h"

#include <gtest/gtest.h>

#include "serving/http_server.h"
#include "tests/support/eventually.h"
#include "tests/support/http_client.h"

namespace freshet {
namespace {

using test::http_request;
using test::HttpClient;
using namespace std::chrono_literals;

class EventStreamTest : public ::testing::Test {
 protected:
  void start(HttpServerOptions options = {}, std::size_t listeners_max = 64) {
    stream = std::make_shared<EventStream>(listeners_max);
    options.address = "127.0.0.1";
    options.port = 0;
    auto started = HttpServer::start(
        options,
        [this](const Request& request) {
          Response response;
          if (request.path == "/events") {
            response.headers.emplace_back("Cache-Control", "no-store");
            response.events = stream;
          } else {
            response.body = "{}";
          }
          return response;
        },
        metrics, log, clock);
    ASSERT_TRUE(started) << started.status().to_string();
    server = std::move(*started);
  }
  // Asks for the stream; the head of the answer has been read.
  std::unique_ptr<HttpClient> follow() {
    auto client = std::make_unique<HttpClient>(server->port());
    client->send(http_request("GET", "/events"));
    head = client->read_reply().value_or(test::HttpReply{});
    return client;
  }
  bool followed_by(std::size_t listeners) {
    return eventually([&] { return stream->listeners() == listeners; }, 30s);
  }
  double connections() { return metrics.gauge("freshet_http_connections", "").value(); }
  double timeouts() { return metrics.counter("freshet_http_timeouts_total", "").value(); }

  LocalMetrics metrics;
  MemoryLog log;
  SystemClock clock;
  std::shared_ptr<EventStream> stream;
  std::unique_ptr<HttpServer> server;
  test::HttpReply head;
};

TEST_F(EventStreamTest, SendsEachStateInAFrameOfItsOwn) {
  start();
  const auto client = follow();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers["content-type"], "text/event-stream");
  EXPECT_EQ(head.headers["cache-control"], "no-store");
  EXPECT_EQ(head.headers["connection"], "close");
  EXPECT_FALSE(head.headers.contains("content-length"));
  ASSERT_TRUE(followed_by(1));
  EXPECT_EQ(client->rest(), "");
  stream->publish(R"({"a":1})");
  ASSERT_TRUE(client->read_until("\n\n"));
  stream->publish(R"({"a":2})");
  ASSERT_TRUE(client->read_until("2}\n\n"));
  EXPECT_EQ(client->rest(), "data: {\"a\":1}\n\ndata: {\"a\":2}\n\n");
}

TEST_F(EventStreamTest, ANewcomerHearsTheNewestStateAtOnceButNothingOld) {
  start();
  auto first = follow();
  ASSERT_TRUE(followed_by(1));
  stream->publish("one");
  stream->publish("two");
  const auto second = follow();
  ASSERT_TRUE(second->read_until("data: two\n\n"));
  EXPECT_EQ(second->rest().find("one"), std::string::npos);
  first.reset();
  ASSERT_TRUE(followed_by(1));
  stream->publish("three");
  ASSERT_TRUE(second->read_until("data: three\n\n"));
}

TEST_F(EventStreamTest, WhatIsOldIsKeptForNobody) {
  start();
  follow().reset();
  ASSERT_TRUE(followed_by(0));
  stream->publish("with nobody there");
  auto client = follow();  // the publisher was asked for news: this is fresh
  ASSERT_TRUE(client->read_until("nobody"));
  client.reset();
  ASSERT_TRUE(followed_by(0));
  client = follow();
  ASSERT_TRUE(followed_by(1));
  stream->publish("new");
  ASSERT_TRUE(client->read_until("new"));
  EXPECT_EQ(client->rest().find("nobody"), std::string::npos);
}

TEST_F(EventStreamTest, ManyFollowAndLeave) {
  HttpServerOptions options;
  options.threads = 2;
  start(options);
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(follow());
  ASSERT_TRUE(followed_by(20));
  EXPECT_EQ(connections(), 20);
  stream->publish("all");
  for (const auto& client : clients) EXPECT_TRUE(client->read_until("data: all\n\n"));
  clients.resize(5);
  ASSERT_TRUE(followed_by(5));
  stream->publish("some");
  for (const auto& client : clients) EXPECT_TRUE(client->read_until("data: some\n\n"));
  HttpClient other(server->port());  // the threads serve others meanwhile
  EXPECT_EQ(other.get("/")->body, "{}");
}

TEST_F(EventStreamTest, NoMoreFollowThanMay) {
  start({}, 2);
  const auto first = follow();
  const auto second = follow();
  ASSERT_TRUE(followed_by(2));
  const auto third = follow();
  EXPECT_EQ(head.status, 503);
  EXPECT_TRUE(third->closed_by_server());
  stream->publish("still");
  EXPECT_TRUE(first->read_until("still"));
  EXPECT_TRUE(second->read_until("still"));
}

TEST_F(EventStreamTest, AFollowerCountsAsAConnection) {
  HttpServerOptions options;
  options.connections_max = 1;
  start(options);
  const auto client = follow();
  ASSERT_TRUE(followed_by(1));
  HttpClient other(server->port());
  EXPECT_EQ(other.read_reply()->status, 503);
}

TEST_F(EventStreamTest, WhoDoesNotReadIsLeftBehindAndNobodyElseIs) {
  HttpServerOptions options;
  options.request_timeout = 300ms;
  start(options);
  const auto reader = follow();
  const auto sleeper = follow();
  ASSERT_TRUE(followed_by(2));
  const std::string much(1 << 20, 'x');
  int sent = 0;
  EXPECT_TRUE(eventually(
      [&] {
        stream->publish(std::to_string(++sent) + much);
        return reader->read_until("data: " + std::to_string(sent)) && stream->listeners() == 1;
      },
      60s));
  EXPECT_EQ(timeouts(), 1);
  EXPECT_TRUE(eventually([&] { return connections() == 1; }, 30s));
  stream->publish("the end");
  EXPECT_TRUE(reader->read_until("data: the end\n\n"));
}

TEST_F(EventStreamTest, AFollowerStaysLongerThanARequestMay) {
  HttpServerOptions options;
  options.request_timeout = 100ms;
  options.idle_timeout = 100ms;
  start(options);
  const auto client = follow();
  ASSERT_TRUE(followed_by(1));
  HttpClient idle(server->port());
  ASSERT_TRUE(idle.closed_by_server());  // as long as that
  stream->publish("still there");
  EXPECT_TRUE(client->read_until("data: still there\n\n"));
  EXPECT_EQ(timeouts(), 0);
}

TEST_F(EventStreamTest, WhatAFollowerSendsIsPassedOver) {
  start();
  HttpClient client(server->port());
  client.send(http_request("GET", "/events") + http_request("GET", "/other"));
  EXPECT_EQ(client.read_reply()->status, 200);
  ASSERT_TRUE(followed_by(1));
  client.send(http_request("GET", "/more"));
  stream->publish("state");
  ASSERT_TRUE(client.read_until("\n\n"));
  EXPECT_EQ(client.rest(), "data: state\n\n");
}

TEST_F(EventStreamTest, EndsWithTheLastState) {
  start();
  const auto client = follow();
  ASSERT_TRUE(followed_by(1));
  stream->publish("the last");
  stream->end();
  stream->publish("too late");
  EXPECT_TRUE(client->closed_by_server());
  EXPECT_EQ(client->rest(), "data: the last\n\n");
  EXPECT_TRUE(followed_by(0));
  follow();
  EXPECT_EQ(head.status, 503);
}

TEST_F(EventStreamTest, ADrainWaitsForNobodyWhoFollows) {
  HttpServerOptions options;
  options.threads = 2;
  start(options);
  const auto first = follow();
  const auto sleeper = follow();
  ASSERT_TRUE(followed_by(2));
  const std::string much(8 << 20, 'x');  // more than the kernel takes of one who does not read
  stream->publish(much);
  ASSERT_TRUE(first->read_until("\n\n"));
  stream->publish("the last");
  ASSERT_TRUE(first->read_until("data: the last"));
  EXPECT_TRUE(server->drain(30s));
  EXPECT_TRUE(first->closed_by_server());
  EXPECT_TRUE(followed_by(0));
}

TEST_F(EventStreamTest, AServerThatGoesLeavesTheStreamToItsPublisher) {
  start();
  const auto client = follow();
  ASSERT_TRUE(followed_by(1));
  server.reset();
  EXPECT_EQ(stream->listeners(), 0U);
  stream->publish("nobody hears this");
  EXPECT_TRUE(client->closed_by_server());
}

}  // namespace
}  // namespace freshet
