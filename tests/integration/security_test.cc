// Who may ask a running daemon for what, over TLS and without, on one port and on two; and that no secret gets out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "tests/integration/freshet_process.h"
#include "tests/support/certificates.h"

namespace freshet::test {
namespace {

const std::string kInference = "inference-token-of-this-test";
const std::string kFeedback = "feedback-token-of-this-test";
const std::string kAdmin = "admin-token-of-this-test";

class Security : public IntegrationTest {
 protected:
  std::string file(const std::string& name, const std::string& text) const {
    return write(name, std::vector<std::string>{text});
  }
  std::vector<std::string> sets(const std::vector<std::string>& more) const {
    std::vector<std::string> all = {"stream.brokers=embedded", "memory.path=" + path("state")};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  std::vector<std::string> with_tokens(std::vector<std::string> more = {}) const {
    more.push_back("serving.tokens.inference_file=" + file("inference", kInference));
    more.push_back("serving.tokens.feedback_file=" + file("feedback", kFeedback));
    more.push_back("serving.tokens.admin_file=" + file("admin", kAdmin));
    return sets(more);
  }
  Finished model(std::vector<std::string> words) const {
    words.insert(words.begin(), "model");
    return run_freshet(std::move(words));
  }
  static void expect_no_exit(const Finished& finished) { EXPECT_EQ(finished.exit_code, 0) << finished.errors; }
};

struct Row {
  const char* method;
  const char* path;
  int none, inference, feedback, admin;
};

TEST_F(Security, EachRouteAsksForItsToken) {
  Daemon daemon(example_config(), with_tokens());
  ASSERT_TRUE(daemon.up());
  // 404 and 409: let in, and then there is no model or operation of that name, or the live version stays.
  const Row rows[] = {{"GET", "/v2/health/live", 200, 200, 200, 200},
                      {"GET", "/v2/health/ready", 200, 200, 200, 200},
                      {"GET", "/", 200, 200, 200, 200},
                      {"GET", "/v2", 401, 200, 200, 200},
                      {"GET", "/v2/models/flights", 401, 200, 200, 200},
                      {"GET", "/v2/models/none", 401, 404, 404, 404},
                      {"POST", "/v2/models/flights/infer", 401, 200, 200, 200},
                      {"POST", "/v2/models/flights/versions/1/infer", 401, 200, 200, 200},
                      {"POST", "/v2/repository/index", 401, 200, 200, 200},
                      {"POST", "/v2/repository/models/flights/load", 401, 403, 403, 200},
                      {"POST", "/v2/repository/models/flights/unload", 401, 403, 403, 409},
                      {"GET", "/status", 401, 200, 200, 200},
                      {"GET", "/metrics", 401, 200, 200, 200},
                      {"GET", "/admin/v1/operations/current", 401, 403, 403, 200},
                      {"GET", "/admin/v1/publishing/current", 401, 403, 403, 200},
                      {"POST", "/admin/v1/operations/nothing", 401, 403, 403, 404},
                      {"POST", "/admin/v1/publishing/nothing", 401, 403, 403, 404}};
  for (const Row& row : rows) {
    SCOPED_TRACE(fmt::format("{} {}", row.method, row.path));
    const bool infers = std::string(row.path).ends_with("/infer");
    const std::string body = infers ? infer_request(flights(1)[0]) : row.method[0] == 'P' ? "{}" : "";
    EXPECT_EQ(daemon.ask(row.method, row.path, "", body).status, row.none);
    EXPECT_EQ(daemon.ask(row.method, row.path, "not-a-token-of-anybody", body).status, row.none);
    EXPECT_EQ(daemon.ask(row.method, row.path, kInference, body).status, row.inference);
    EXPECT_EQ(daemon.ask(row.method, row.path, kFeedback, body).status, row.feedback);
    EXPECT_EQ(daemon.ask(row.method, row.path, kAdmin, body).status, row.admin);
  }
  // The commands, by control.json and by an admin token.
  expect_no_exit(model({"versions", "--path", path("state")}));
  const std::string url = fmt::format("http://127.0.0.1:{}", daemon.port());
  expect_no_exit(model({"versions", "--url", url, "--token-file", path("admin")}));
  const Finished lower = model({"pause", "--url", url, "--token-file", path("inference")});
  EXPECT_EQ(lower.exit_code, 1);
  EXPECT_NE(lower.errors.find("is no admin token"), std::string::npos) << lower.errors;
  const Finished unknown = model({"pause", "--url", url, "--token-file", file("wrong", "a-token-of-somebody-else")});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_NE(unknown.errors.find("does not take the token of"), std::string::npos) << unknown.errors;
  EXPECT_EQ(unknown.errors.find("a-token-of-somebody-else"), std::string::npos);
  // A new token, without a restart.
  file("admin", kAdmin + "\nnext-" + kAdmin);
  const auto paused = [&](const std::string& token) {
    return daemon.ask("GET", "/admin/v1/publishing/current", token).status;
  };
  EXPECT_TRUE(daemon.process().wait_until([&] { return paused("next-" + kAdmin) == 200; }, kPatience)) << daemon.log();
  EXPECT_EQ(paused(kAdmin), 200);
  file("admin", "next-" + kAdmin);
  EXPECT_TRUE(daemon.process().wait_until([&] { return paused(kAdmin) == 401; }, kPatience)) << daemon.log();
  EXPECT_EQ(paused("next-" + kAdmin), 200);
  EXPECT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
}

TEST_F(Security, WithoutTokensOnlyAdministrationAsksForOneAndItIsSaid) {
  Daemon daemon(example_config(), sets({"serving.listen=0.0.0.0:0"}));
  ASSERT_TRUE(daemon.up());
  EXPECT_EQ(daemon.ask("POST", "/v2/models/flights/infer", "", infer_request(flights(1)[0])).status, 200);
  EXPECT_EQ(daemon.ask("POST", "/v2/repository/models/flights/load", "").status, 200);
  EXPECT_EQ(daemon.ask("GET", "/metrics", "").status, 200);
  EXPECT_EQ(daemon.ask("GET", "/admin/v1/operations/current", "").status, 401);
  EXPECT_NE(daemon.log().find("whoever reaches 0.0.0.0:0 may load and unload versions and ask for predictions"),
            std::string::npos)
      << daemon.log();
  expect_no_exit(model({"versions", "--path", path("state")}));
  EXPECT_EQ(daemon.end(SIGTERM), 0);
}

TEST_F(Security, AdministrationMayHaveAPortOfItsOwn) {
  Daemon daemon(example_config(), with_tokens({"serving.admin.listen=127.0.0.1:0"}));
  ASSERT_TRUE(daemon.up());
  const std::string mark = "administration (HTTP) at 127.0.0.1:";
  const std::string admin_port = between(daemon.log(), mark, "\n");
  ASSERT_FALSE(admin_port.empty()) << daemon.log();
  HttpTarget there;
  there.host = "127.0.0.1";
  there.port = static_cast<std::uint16_t>(std::stoi(admin_port));
  const auto ask_there = [&](const char* method, const char* path) {
    const auto answer = call_http(there, method, path, kAdmin, "");
    return answer.is_ok() ? answer->status : 0;
  };
  for (const auto& [method, path, here, there_status] :
       {std::tuple{"GET", "/admin/v1/operations/current", 404, 200},
        {"POST", "/admin/v1/publishing/versions", 404, 202},
        {"POST", "/v2/repository/models/flights/load", 404, 200},
        {"POST", "/v2/models/flights/infer", 400, 404},  // an empty body is no request
        {"POST", "/v2/repository/index", 200, 200},
        {"GET", "/v2/health/ready", 200, 200},
        {"GET", "/metrics", 200, 200},
        {"GET", "/status", 200, 200}}) {
    SCOPED_TRACE(fmt::format("{} {}", method, path));
    EXPECT_EQ(daemon.ask(method, path, kAdmin).status, here);
    EXPECT_EQ(ask_there(method, path), there_status);
  }
  expect_no_exit(model({"versions", "--path", path("state")}));
  EXPECT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
}

TEST_F(Security, CommandsReachADaemonOverTls) {
  const CertificateFiles first = make_certificate(path("."), "first");
  const CertificateFiles next = make_certificate(path("."), "next");
  std::filesystem::copy(first.certificate, path("server.crt"));
  std::filesystem::copy(first.key, path("server.key"));
  Daemon daemon(example_config(), with_tokens({"serving.tls.certificate_file=" + path("server.crt"),
                                               "serving.tls.key_file=" + path("server.key")}));
  ASSERT_TRUE(daemon.up());
  expect_no_exit(model({"versions", "--path", path("state")}));
  expect_no_exit(run_freshet({"state", "backup", "--path", path("state"), "--to", path("backups"), "--quiet"}));
  const std::string url = fmt::format("https://localhost:{}", daemon.port());
  expect_no_exit(model({"versions", "--url", url, "--token-file", path("admin"), "--ca-file", first.certificate}));
  const Finished untrusted = model({"versions", "--url", url, "--token-file", path("admin")});
  EXPECT_EQ(untrusted.exit_code, 1);
  EXPECT_NE(untrusted.errors.find("is not trusted"), std::string::npos) << untrusted.errors;
  // Another certificate, without a restart: clients that trust it alone come in, and the commands by control.json.
  std::filesystem::copy(next.certificate, path("server.crt"), std::filesystem::copy_options::overwrite_existing);
  std::filesystem::copy(next.key, path("server.key"), std::filesystem::copy_options::overwrite_existing);
  daemon.reach_by(next.certificate, kInference);
  EXPECT_TRUE(daemon.process().wait_until([&] { return !daemon.get("/status").empty(); }, kPatience)) << daemon.log();
  expect_no_exit(model({"versions", "--path", path("state")}));
  EXPECT_EQ(daemon.metric("freshet_secret_reloads_total", R"(result="taken",secret="certificate")"), 1);
  EXPECT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
}

TEST_F(Security, ClientsShowACertificateWhereToldTo) {
  const CertificateFiles server = make_certificate(path("."), "server");
  const CertificateFiles authority = make_certificate(path("."), "authority");
  const CertificateFiles client = make_certificate(path("."), "client", authority);
  Daemon daemon(example_config(),
                sets({"serving.tls.certificate_file=" + server.certificate, "serving.tls.key_file=" + server.key,
                      "serving.tls.client_ca_file=" + authority.certificate}));
  ASSERT_TRUE(daemon.up());
  EXPECT_EQ(model({"versions", "--path", path("state")}).exit_code, 1);
  expect_no_exit(
      model({"versions", "--path", path("state"), "--certificate-file", client.certificate, "--key-file", client.key}));
  EXPECT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
}

TEST_F(Security, ADaemonDoesNotStartWithSecretsThatItCannotUse) {
  const auto start = [&](const std::string& set) {
    return run_freshet(with_sets({"run", "--config", example_config()}, sets({"serving.listen=127.0.0.1:0", set})));
  };
  const Finished empty = start("serving.tokens.admin_file=" + file("empty", "# none yet"));
  EXPECT_EQ(empty.exit_code, 1);
  EXPECT_NE(empty.errors.find("serving.tokens.admin_file"), std::string::npos) << empty.errors;
  EXPECT_NE(empty.errors.find("openssl rand -hex 32"), std::string::npos) << empty.errors;
  const Finished missing = start("serving.tokens.inference_file=" + path("missing"));
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_NE(missing.errors.find("serving.tokens.inference_file: cannot read"), std::string::npos) << missing.errors;
  const Finished alone = start("serving.tls.certificate_file=" + path("missing"));
  EXPECT_NE(alone.errors.find("certificate_file and key_file go together"), std::string::npos) << alone.errors;
  const CertificateFiles one = make_certificate(path("."), "one");
  const CertificateFiles two = make_certificate(path("."), "two");
  std::vector<std::string> mixed =
      sets({"serving.listen=127.0.0.1:0", "serving.tls.certificate_file=" + one.certificate,
            "serving.tls.key_file=" + two.key});
  const Finished mismatch = run_freshet(with_sets({"run", "--config", example_config()}, mixed));
  EXPECT_EQ(mismatch.exit_code, 1);
  EXPECT_NE(mismatch.errors.find("is not the key of serving.tls.certificate_file"), std::string::npos)
      << mismatch.errors;
  EXPECT_FALSE(std::filesystem::exists(path("state/CURRENT"))) << "it was said before the state was touched";
}

// Every secret that can be given, and every place that a person or a machine reads.
TEST_F(Security, NoSecretGetsOut) {
  const std::string in_file = "secret-of-a-file-4711";
  const std::string in_environment = "secret-of-the-environment-4711";
  const std::vector<std::string> secrets = {in_file, in_environment, kInference, kFeedback, kAdmin, "next-" + kAdmin};
  const CertificateFiles pair = make_certificate(path("."), "server");
  std::vector<std::string> options = with_tokens(
      {"log.level=debug", "serving.tls.certificate_file=" + pair.certificate, "serving.tls.key_file=" + pair.key,
       "stream.properties_files.sasl.password=" + file("password", in_file)});
  const std::vector<std::string> environment = {"env",
                                                "FRESHET_STREAM__PROPERTIES__SSL_KEY_PASSWORD=" + in_environment};
  Daemon daemon(environment, example_config(), options);
  ASSERT_TRUE(daemon.up());
  daemon.reach_by(pair.certificate, kInference);
  for (const std::string& token : {kInference, kFeedback, kAdmin, std::string("not-a-token-of-anybody")}) {
    daemon.ask("GET", "/v2/models/flights", token);
    daemon.ask("GET", "/admin/v1/operations/current", token);
    daemon.ask("GET", "/no/such/path?token=" + token, token);
    daemon.ask("POST", "/admin/v1/operations/nothing", token, "not json");
  }
  file("admin", kAdmin + "\nnext-" + kAdmin);
  EXPECT_TRUE(daemon.process().wait_until(
      [&] { return daemon.ask("GET", "/admin/v1/operations/current", "next-" + kAdmin).status == 200; }, kPatience));
  file("admin", kAdmin + "\nshort");
  EXPECT_TRUE(daemon.wait_for_log("tokens_kept")) << daemon.log();
  expect_no_exit(model({"versions", "--path", path("state")}));
  daemon.process().signal(SIGHUP);  // the embedded broker's address differs from the file, which is told
  EXPECT_TRUE(daemon.wait_for_log("option_waits")) << daemon.log();

  const auto with_config = [&](const char* what) {
    std::vector<std::string> words = environment;
    for (const char* word : {FRESHET_BINARY_DIR "/freshet", "config", what, "--config"}) words.emplace_back(word);
    words.push_back(example_config());
    ChildProcess process(with_sets(words, options));
    EXPECT_EQ(process.wait(kPatience).value_or(-1), 0) << process.errors();
    return process.output() + process.errors();
  };
  const std::string control = run_freshet({"state", "inspect", "--path", path("state")}).output;
  std::vector<std::pair<std::string, std::string>> places = {
      {"/status", daemon.get("/status")},     {"/metrics", daemon.get("/metrics")},
      {"/", daemon.ask("GET", "/", "").body}, {"config show", with_config("show")},
      {"config check", with_config("check")}, {"state inspect", control}};
  EXPECT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
  places.emplace_back("the log", daemon.log());
  places.emplace_back("standard output", daemon.process().output());
  for (const auto& [place, text] : places) {
    if (place != "standard output") {
      EXPECT_FALSE(text.empty()) << place;
    }
    for (const std::string& secret : secrets) {
      EXPECT_EQ(text.find(secret), std::string::npos) << secret << " stands in " << place << ":\n" << text;
    }
  }
  EXPECT_NE(places[3].second.find("ssl.key.password"), std::string::npos) << "the property was set, and is masked";
}

TEST_F(Security, AskedToHoldManyConnectionsItRaisesItsLimitOfFiles) {
  Daemon daemon({"bash", "-c", "ulimit -Sn 256; exec \"$@\"", "bash"}, example_config(),
                sets({"serving.connections_max=2000"}));
  ASSERT_TRUE(daemon.up());
  EXPECT_NE(daemon.log().find("the limit of open files was 256 and is "), std::string::npos) << daemon.log();
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(std::make_unique<HttpClient>(daemon.port()));
    ASSERT_TRUE(clients.back()->connected()) << i;
  }
  const auto reply = clients.back()->get("/v2/health/live");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(daemon.end(SIGTERM), 0) << daemon.log();
}

}  // namespace
}  // namespace freshet::test
