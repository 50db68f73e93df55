// EchoServer: a server for tests of connections: /echo answers method and body, /big?N N bytes, all else 404.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "serving/http_server.h"
#include "tests/support/http_client.h"

namespace freshet::test {

using namespace std::chrono_literals;

class EchoServer : public ::testing::Test {
 protected:
  Response handle(const Request& request) {
    ++handled;
    Response response;
    response.content_type = kTextType;
    if (request.path == "/echo") {
      response.body.append(request.method).append(" ").append(request.body);
    } else if (request.path == "/big") {
      response.body.assign(std::stoul(std::string(request.query)), 'b');
    } else {
      return error_response(404, "no");
    }
    return response;
  }
  void start(HttpServerOptions options = {}) {
    if (options.address == "0.0.0.0") options.address = "127.0.0.1";
    options.port = 0;
    auto started = HttpServer::start(
        options, [this](const Request& request) { return handle(request); }, metrics, log, clock);
    ASSERT_TRUE(started.is_ok()) << started.status().to_string();
    server = std::move(started).value();
  }
  double count(std::string_view name) { return metrics.counter(name, "").value(); }
  double open_connections() { return metrics.gauge("freshet_http_connections", "").value(); }
  void TearDown() override { server.reset(); }

  std::atomic<int> handled{0};
  LocalMetrics metrics;
  MemoryLog log;
  SystemClock clock;
  std::unique_ptr<HttpServer> server;
};

}  // namespace freshet::test
