#include "serving/status_routes.h"

#include <gtest/gtest.h>

namespace freshet {
namespace {

class StatusRoutes : public ::testing::Test {
 protected:
  StatusRoutes() {
    StatusSources sources;
    sources.metrics = [] { return "freshet_up 1\n"; };
    sources.status = [] { return R"({"model":"m"})"; };
    sources.stream = [this] { return stream_; };
    sources.history = [this](std::string_view step) -> std::optional<std::string> {
      asked_ = step;
      return step == "second" ? std::optional<std::string>(R"({"time_ms":[]})") : std::nullopt;
    };
    sources.slices = [] { return R"({"slices":[]})"; };
    sources.config = [] { return R"({"options":[]})"; };
    sources.page = "<!doctype html>";
    sources.page_policy = "default-src 'none'";
    add_status_routes(router_, std::move(sources));
  }
  Response call(std::string_view method, std::string_view path, std::string_view query = {}) {
    Request request;
    request.method = method;
    request.path = path;
    request.query = query;
    return router_.handle(request);
  }
  static std::string header(const Response& response, std::string_view name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }

  std::shared_ptr<EventStream> stream_ = std::make_shared<EventStream>();
  std::string asked_;
  Router router_;
};

TEST_F(StatusRoutes, AnswerWithWhatTheirSourcesSay) {
  EXPECT_EQ(call("GET", "/metrics").body, "freshet_up 1\n");
  EXPECT_EQ(call("GET", "/metrics").content_type, "text/plain; version=0.0.4; charset=utf-8");
  for (const auto& [path, body] : {std::pair("/status", R"({"model":"m"})"),
                                   {"/status/slices", R"({"slices":[]})"},
                                   {"/status/config", R"({"options":[]})"}}) {
    const Response response = call("GET", path);
    EXPECT_EQ(response.status, 200) << path;
    EXPECT_EQ(response.body, body);
    EXPECT_EQ(response.content_type, "application/json");
    EXPECT_EQ(header(response, "Cache-Control"), "no-store");
  }
}

TEST_F(StatusRoutes, ThePageForbidsItselfWhatComesFromElsewhere) {
  const Response response = call("GET", "/");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "text/html; charset=utf-8");
  EXPECT_EQ(response.body, "<!doctype html>");
  EXPECT_EQ(header(response, "Content-Security-Policy"), "default-src 'none'");
  EXPECT_EQ(header(response, "X-Content-Type-Options"), "nosniff");
}

TEST_F(StatusRoutes, HistoryIsOfAStepThatThereIs) {
  EXPECT_EQ(call("GET", "/status/history", "step=second").body, R"({"time_ms":[]})");
  EXPECT_EQ(call("GET", "/status/history", "a=b&step=second&step=life").body, R"({"time_ms":[]})");
  for (const std::string_view query : {"", "step", "step=", "step=year", "nostep=second", "steps=second"}) {
    const Response response = call("GET", "/status/history", query);
    EXPECT_EQ(response.status, 400) << query;
    EXPECT_NE(response.body.find("second, minute or life"), std::string::npos);
  }
}

TEST_F(StatusRoutes, AStreamIsFollowedWithGetAlone) {
  const Response followed = call("GET", "/status/stream");
  EXPECT_EQ(followed.events, stream_);
  EXPECT_EQ(header(followed, "Cache-Control"), "no-store");
  for (const std::string_view method : {"HEAD", "POST", "DELETE"}) {
    const Response response = call(method, "/status/stream");
    EXPECT_EQ(response.status, 405) << method;
    EXPECT_EQ(response.events, nullptr);
    EXPECT_NE(header(response, "Allow").find("GET"), std::string::npos);
  }
}

TEST_F(StatusRoutes, WhatHasNoSourceIsNotThere) {
  Router bare;
  StatusSources sources;
  sources.metrics = [] { return ""; };
  add_status_routes(bare, std::move(sources));
  Request request;
  request.method = "GET";
  for (const std::string_view path :
       {"/", "/status", "/status/stream", "/status/history", "/status/slices", "/status/config"}) {
    request.path = path;
    EXPECT_EQ(bare.handle(request).status, 404) << path;
  }
}

}  // namespace
}  // namespace freshet
