#include "serving/admin_routes.h"

#include <gtest/gtest.h>

namespace freshet {
namespace {

constexpr const char* kToken = "0123456789abcdef";  // of the owner

class AdminRoutes : public ::testing::Test {
 protected:
  AdminRoutes() : access_(*AccessControl::load({}, kToken, metrics_, log_)), router_(*access_) {
    AdminCallbacks callbacks;
    callbacks.start = [this](std::string_view name, const JsonObject& arguments) {
      started_ = std::string(name) + ":" + member(arguments, "to") + ":" + member(arguments, "keep");
      return AdminAnswer{202, R"({"id":1})"};
    };
    callbacks.current = [] { return AdminAnswer{200, R"({"state":"none"})"}; };
    add_admin_routes(router_, "operations", callbacks);
  }
  Response call(std::string_view method, std::string_view path, std::string_view authorization,
                std::string_view body = {}) {
    std::vector<HeaderView> headers;
    if (!authorization.empty()) headers.push_back({"authorization", authorization});
    Request request;
    request.method = method;
    request.path = path;
    request.headers = headers;
    request.body = body;
    return router_.handle(request);
  }

  LocalMetrics metrics_;
  MemoryLog log_;
  std::unique_ptr<AccessControl> access_;
  Router router_;
  std::string started_;
};

TEST_F(AdminRoutes, RefuseWhoeverHasNotTheToken) {
  for (const std::string_view wrong :
       {"", "Bearer", "Bearer ", "Bearer 0123456789abcde", "Bearer 0123456789abcdef0", "Bearer 0123456789abcdeF",
        "Basic 0123456789abcdef", "0123456789abcdef", "Bearer  0123456789abcdef"}) {
    for (const auto& [method, path] :
         {std::pair<std::string_view, std::string_view>{"POST", "/admin/v1/operations/backup"},
          {"GET", "/admin/v1/operations/current"}}) {
      const Response response = call(method, path, wrong, "not even json");
      EXPECT_EQ(response.status, 401) << wrong;
      ASSERT_FALSE(response.headers.empty());
      EXPECT_EQ(response.headers.front().first, "WWW-Authenticate");
      EXPECT_EQ(response.body.find(kToken), std::string::npos);
    }
  }
  EXPECT_EQ(started_, "");
}

TEST_F(AdminRoutes, StartAnOperationWithItsArguments) {
  const Response response =
      call("POST", "/admin/v1/operations/backup", "Bearer 0123456789abcdef", R"({"to":"/a \"b\"","keep":3})");
  EXPECT_EQ(response.status, 202);
  EXPECT_EQ(response.body, R"({"id":1})");
  EXPECT_EQ(started_, "backup:/a \"b\":3");
  EXPECT_EQ(call("POST", "/admin/v1/operations/compact", "bearer 0123456789abcdef").status, 202);
  EXPECT_EQ(started_, "compact::");
}

TEST_F(AdminRoutes, TellHowFarItIs) {
  const Response response = call("GET", "/admin/v1/operations/current", "Bearer 0123456789abcdef");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"state":"none"})");
}

// What must not wait behind a backup: the same names, other work.
TEST_F(AdminRoutes, LanesAreApart) {
  AdminCallbacks callbacks;
  callbacks.start = [](std::string_view name, const JsonObject&) {
    return AdminAnswer{202, "{\"other\":\"" + std::string(name) + "\"}"};
  };
  callbacks.current = [] { return AdminAnswer{200, R"({"state":"done"})"}; };
  add_admin_routes(router_, "publishing", callbacks);
  EXPECT_EQ(call("POST", "/admin/v1/publishing/backup", "Bearer 0123456789abcdef").body, R"({"other":"backup"})");
  EXPECT_EQ(started_, "");
  EXPECT_EQ(call("GET", "/admin/v1/publishing/current", "Bearer 0123456789abcdef").body, R"({"state":"done"})");
  EXPECT_EQ(call("GET", "/admin/v1/operations/current", "Bearer 0123456789abcdef").body, R"({"state":"none"})");
  EXPECT_EQ(call("POST", "/admin/v1/publishing/backup", "").status, 401);
}

TEST_F(AdminRoutes, RefuseABodyThatIsNoObject) {
  for (const std::string_view body : {"[1]", "3", "{", "null", "\"x\""}) {
    EXPECT_EQ(call("POST", "/admin/v1/operations/backup", "Bearer 0123456789abcdef", body).status, 400) << body;
  }
  EXPECT_EQ(started_, "");
}

}  // namespace
}  // namespace freshet
