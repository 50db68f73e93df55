#include "serving/router.h"

#include <gtest/gtest.h>

#include "serving/json_text.h"

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
  router.add("GET", "/models/{model}", [](const Request& r) { return Response{.body = std::string(r.param("model"))}; });
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

TEST(JsonText, EscapesWhatJsonDoesNotAllow) {
  std::string out;
  append_json_quoted(out, std::string_view("a\"b\\c\n\t\0z\x7F", 10));
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\n\\u0009\\u0000z\\u007f\"");
}

TEST(JsonText, KeepsUtf8AndReplacesWhatIsNot) {
  std::string out;
  append_json_quoted(out, "é€😀");
  EXPECT_EQ(out, "\"é€😀\"");
  for (const auto* bad : {"\xFF", "\xC0\x80", "\xED\xA0\x80", "\xE2\x82", "\xF5\x80\x80\x80", "\xF0\x80\x80\x80"}) {
    out.clear();
    append_json_quoted(out, std::string("<") + bad + ">");
    EXPECT_NE(out.find("\xEF\xBF\xBD"), std::string::npos);
    EXPECT_EQ(out.substr(0, 2), "\"<");
    EXPECT_EQ(out.substr(out.size() - 2), ">\"");
  }
}

TEST(JsonText, WritesFloatsThatReadBackTheSame) {
  for (const float value : {0.1F, 1.0F, 1e-38F, 3.4e38F, -2.5F, 0.333333343F}) {
    std::string out;
    append_json_number(out, value);
    EXPECT_EQ(std::stof(out), value) << out;
  }
}

}  // namespace
}  // namespace freshet
