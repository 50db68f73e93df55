#include "serving/access_control.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "serving/router.h"
#include "tests/support/scratch_folder.h"

namespace freshet {
namespace {

constexpr const char* kOwner = "owner-token-0123456789";
constexpr const char* kAdmin = "admin-token-0123456789";
constexpr const char* kFeedback = "feedback-token-0123456789";
constexpr const char* kInference = "inference-token-0123456789";

class AccessControlTest : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text) { return folder_.write(name, text); }

  void load(const AccessControl::Files& files) {
    auto loaded = AccessControl::load(files, kOwner, metrics_, log_);
    ASSERT_TRUE(loaded.is_ok()) << loaded.status().to_string();
    access_ = std::move(loaded).value();
  }
  void load_all() {
    AccessControl::Files files;
    files.inference = file("inference", std::string(kInference) + "\n");
    files.feedback = file("feedback", std::string(kFeedback) + "\n");
    files.admin = file("admin", std::string(kAdmin) + "\n");
    load(files);
  }
  // 200 where the call may go on.
  int status(Access access, const std::string& token) const {
    const std::string value = "Bearer " + token;
    const std::vector<HeaderView> headers = {{"Host", "h"}, {"authorization", value}};
    Request request;
    if (!token.empty()) request.headers = headers;
    const auto refused = access_->refusal(access, request);
    return refused ? refused->status : 200;
  }
  std::string all_logged() const {
    std::string all;
    for (const std::string& line : log_.lines()) all += line + "\n";
    return all;
  }
  double reloads(const std::string& secret, const std::string& result) {
    return metrics_.counter("freshet_secret_reloads_total", "", {{"secret", secret}, {"result", result}}).value();
  }
  // Two looks: a change counts once it has stood still.
  void look() {
    access_->refresh();
    access_->refresh();
  }

  test::ScratchFolder folder_;
  LocalMetrics metrics_;
  MemoryLog log_;
  std::unique_ptr<AccessControl> access_;
};

TEST_F(AccessControlTest, WithoutFilesAllButAdministrationIsOpen) {
  load({});
  for (const Access access : {Access::kOpen, Access::kInference, Access::kFeedback, Access::kChange}) {
    EXPECT_EQ(status(access, ""), 200);
    EXPECT_EQ(status(access, "whatever-it-is-that-was-sent"), 200);
  }
  EXPECT_EQ(status(Access::kAdmin, ""), 401);
  EXPECT_EQ(status(Access::kAdmin, kAdmin), 401);
  EXPECT_EQ(status(Access::kAdmin, kOwner), 200);
}

TEST_F(AccessControlTest, EachKindMayDoWhatLowerKindsMay) {
  load_all();
  struct Row {
    Access access;
    int none, unknown, inference, feedback, admin;
  };
  for (const Row& row : {Row{Access::kOpen, 200, 200, 200, 200, 200}, Row{Access::kInference, 401, 401, 200, 200, 200},
                         Row{Access::kFeedback, 401, 401, 403, 200, 200}, Row{Access::kChange, 401, 401, 403, 403, 200},
                         Row{Access::kAdmin, 401, 401, 403, 403, 200}}) {
    SCOPED_TRACE(static_cast<int>(row.access));
    EXPECT_EQ(status(row.access, ""), row.none);
    EXPECT_EQ(status(row.access, "nobody-has-this-token"), row.unknown);
    EXPECT_EQ(status(row.access, kInference), row.inference);
    EXPECT_EQ(status(row.access, kFeedback), row.feedback);
    EXPECT_EQ(status(row.access, kAdmin), row.admin);
    EXPECT_EQ(status(row.access, kOwner), row.admin);
  }
}

TEST_F(AccessControlTest, AnyFileClosesWhatChangesSomething) {
  AccessControl::Files files;
  files.inference = file("inference", std::string(kInference) + "\n");
  load(files);
  EXPECT_EQ(status(Access::kInference, ""), 401);
  EXPECT_EQ(status(Access::kFeedback, kInference), 403);
  EXPECT_EQ(status(Access::kChange, ""), 401);
  EXPECT_EQ(status(Access::kChange, kOwner), 200);
  files.inference.clear();
  files.admin = file("admin", std::string(kAdmin) + "\n");
  load(files);
  EXPECT_EQ(status(Access::kInference, ""), 200);
  EXPECT_EQ(status(Access::kFeedback, ""), 401);
  EXPECT_EQ(status(Access::kFeedback, kAdmin), 200);
  EXPECT_EQ(status(Access::kChange, ""), 401);
}

TEST_F(AccessControlTest, AFileHoldsSeveralTokens) {
  AccessControl::Files files;
  files.admin = file("admin", "# since March\nnew-token-0123456789+/=\r\n\n  \nold-token-0123456789-._~  \n");
  load(files);
  EXPECT_EQ(status(Access::kAdmin, "new-token-0123456789+/="), 200);
  EXPECT_EQ(status(Access::kAdmin, "old-token-0123456789-._~"), 200);
  for (const std::string wrong : {"# since March", "new-token-0123456789+/", "new-token-0123456789+/=x",
                                  "new-token-0123456789+/=\nold-token-0123456789-._~", " "}) {
    EXPECT_EQ(status(Access::kAdmin, wrong), 401) << wrong;
  }
}

TEST_F(AccessControlTest, TellsWhatIsMissing) {
  load_all();
  const auto answer = [&](const std::string& value) {
    const std::vector<HeaderView> headers = {{"Authorization", value}};
    Request request;
    request.headers = headers;
    return access_->refusal(Access::kChange, request).value();
  };
  for (const char* value : {"", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", kAdmin}) {
    const Response missing = answer(value);
    EXPECT_EQ(missing.status, 401) << value;
    EXPECT_EQ(missing.headers.at(0).first, "WWW-Authenticate");
    EXPECT_EQ(missing.headers.at(0).second, "Bearer");
    EXPECT_EQ(missing.body, R"({"error":"this takes an admin token, as `Authorization: Bearer TOKEN`"})");
  }
  const Response wrong = answer("Bearer something-that-nobody-has");
  EXPECT_EQ(wrong.status, 401);
  EXPECT_EQ(wrong.headers.at(0).second, R"(Bearer error="invalid_token")");
  EXPECT_EQ(wrong.body.find("something-that"), std::string::npos);
  const Response lower = answer(std::string("bearer ") + kInference);
  EXPECT_EQ(lower.status, 403);
  EXPECT_EQ(lower.headers.at(0).second, R"(Bearer error="insufficient_scope")");
  EXPECT_EQ(lower.body.find(kInference), std::string::npos);
}

TEST_F(AccessControlTest, ReadsAFileAgainWhenItChanges) {
  load_all();
  file("admin", std::string(kAdmin) + "\nnext-token-0123456789\n");
  access_->refresh();
  EXPECT_EQ(status(Access::kAdmin, "next-token-0123456789"), 401) << "it may still be being written";
  access_->refresh();
  EXPECT_EQ(status(Access::kAdmin, "next-token-0123456789"), 200);
  EXPECT_EQ(status(Access::kAdmin, kAdmin), 200);
  file("admin", "next-token-0123456789\n");
  look();
  EXPECT_EQ(status(Access::kAdmin, kAdmin), 401);
  EXPECT_EQ(status(Access::kAdmin, "next-token-0123456789"), 200);
  EXPECT_EQ(status(Access::kInference, kInference), 200);
  EXPECT_EQ(reloads("admin_tokens", "taken"), 2);
  look();
  EXPECT_EQ(reloads("admin_tokens", "taken"), 2) << "nothing has changed since";
  EXPECT_EQ(reloads("inference_tokens", "taken"), 0);
  EXPECT_EQ(all_logged().find("next-token"), std::string::npos) << all_logged();
}

// A mounted secret is a link to a folder of that name, which moves.
TEST_F(AccessControlTest, FollowsALinkThatMoves) {
  std::filesystem::create_directory(folder_.path() + "/one");
  std::filesystem::create_directory(folder_.path() + "/two");
  file("one/tokens", std::string(kAdmin) + "\n");
  file("two/tokens", "next-token-0123456789\n");
  std::filesystem::create_directory_symlink("one", folder_.path() + "/current");
  AccessControl::Files files;
  files.admin = folder_.path() + "/current/tokens";
  load(files);
  std::filesystem::create_directory_symlink("two", folder_.path() + "/current.new");
  std::filesystem::rename(folder_.path() + "/current.new", folder_.path() + "/current");
  look();
  EXPECT_EQ(status(Access::kAdmin, kAdmin), 401);
  EXPECT_EQ(status(Access::kAdmin, "next-token-0123456789"), 200);
}

TEST_F(AccessControlTest, AFileThatGoesBadKeepsTheTokensBefore) {
  load_all();
  double refused = 0;
  for (const std::string bad : {"", "short\n", "a token with spaces in it\n", "# nothing\n"}) {
    file("admin", bad);
    look();
    EXPECT_EQ(status(Access::kAdmin, kAdmin), 200) << bad;
    EXPECT_EQ(reloads("admin_tokens", "refused"), ++refused) << bad;
  }
  std::filesystem::remove(folder_.path() + "/admin");
  look();
  EXPECT_EQ(status(Access::kAdmin, kAdmin), 200);
  EXPECT_EQ(reloads("admin_tokens", "refused"), ++refused);
  look();
  EXPECT_EQ(reloads("admin_tokens", "refused"), refused) << "said once for each change";
  EXPECT_TRUE(log_.contains("the tokens read before stay in force"));
  EXPECT_EQ(all_logged().find("a token with spaces"), std::string::npos);
  file("admin", "next-token-0123456789\n");
  look();
  EXPECT_EQ(status(Access::kAdmin, kAdmin), 401);
  EXPECT_EQ(status(Access::kAdmin, "next-token-0123456789"), 200);
}

TEST_F(AccessControlTest, SaysAtTheStartWhatIsWrongWithAFile) {
  const auto message = [&](const std::string& path) {
    AccessControl::Files files;
    files.admin = path;
    return AccessControl::load(files, kOwner, metrics_, log_).status().message();
  };
  const std::string missing = message(folder_.path() + "/missing");
  EXPECT_NE(missing.find("serving.tokens.admin_file: cannot read"), std::string::npos) << missing;
  EXPECT_NE(missing.find("openssl rand -hex 32"), std::string::npos) << missing;
  EXPECT_NE(message(file("t", "")).find("holds no token; put one a line into it"), std::string::npos);
  EXPECT_NE(message(file("t", "\n#\n\n")).find("holds no token"), std::string::npos);
  const std::string too_short = message(file("t", "# comment\nabcdefghijklmno\n"));
  EXPECT_NE(too_short.find("line 2: a token has 16 to 1024 characters, this one 15"), std::string::npos) << too_short;
  EXPECT_EQ(too_short.find("abcdefg"), std::string::npos);
  const std::string strange = message(file("t", std::string(kAdmin) + "\npass word and more of it"));
  EXPECT_NE(strange.find("line 2: a token has letters, digits"), std::string::npos) << strange;
  EXPECT_EQ(strange.find("pass word"), std::string::npos);
  EXPECT_NE(message(file("t", std::string(1025, 'x'))).find("this one 1025"), std::string::npos);
  EXPECT_NE(message(file("t", std::string(70'000, '#'))).find("larger than 64 KiB"), std::string::npos);
  EXPECT_NE(message(folder_.path()), "");
}

TEST_F(AccessControlTest, ARouteIsRefusedBeforeItsHandler) {
  load_all();
  Router router(*access_);
  int handled = 0;
  const auto handler = [&](const Request&) {
    ++handled;
    return Response();
  };
  router.add("GET", "/open", handler, Access::kOpen);
  router.add("GET", "/default", handler);
  router.add("POST", "/change/{what}", handler, Access::kChange);
  const auto call = [&](std::string_view method, std::string_view path, const std::string& token) {
    const std::string value = "Bearer " + token;
    const std::vector<HeaderView> headers = {{"Authorization", value}};
    Request request;
    request.method = method;
    request.path = path;
    request.headers = headers;
    return router.handle(request).status;
  };
  EXPECT_EQ(call("GET", "/open", "x"), 200);
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(call("GET", "/default", "x"), 401) << "a route that says nothing is closed with predictions";
  EXPECT_EQ(call("HEAD", "/default", "x"), 401);
  EXPECT_EQ(call("POST", "/change/it", kInference), 403);
  EXPECT_EQ(call("POST", "/change/it/", kInference), 403);
  EXPECT_EQ(call("GET", "/change/it", "x"), 405);
  EXPECT_EQ(call("GET", "/nothing", "x"), 404);
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(call("GET", "/default", kInference), 200);
  EXPECT_EQ(call("POST", "/change/it", kAdmin), 200);
  EXPECT_EQ(handled, 3);
}

}  // namespace
}  // namespace freshet
