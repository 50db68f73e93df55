// The control channel of a running daemon: the file that names it, the client, and operations one at a time.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <thread>

#include "daemon/cli/temporary_folder.h"
#include "daemon/control/control_client.h"
#include "daemon/control/control_file.h"
#include "daemon/control/operations.h"
#include "serving/admin_routes.h"
#include "serving/http_server.h"

namespace freshet {
namespace {

TEST(ControlFile, IsForItsOwnerAloneAndGoesWithTheDaemon) {
  const auto folder = TemporaryFolder::create("freshet-test");
  ASSERT_TRUE(folder.is_ok());
  const std::string path = folder->path() + "/control.json";
  std::ofstream(path + ".new") << "left by a kill";
  std::filesystem::permissions(path + ".new", std::filesystem::perms::all);
  const auto token = make_control_token();
  ASSERT_TRUE(token.is_ok());
  EXPECT_EQ(token->size(), 64U);
  EXPECT_NE(*token, *make_control_token());
  {
    const mode_t before = ::umask(0);
    const auto file = ControlFile::create(folder->path(), {"0.0.0.0", 8080, *token, ""});
    ::umask(before);
    ASSERT_TRUE(file.is_ok()) << file.status().to_string();
    struct stat state {};
    ASSERT_EQ(::stat(path.c_str(), &state), 0);
    EXPECT_EQ(state.st_mode & 0777, 0600U);
    const auto address = read_control_file(folder->path());
    ASSERT_TRUE(address.is_ok()) << address.status().to_string();
    EXPECT_EQ(address->host, "127.0.0.1");
    EXPECT_EQ(address->port, 8080);
    EXPECT_EQ(address->token, *token);
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(read_control_file(folder->path()).code(), Code::kNotFound);
}

TEST(ControlFile, ReadsAddressesOfBothFamilies) {
  const auto folder = TemporaryFolder::create("freshet-test");
  const auto file = ControlFile::create(folder->path(), {"::", 1, "t", ""});
  ASSERT_TRUE(file.is_ok());
  EXPECT_EQ(read_control_file(folder->path())->host, "::1");
  for (const char* text : {"", "{}", R"({"url":"http://x","token":"t"})", R"({"url":"http://x:99999","token":"t"})",
                           R"({"url":"http://x:1","token":""})", R"({"url":"https://x:1","token":"t"})",
                           R"({"url":"http://x:1","token":"t","certificate_file":"/c"})"}) {
    std::ofstream(folder->path() + "/control.json") << text;
    EXPECT_FALSE(read_control_file(folder->path()).is_ok()) << text;
  }
}

// A daemon as far as the client can tell.
class Control : public ::testing::Test {
 protected:
  Control() : folder_(*TemporaryFolder::create("freshet-test")) {
    works_["sum"] = [](Progress& progress) -> Result<std::string> {
      progress.set(5, 10);
      return std::string(R"({"answer":42})");
    };
    works_["fail"] = [](Progress&) -> Result<std::string> { return resource_exhausted("the \"disk\" is full"); };
    works_["wait"] = [this](Progress& progress) -> Result<std::string> {
      running_ = true;
      while (!release_ && !progress.cancelled()) std::this_thread::yield();
      if (progress.cancelled()) return cancelled("interrupted");
      return std::string("{}");
    };
    AdminCallbacks callbacks;
    callbacks.start = [this](std::string_view name, const JsonObject&) -> AdminAnswer {
      const auto work = works_.find(std::string(name));
      if (work == works_.end()) return {404, R"({"error":"no such operation"})"};
      const auto id = operations_.start(work->first, "bytes", work->second);
      if (!id.is_ok()) return {409, error_response(409, id.status().message()).body};
      return {202, operations_.report()};
    };
    callbacks.current = [this] { return AdminAnswer{200, operations_.report()}; };
    access_ = *AccessControl::load({}, "token", metrics_, log_);
    Router router(*access_);
    add_admin_routes(router, "operations", callbacks);
    HttpServerOptions options;
    options.address = "127.0.0.1";
    options.port = 0;
    server_ = *HttpServer::start(
        options, [router](const Request& request) { return router.handle(request); }, metrics_, log_, clock_);
    file_.emplace(*ControlFile::create(folder_.path(), {"127.0.0.1", server_->port(), "token", ""}));
  }

  TemporaryFolder folder_;
  SystemClock clock_;
  MemoryLog log_;
  LocalMetrics metrics_;
  std::map<std::string, Operations::Work> works_;
  std::atomic<bool> running_{false};
  std::atomic<bool> release_{false};
  Operations operations_;
  std::unique_ptr<AccessControl> access_;
  std::unique_ptr<HttpServer> server_;
  std::optional<ControlFile> file_;
};

TEST_F(Control, RunsAnOperationToItsResult) {
  const auto client = ControlClient::for_folder(folder_.path());
  ASSERT_TRUE(client.is_ok());
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  const auto result = client->run("sum", {{"x", "1"}}, [&](std::uint64_t d, std::uint64_t t) {
    done = d;
    total = t;
  });
  ASSERT_TRUE(result.is_ok()) << result.status().to_string();
  EXPECT_EQ(*result, R"({"answer": 42})");
  EXPECT_EQ(done, 5U);
  EXPECT_EQ(total, 10U);
}

TEST_F(Control, TellsWhyAnOperationFailed) {
  const auto client = ControlClient::for_folder(folder_.path());
  const auto failed = client->run("fail", {}, {});
  EXPECT_EQ(failed.code(), Code::kResourceExhausted);
  EXPECT_EQ(failed.status().message(), "the \"disk\" is full");
  const auto unknown = client->run("nothing", {}, {});
  EXPECT_EQ(unknown.status().message(), "no such operation");
  EXPECT_TRUE(client->run("sum", {}, {}).is_ok()) << "a failure must not keep the next one from running";
}

TEST_F(Control, RunsOneAtATime) {
  const auto client = ControlClient::for_folder(folder_.path());
  ASSERT_TRUE(operations_.start("wait", "bytes", works_["wait"]).is_ok());
  while (!running_) std::this_thread::yield();
  const auto second = client->run("sum", {}, {});
  EXPECT_FALSE(second.is_ok());
  EXPECT_NE(second.status().message().find("a wait is running"), std::string::npos) << second.status().message();
  release_ = true;
}

TEST_F(Control, StoppingEndsWhatRunsAndTakesNoMore) {
  ASSERT_TRUE(operations_.start("wait", "bytes", works_["wait"]).is_ok());
  operations_.stop();
  EXPECT_NE(operations_.report().find(R"("state": "failed")"), std::string::npos) << operations_.report();
  EXPECT_FALSE(operations_.start("sum", "bytes", works_["sum"]).is_ok());
}

TEST_F(Control, SaysSoWhenTheFileIsOfAnotherDaemonOrOfNone) {
  file_.reset();
  {
    const auto stale = ControlFile::create(folder_.path(), {"127.0.0.1", server_->port(), "another token", ""});
    const auto refused = ControlClient::for_folder(folder_.path())->run("sum", {}, {});
    EXPECT_EQ(refused.code(), Code::kFailedPrecondition);
    EXPECT_NE(refused.status().message().find("token"), std::string::npos);
  }
  const auto port = server_->port();
  server_.reset();
  const auto left = ControlFile::create(folder_.path(), {"127.0.0.1", port, "token", ""});
  EXPECT_EQ(ControlClient::for_folder(folder_.path())->run("sum", {}, {}).code(), Code::kUnavailable);
}

}  // namespace
}  // namespace freshet
