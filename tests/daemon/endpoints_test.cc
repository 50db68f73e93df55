// The options of tokens, TLS and ports, what is wrong with them together, and the endpoints made of them.
#include "daemon/endpoints.h"

#include <gtest/gtest.h>

#include "daemon/config/config_loader.h"
#include "daemon/control/control_client.h"
#include "serving/admin_routes.h"
#include "tests/support/certificates.h"
#include "tests/support/scratch_folder.h"

namespace freshet {
namespace {

std::string errors_of(const std::string& serving) {
  LoadOptions options;
  options.file = "f.yaml";
  options.text = "serving: " + serving;
  const auto config = load_config(options);
  return config.is_ok() ? "" : config.status().message();
}

TEST(ServingConfig, SaysWhatDoesNotGoTogether) {
  EXPECT_EQ(errors_of("{tls: {certificate_file: a, key_file: b, client_ca_file: c}}"), "");
  EXPECT_NE(errors_of("{tls: {certificate_file: a}}").find("key_file is not given"), std::string::npos);
  EXPECT_NE(errors_of("{tls: {key_file: b}}").find("certificate_file is not given"), std::string::npos);
  EXPECT_NE(errors_of("{tls: {client_ca_file: c}}").find("needs serving.tls.certificate_file"), std::string::npos);
  EXPECT_EQ(errors_of("{admin: {listen: '127.0.0.1:8081'}}"), "");
  EXPECT_EQ(errors_of("{listen: '127.0.0.1:0', admin: {listen: '127.0.0.1:0'}}"), "");
  EXPECT_NE(errors_of("{admin: {listen: '0.0.0.0:8080'}}").find("is serving.listen"), std::string::npos);
  EXPECT_NE(errors_of("{admin: {listen: nowhere}}").find("serving.admin.listen"), std::string::npos);
}

TEST(ServingConfig, RunNeedsReadableFiles) {
  Config config;
  config.stream.topic = "t";
  for (std::string* path :
       {&config.serving.tokens.admin_file, &config.serving.tokens.feedback_file, &config.serving.tokens.inference_file,
        &config.serving.tls.certificate_file, &config.serving.tls.key_file, &config.serving.tls.client_ca_file}) {
    EXPECT_TRUE(check_runnable(config).is_ok());
    *path = "/does/not/exist";
    EXPECT_NE(check_runnable(config).message().find("cannot read /does/not/exist: No such file"), std::string::npos);
    path->clear();
  }
}

TEST(Loopback, IsThisMachineAlone) {
  for (const char* near : {"127.0.0.1", "127.1.2.3", "localhost", "::1"}) EXPECT_TRUE(is_loopback(near)) << near;
  for (const char* far : {"0.0.0.0", "::", "10.0.0.1", "1.127.0.0", ""}) EXPECT_FALSE(is_loopback(far)) << far;
}

class EndpointsTest : public ::testing::Test {
 protected:
  EndpointsTest() {
    config_.listen = "127.0.0.1:0";
    config_.header_timeout_ms = 1000;
  }
  void open() {
    auto prepared = Endpoints::prepare(config_, metrics_, log_, clock_);
    ASSERT_TRUE(prepared.is_ok()) << prepared.status().to_string();
    endpoints_ = std::move(prepared).value();
    AdminCallbacks callbacks;
    callbacks.start = [](std::string_view, const JsonObject&) { return AdminAnswer{202, R"({"id":1})"}; };
    callbacks.current = [] { return AdminAnswer{200, R"({"id":1,"state":"done","result":{"answer":42}})"}; };
    add_admin_routes(endpoints_->administration(), kOperationsLane, callbacks);
    ASSERT_TRUE(endpoints_->listen().is_ok());
  }
  // As a command on this machine does it.
  Result<std::string> run(const ControlOptions& options = {}) {
    const auto file = ControlFile::create(folder_.path(), endpoints_->control());
    EXPECT_TRUE(file.is_ok());
    auto client = ControlClient::for_folder(folder_.path(), options);
    if (!client.is_ok()) return client.status();
    return client->run("anything", {}, nullptr);
  }

  test::ScratchFolder folder_;
  ServingConfig config_;
  SystemClock clock_;
  MemoryLog log_;
  LocalMetrics metrics_;
  std::unique_ptr<Endpoints> endpoints_;
};

TEST_F(EndpointsTest, CommandsComeByTheControlFileOnOnePortOrTwo) {
  for (const char* admin : {"", "127.0.0.1:0"}) {
    config_.admin.listen = admin;
    open();
    const auto result = run();
    ASSERT_TRUE(result.is_ok()) << result.status().to_string();
    EXPECT_EQ(*result, R"({"answer": 42})");
    EXPECT_EQ(endpoints_->control().port == endpoints_->port(), std::string(admin).empty());
    EXPECT_TRUE(endpoints_->drain(std::chrono::seconds(10)));
  }
}

TEST_F(EndpointsTest, CommandsKnowTheDaemonByItsCertificate) {
  const auto pair = test::make_certificate(folder_.path(), "server");
  const auto other = test::make_certificate(folder_.path(), "other");
  config_.tls.certificate_file = pair.certificate;
  config_.tls.key_file = pair.key;
  config_.admin.listen = "127.0.0.1:0";
  open();
  EXPECT_TRUE(run().is_ok()) << run().status().to_string();
  ControlOptions options;
  options.ca_file = other.certificate;
  EXPECT_EQ(run(options).code(), Code::kFailedPrecondition);
  options.ca_file = pair.certificate;
  EXPECT_TRUE(run(options).is_ok());
}

TEST_F(EndpointsTest, ATokenFileTakesThePlaceOfTheOwnersToken) {
  config_.tokens.admin_file = folder_.write("admin", "an-admin-token-1234\n");
  config_.tokens.inference_file = folder_.write("inference", "an-inference-token-1234\n");
  open();
  ControlOptions options;
  options.token_file = config_.tokens.admin_file;
  EXPECT_TRUE(run(options).is_ok()) << run(options).status().to_string();
  options.token_file = config_.tokens.inference_file;
  EXPECT_NE(run(options).status().message().find("is no admin token"), std::string::npos);
  options.token_file = folder_.write("wrong", "another-token-1234\n");
  EXPECT_NE(run(options).status().message().find("does not take the token of"), std::string::npos);
  options.token_file = folder_.path() + "/missing";
  EXPECT_NE(run(options).status().message().find("cannot read"), std::string::npos);
  options.url = "http://127.0.0.1:" + std::to_string(endpoints_->port());
  options.token_file = config_.tokens.admin_file;
  const auto by_url = ControlClient::for_url(options);
  ASSERT_TRUE(by_url.is_ok());
  EXPECT_TRUE(by_url->answers().is_ok());
  options.token_file.clear();
  EXPECT_NE(ControlClient::for_url(options).status().message().find("--token-file"), std::string::npos);
}

TEST_F(EndpointsTest, SaysWhatIsOpenToOthers) {
  config_.listen = "0.0.0.0:0";
  open();
  EXPECT_TRUE(log_.contains("open_to_all"));
  EXPECT_TRUE(log_.contains("may load and unload versions and ask for predictions"));
  EXPECT_FALSE(log_.contains("tokens_in_clear"));
}

TEST_F(EndpointsTest, SaysThatTokensCanBeReadOnTheWay) {
  config_.listen = "0.0.0.0:0";
  config_.tokens.admin_file = folder_.write("admin", "an-admin-token-1234\n");
  open();
  EXPECT_FALSE(log_.contains("open_to_all"));
  EXPECT_TRUE(log_.contains("tokens_in_clear"));
}

TEST_F(EndpointsTest, SaysNothingWhereNobodyElseComes) {
  open();
  EXPECT_FALSE(log_.contains("open_to_all"));
  EXPECT_FALSE(log_.contains("tokens_in_clear"));
}

}  // namespace
}  // namespace freshet
