#include "serving/router.h"

#include <gtest/gtest.h>

namespace freshet {
namespace {

Response call(const Router& router, std::string_view method, std::string_view path) {
  Request request;
  request.method = method;
  request.path = path;
  return router.handle(request);
}

Router sample() {
  Router router;
  router.add("GET", "/", [](const Request&) { return Response{.body = "root"}; });
  router.add("GET", "/models/list", [](const Request&) { return Response{.body = "list"}; });
  router.add("GET", "/models/{model}",
             [](const Request& r) { return Response{.body = std::string(r.param("model"))}; });
  router.add("POST", "/models/{model}/versions/{version}/infer", [](const Request& r) {
    return Response{.body = std::string(r.param("model")) + "@" + std::string(r.param("version"))};
  });
  router.add("DELETE", "/models/{model}", [](const Request&) { return Response{.body = "deleted"}; });
  return router;
}

TEST(Router, FindsRoutesByPathAndMethod) {
  const Router router = sample();
  EXPECT_EQ(call(router, "GET", "/").body, "root");
  EXPECT_EQ(call(router, "GET", "/models/list").body, "list");
  EXPECT_EQ(call(router, "GET", "/models/flights").body, "flights");
  EXPECT_EQ(call(router, "DELETE", "/models/flights").body, "deleted");
  EXPECT_EQ(call(router, "POST", "/models/a/versions/12/infer").body, "a@12");
}

TEST(Router, IgnoresATrailingSlash) { EXPECT_EQ(call(sample(), "GET", "/models/flights/").body, "flights"); }

TEST(Router, AnswersHeadByTheGetHandler) { EXPECT_EQ(call(sample(), "HEAD", "/models/list").status, 200); }

TEST(Router, DecodesPlaceholders) {
  EXPECT_EQ(call(sample(), "GET", "/models/a%20b%2Fc").body, "a b/c");
  EXPECT_EQ(call(sample(), "GET", "/models/100%").body, "100%");
  EXPECT_EQ(call(sample(), "GET", "/models/%zz%4").body, "%zz%4");
  EXPECT_EQ(call(sample(), "POST", "/models/%61/versions/%62/infer").body, "a@b");
}

TEST(Router, AnswersUnknownPathsWith404) {
  for (const auto* path : {"/nothing", "/models", "/models//", "/models/a/b", "", "//", "/models/a/versions/1/infer/x",
                           "/1/2/3/4/5/6/7/8/9/10/11/12/13/14"}) {
    const Response response = call(sample(), "GET", path);
    if (std::string_view(path).empty() || std::string_view(path) == "//") continue;  // the root and its like
    EXPECT_EQ(response.status, 404) << path;
    EXPECT_EQ(response.body.rfind(R"({"error":")", 0), 0U) << path;
  }
}

TEST(Router, AnswersOtherMethodsWith405AndAllow) {
  const Response response = call(sample(), "PUT", "/models/flights");
  EXPECT_EQ(response.status, 405);
  ASSERT_EQ(response.headers.size(), 1U);
  EXPECT_EQ(response.headers[0].first, "Allow");
  EXPECT_EQ(response.headers[0].second, "GET, HEAD, DELETE");
}

}  // namespace
}  // namespace freshet
