// Client libraries that others wrote, unchanged, against the running daemon: tests/clients.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "core/rng.h"
#include "tests/integration/freshet_process.h"
#include "tests/support/certificates.h"

namespace freshet::test {
namespace {

constexpr std::size_t kRoundEvents = 512;
constexpr std::size_t kRounds = 5;  // so that there are kept versions beside the live one

std::string quoted(std::string_view text) { return fmt::format("\"{}\"", text); }

class Clients : public IntegrationTest {
 protected:
  static std::string clients() {
    const char* const given = std::getenv("FRESHET_CLIENTS");
    return given != nullptr ? given : FRESHET_CLIENTS;
  }

  // A daemon that has learnt these lines, every round of them, and learns no more: its versions stay as they are.
  void learn(const std::string& config, std::span<const std::string> lines, const std::vector<std::string>& more = {}) {
    std::vector<std::string> sets = {"stream.brokers=embedded", "memory.path=" + path("state"),
                                     fmt::format("learning.round.every_events={}", kRoundEvents),
                                     "learning.round.every=1h", "serving.gate.enabled=false"};
    sets.insert(sets.end(), more.begin(), more.end());
    daemon_.emplace(config, sets);
    ASSERT_TRUE(daemon_->up()) << daemon_->log();
    daemon_->reach_by(ca_file_, token_);
    const std::string brokers = between(daemon_->log(), "an embedded broker is at ", ";");
    const std::string topic = between(daemon_->log(), "--topic ", " --input");
    const Finished produced =
        run_freshet({"produce", "--brokers", brokers, "--topic", topic, "--input", write("events.jsonl", lines)});
    ASSERT_EQ(produced.exit_code, 0) << produced.errors;
    ASSERT_TRUE(daemon_->wait_for_metric("freshet_rounds_total", kRounds)) << daemon_->log();
    ASSERT_TRUE(daemon_->wait_for_metric("freshet_model_swaps_total", kRounds)) << daemon_->log();
  }

  // Runs a suite of tests/clients in the environment of that name, or in the machine's own Python.
  void expect_conforms(const std::string& suite, const std::string& environment, const std::string& model,
                       const std::vector<std::string>& more = {}) const {
    const std::string folder = FRESHET_SOURCE_DIR "/tests/clients/";
    std::string python = "python3";
    if (!environment.empty()) {
      python = clients() + "/" + environment + "/bin/python";
      ASSERT_TRUE(std::ifstream(python).good()) << "no " << python << "; `./dev setup test` installs it";
    }
    std::vector<std::string> words = {
        python, "-B",       folder + suite,          "--url", fmt::format("127.0.0.1:{}", daemon_->port()), "--model",
        model,  "--sample", folder + model + ".json"};
    words.insert(words.end(), more.begin(), more.end());
    ChildProcess process(words);
    const auto exit_code = process.wait(kPatience);
    EXPECT_EQ(exit_code.value_or(-1), 0) << process.output() << process.errors();
    EXPECT_NE(process.output().find(" tests of "), std::string::npos) << process.output() << process.errors();
  }

  void expect_all_conform(const std::string& model) const {
    expect_conforms("raw_http.py", "", model);
    expect_conforms("triton_http.py", "triton", model);
    expect_conforms("kserve_rest.py", "kserve", model);
    EXPECT_EQ(daemon_->metric("freshet_http_requests_total", R"(code="500")"), 0);
  }

  std::optional<Daemon> daemon_;
  std::string ca_file_;
  std::string token_;
};

TEST_F(Clients, AgreeOnAModelOfNamedColumns) {
  ASSERT_NO_FATAL_FAILURE(learn(example_config(), flights(kRounds * kRoundEvents)));
  expect_all_conform("flights");
  EXPECT_EQ(daemon_->end(SIGTERM), 0) << daemon_->log();
}

// The same suites, unchanged, where everything takes a token and comes over TLS.
TEST_F(Clients, AgreeOverTlsWithTokens) {
  const CertificateFiles pair = make_certificate(path("."), "server");
  token_ = "an-admin-token-of-this-test";  // the suites load and unload versions too
  ca_file_ = pair.certificate;
  const std::string admin = write("admin", std::vector<std::string>{token_});
  const std::string inference = write("inference", std::vector<std::string>{"an-inference-token-of-this-test"});
  ASSERT_NO_FATAL_FAILURE(learn(example_config(), flights(kRounds * kRoundEvents),
                                {"serving.tls.certificate_file=" + pair.certificate, "serving.tls.key_file=" + pair.key,
                                 "serving.tokens.admin_file=" + admin, "serving.tokens.inference_file=" + inference}));
  const std::vector<std::string> more = {"--ca-file", pair.certificate, "--token-file", admin};
  expect_conforms("triton_http.py", "triton", "flights", more);
  expect_conforms("kserve_rest.py", "kserve", "flights", more);
  EXPECT_EQ(daemon_->metric("freshet_http_requests_total", R"(code="401")"), 0);
  EXPECT_EQ(daemon_->metric("freshet_http_requests_total", R"(code="500")"), 0);
  EXPECT_EQ(daemon_->end(SIGTERM), 0) << daemon_->log();
}

// The largest of three pairs of pixels names the class.
TEST_F(Clients, AgreeOnAModelOfOneTensor) {
  const std::vector<std::string> config = {
      "model: {name: shapes, architecture: mlp, hidden: [8], task: multiclass, classes: [cat, dog, long-eared owl]}",
      "stream: {topic: shapes, group: freshet, label: label, features: {pixels: {kind: vector, size: 6}}}",
      "learning: {learning_rate: 0.05, batch_size: 64}", "serving: {batch_rows_max: 3000}"};
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(fmt::format("seed {}", kSeed));
  Rng rng(kSeed);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < kRounds * kRoundEvents; ++i) {
    const std::uint64_t kind = rng.below(3);
    std::string pixels;
    for (std::uint64_t at = 0; at < 6; ++at) {
      const std::uint64_t level = (at / 2 == kind ? 500 : 0) + rng.below(500);
      pixels += fmt::format("{}{}", at == 0 ? "" : ",", static_cast<double>(level) / 1000);
    }
    const std::string_view label = kind == 0 ? "cat" : kind == 1 ? "dog" : "long-eared owl";
    lines.push_back(fmt::format(R"({{"pixels":[{}],"label":{}}})", pixels, quoted(label)));
  }
  ASSERT_NO_FATAL_FAILURE(learn(write("shapes.yaml", config), lines));
  expect_all_conform("shapes");
  EXPECT_EQ(daemon_->end(SIGTERM), 0) << daemon_->log();
}

}  // namespace
}  // namespace freshet::test
