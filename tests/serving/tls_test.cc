#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "core/rng.h"
#include "serving/http_call.h"
#include "serving/tls_bio.h"
#include "serving/tls_context.h"
#include "tests/serving/echo_server.h"
#include "tests/support/certificates.h"
#include "tests/support/eventually.h"
#include "tests/support/scratch_folder.h"

namespace freshet::test {
namespace {

// A client that trusts everybody and sends what a test wants, through OpenSSL.
class TlsClient {
 public:
  explicit TlsClient(std::uint16_t port, int version = 0) : method_(make_tls_bio_method()) {
    socket_.descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{30, 0};
    ::setsockopt(socket_.descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(socket_.descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
    context_ = SSL_CTX_new(TLS_client_method());
    if (version != 0) {
      SSL_CTX_set_security_level(context_, 0);  // or the client itself would refuse the old ones
      SSL_CTX_set_min_proto_version(context_, version);
      SSL_CTX_set_max_proto_version(context_, version);
    }
    ssl_ = SSL_new(context_);
    BIO* const bio = make_tls_bio(*method_, socket_);
    SSL_set_bio(ssl_, bio, bio);
    connected_ = SSL_connect(ssl_) == 1;
  }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    ::close(socket_.descriptor);
  }
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  bool connected() const { return connected_; }
  bool send(std::string_view bytes) {
    std::size_t sent = 0;
    return SSL_write_ex(ssl_, bytes.data(), bytes.size(), &sent) == 1;
  }
  // Says that nothing more comes.
  void end() { SSL_shutdown(ssl_); }
  void reset() const {
    const linger at_once{1, 0};
    ::setsockopt(socket_.descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  std::string read(std::size_t most) {
    std::string text(most, '\0');
    std::size_t got = 0;
    if (SSL_read_ex(ssl_, text.data(), text.size(), &got) != 1) got = 0;
    text.resize(got);
    return text;
  }
  // All until the server ends it; `in_order` is told whether it said so.
  std::string read_all(bool* in_order = nullptr) {
    std::string all;
    for (std::string piece = read(65536); !piece.empty(); piece = read(65536)) all += piece;
    if (in_order != nullptr) *in_order = (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0;
    return all;
  }

 private:
  TlsBioMethod method_;
  TlsSocket socket_;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  bool connected_ = false;
};

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

class TlsTest : public EchoServer {
 protected:
  // A server with folder/server.crt and .key, which are copies of the pair.
  void start_tls(HttpServerOptions options = {}, const std::string& client_ca = {}) {
    pair_ = make_certificate(folder_.path(), "first");
    use(pair_);
    auto loaded = TlsContext::load(files(client_ca), metrics, log, clock);
    ASSERT_TRUE(loaded.is_ok()) << loaded.status().to_string();
    tls_ = std::move(loaded).value();
    options.tls = tls_.get();
    start(options);
  }
  TlsFiles files(const std::string& client_ca = {}) const {
    return {folder_.path() + "/server.crt", folder_.path() + "/server.key", client_ca};
  }
  void use(const CertificateFiles& pair) const {
    folder_.write("server.crt", text_of(pair.certificate));
    folder_.write("server.key", text_of(pair.key));
  }
  HttpTarget target() const {
    HttpTarget to;
    to.host = "127.0.0.1";
    to.port = server->port();
    to.tls = true;
    to.ca_file = pair_.certificate;
    return to;
  }
  Result<HttpAnswer> get(const HttpTarget& to) const { return call_http(to, "GET", "/echo", "a-token", ""); }
  double reloads(const std::string& result) {
    return metrics.counter("freshet_secret_reloads_total", "", {{"secret", "certificate"}, {"result", result}}).value();
  }
  void TearDown() override {
    server.reset();  // before its context
    tls_.reset();
  }

  ScratchFolder folder_;
  CertificateFiles pair_;
  std::unique_ptr<TlsContext> tls_;
};

TEST_F(TlsTest, AnswersWhoeverTrustsTheCertificate) {
  start_tls();
  const auto answer = call_http(target(), "POST", "/echo", "", "body");
  ASSERT_TRUE(answer.is_ok()) << answer.status().to_string();
  EXPECT_EQ(answer->status, 200);
  EXPECT_EQ(answer->body, "POST body");
  HttpTarget by_name = target();
  by_name.host = "localhost";
  EXPECT_TRUE(get(by_name).is_ok()) << get(by_name).status().to_string();
  HttpTarget by_itself = target();
  by_itself.ca_file.clear();
  by_itself.only_certificate = pair_.certificate;
  EXPECT_TRUE(get(by_itself).is_ok()) << get(by_itself).status().to_string();
  EXPECT_GT(metrics.gauge("freshet_tls_certificate_expiry_timestamp_seconds", "").value(),
            static_cast<double>(clock.wall_ms()) / 1000 + 86'000);
}

TEST_F(TlsTest, AClientTellsNothingToAServerThatItDoesNotTrust) {
  HttpServerOptions options;
  options.address = "0.0.0.0";
  start_tls(options);
  const CertificateFiles other = make_certificate(folder_.path(), "other");
  HttpTarget to = target();
  to.ca_file = other.certificate;
  EXPECT_EQ(get(to).code(), Code::kFailedPrecondition) << get(to).status().to_string();
  to = target();
  to.ca_file.clear();  // the system's authorities do not know it
  EXPECT_EQ(get(to).code(), Code::kFailedPrecondition);
  to.only_certificate = other.certificate;
  EXPECT_EQ(get(to).code(), Code::kFailedPrecondition);
  EXPECT_NE(get(to).status().message().find("another certificate than"), std::string::npos);
  to = target();
  to.tls = false;
  EXPECT_FALSE(get(to).is_ok()) << "plain HTTP on a port of TLS";
  EXPECT_EQ(handled, 0);
  EXPECT_TRUE(get(target()).is_ok());
}

TEST_F(TlsTest, SpeaksTls12And13AndNothingOlder) {
  start_tls();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(server->port(), version);
    ASSERT_TRUE(client.connected()) << version;
    EXPECT_TRUE(client.send("GET /echo HTTP/1.0\r\n\r\n"));
    EXPECT_NE(client.read_all().find("200 OK"), std::string::npos) << version;
  }
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    EXPECT_FALSE(TlsClient(server->port(), version).connected()) << version;
  }
  EXPECT_TRUE(eventually([&] { return count("freshet_http_tls_handshakes_failed_total") == 2; }, 30s));
}

TEST_F(TlsTest, KeepsConnectionsAndAnswersPipelinesInOrder) {
  HttpServerOptions options;
  options.threads = 2;
  start_tls(options);
  TlsClient client(server->port());
  ASSERT_TRUE(client.connected());
  std::string bytes;
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    const std::string body = std::to_string(i) + std::string(static_cast<std::size_t>(i) * 10, 'x');
    bytes += http_request("POST", "/echo", body, i == 299 ? "Connection: close\r\n" : "");
    expected += "POST " + body + "|";
  }
  std::thread sender([&] { EXPECT_TRUE(client.send(bytes)); });
  sender.join();  // the whole fits into the sockets' buffers and the server's answers
  bool in_order = false;
  std::string rest = client.read_all(&in_order);
  EXPECT_TRUE(in_order) << "the server says that it ends";
  std::string bodies;
  while (!rest.empty()) {
    const auto header_end = rest.find("\r\n\r\n");
    ASSERT_NE(header_end, std::string::npos);
    const auto length_at = rest.find("Content-Length: ") + 16;
    const std::size_t length = std::stoul(rest.substr(length_at, 12));
    bodies += rest.substr(header_end + 4, length) + "|";
    rest.erase(0, header_end + 4 + length);
  }
  EXPECT_EQ(bodies, expected);
}

TEST_F(TlsTest, TakesLargeBodiesAndGivesLargeAnswers) {
  start_tls();
  std::string body(8'000'000, 'z');
  for (std::size_t i = 0; i < body.size(); i += 1000) body[i] = static_cast<char>('a' + i / 1000 % 26);
  TlsClient client(server->port());
  ASSERT_TRUE(client.connected());
  EXPECT_TRUE(client.send(http_request("POST", "/echo", body, "Connection: close\r\n")));
  const std::string answer = client.read_all();
  ASSERT_GT(answer.size(), body.size());
  EXPECT_EQ(answer.substr(answer.size() - body.size()), body);
}

TEST_F(TlsTest, CutsOffClientsThatDoNotReadTheirAnswer) {
  HttpServerOptions options;
  options.request_timeout = 60ms;
  start_tls(options);
  TlsClient client(server->port());
  EXPECT_TRUE(client.send(http_request("GET", "/big?50000000")));
  ASSERT_TRUE(eventually([&] { return count("freshet_http_timeouts_total") == 1; }, 30s));
  EXPECT_LT(client.read_all().size(), 50'000'000U);
}

TEST_F(TlsTest, HandshakesHaveTheirTime) {
  HttpServerOptions options;
  options.handshake_timeout = 60ms;
  options.idle_timeout = 20s;
  start_tls(options);
  HttpClient silent(server->port());
  EXPECT_TRUE(silent.closed_by_server());
  EXPECT_EQ(count("freshet_http_timeouts_total"), 1);
  // The first bytes of a hello, one after the other.
  HttpClient dripping(server->port());
  const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  bool open = true;
  for (int i = 0; i < 10'000 && open; ++i) {
    const char byte = hello[static_cast<std::size_t>(std::min(i, 10))];
    open = dripping.send({&byte, 1}) && !dripping.readable(2ms);
  }
  EXPECT_TRUE(dripping.closed_by_server());
  TlsClient good(server->port());
  ASSERT_TRUE(good.connected());
  EXPECT_TRUE(good.send("GET /echo HTTP/1.0\r\n\r\n"));
  EXPECT_NE(good.read_all().find("200 OK"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return open_connections() == 0; }, 30s));
}

TEST_F(TlsTest, SurvivesGarbageAndResets) {
  start_tls();
  const std::uint64_t seed = 20130601;
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  for (int i = 0; i < 100; ++i) {
    std::string bytes("\x16\x03\x01", 3);
    for (std::uint64_t left = rng.below(600); left > 0; --left) bytes += static_cast<char>(rng.below(256));
    HttpClient client(server->port());
    client.send(rng.below(2) == 0 ? bytes : http_request("GET", "/echo"));
    client.half_close();
    EXPECT_TRUE(client.closed_by_server()) << i;
  }
  for (int i = 0; i < 50; ++i) {
    TlsClient client(server->port());
    ASSERT_TRUE(client.connected()) << i;
    client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc");
    if (i % 2 == 0) client.end();
    if (i % 3 == 0) client.reset();
  }
  EXPECT_TRUE(eventually([&] { return open_connections() == 0; }, 30s)) << open_connections();
  EXPECT_EQ(metrics.gauge("freshet_http_requests_in_flight", "").value(), 0);
  EXPECT_TRUE(get(target()).is_ok());
}

TEST_F(TlsTest, AnswersAClientThatHasSaidThatItEnds) {
  start_tls();
  TlsClient client(server->port());
  EXPECT_TRUE(client.send(http_request("POST", "/echo", "a") + http_request("POST", "/echo", "b")));
  client.end();
  const std::string answers = client.read_all();
  EXPECT_NE(answers.find("POST a"), std::string::npos) << answers;
  EXPECT_NE(answers.find("POST b"), std::string::npos) << answers;
}

TEST_F(TlsTest, NewConnectionsUseANewCertificateAndOldOnesGoOn) {
  start_tls();
  TlsClient kept(server->port());
  ASSERT_TRUE(kept.connected());
  const CertificateFiles next = make_certificate(folder_.path(), "next");
  HttpTarget by_next = target();
  by_next.ca_file = next.certificate;
  EXPECT_FALSE(get(by_next).is_ok());
  folder_.write("server.crt", text_of(next.certificate));
  tls_->refresh();
  folder_.write("server.key", text_of(next.key));
  tls_->refresh();
  tls_->refresh();
  EXPECT_TRUE(get(by_next).is_ok()) << get(by_next).status().to_string();
  EXPECT_FALSE(get(target()).is_ok());
  EXPECT_EQ(reloads("taken"), 1);
  EXPECT_EQ(reloads("refused"), 0) << "it looked between the two files";
  EXPECT_TRUE(kept.send("GET /echo HTTP/1.0\r\n\r\n"));
  EXPECT_NE(kept.read_all().find("200 OK"), std::string::npos);
}

TEST_F(TlsTest, ABadNewPairLeavesTheOldInUse) {
  start_tls();
  const CertificateFiles next = make_certificate(folder_.path(), "next");
  folder_.write("server.crt", text_of(next.certificate));  // and not its key
  tls_->refresh();
  tls_->refresh();
  EXPECT_TRUE(get(target()).is_ok());
  EXPECT_EQ(reloads("refused"), 1);
  EXPECT_TRUE(log.contains("the certificate read before stays in use"));
  folder_.write("server.crt", "nonsense");
  tls_->refresh();
  tls_->refresh();
  EXPECT_TRUE(get(target()).is_ok());
  EXPECT_EQ(reloads("refused"), 2);
  std::filesystem::remove(folder_.path() + "/server.key");
  tls_->refresh();
  tls_->refresh();
  EXPECT_TRUE(get(target()).is_ok());
  EXPECT_EQ(reloads("refused"), 3);
  use(next);
  tls_->refresh();
  tls_->refresh();
  EXPECT_EQ(reloads("taken"), 1);
  HttpTarget by_next = target();
  by_next.ca_file = next.certificate;
  EXPECT_TRUE(get(by_next).is_ok());
}

TEST_F(TlsTest, AsksClientsForACertificateWhereToldTo) {
  const CertificateFiles authority = make_certificate(folder_.path(), "authority");
  const CertificateFiles known = make_certificate(folder_.path(), "known", authority);
  const CertificateFiles stranger = make_certificate(folder_.path(), "stranger");
  start_tls({}, authority.certificate);
  EXPECT_FALSE(get(target()).is_ok());
  HttpTarget to = target();
  to.certificate_file = stranger.certificate;
  to.key_file = stranger.key;
  EXPECT_FALSE(get(to).is_ok());
  EXPECT_EQ(handled, 0);
  to.certificate_file = known.certificate;
  to.key_file = known.key;
  EXPECT_TRUE(get(to).is_ok()) << get(to).status().to_string();
  EXPECT_EQ(handled, 1);
}

TEST_F(TlsTest, SaysAtTheStartWhatIsWrongWithAFile) {
  const CertificateFiles one = make_certificate(folder_.path(), "one");
  const CertificateFiles two = make_certificate(folder_.path(), "two");
  const auto message = [&](const std::string& certificate, const std::string& key, const std::string& ca) {
    return TlsContext::load({certificate, key, ca}, metrics, log, clock).status().message();
  };
  EXPECT_EQ(message(one.certificate, one.key, one.certificate), "");
  const std::string missing = message(folder_.path() + "/none", one.key, "");
  EXPECT_NE(missing.find("serving.tls.certificate_file: "), std::string::npos) << missing;
  EXPECT_NE(missing.find("No such file"), std::string::npos) << missing;
  EXPECT_NE(message(one.key, one.key, "").find("serving.tls.certificate_file: "), std::string::npos);
  const std::string no_key = message(one.certificate, one.certificate, "");
  EXPECT_NE(no_key.find("serving.tls.key_file: "), std::string::npos) << no_key;
  const std::string foreign = message(one.certificate, two.key, "");
  EXPECT_NE(foreign.find("is not the key of serving.tls.certificate_file: key values mismatch"), std::string::npos)
      << foreign;
  EXPECT_NE(message(one.certificate, one.key, one.key).find("serving.tls.client_ca_file: "), std::string::npos);
  // A key with a passphrase is refused; nobody is asked for it.
  const std::string locked = folder_.path() + "/locked.key";
  {
    BIO* const in = BIO_new_file(one.key.c_str(), "r");
    EVP_PKEY* const key = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
    BIO* const out = BIO_new_file(locked.c_str(), "w");
    const std::string passphrase = "passphrase";
    EXPECT_EQ(PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), passphrase.data(),
                                            static_cast<int>(passphrase.size()), nullptr, nullptr),
              1);
    BIO_free(out);
    BIO_free(in);
    EVP_PKEY_free(key);
  }
  const std::string refused = message(one.certificate, locked, "");
  EXPECT_NE(refused.find("without a passphrase"), std::string::npos) << refused;
}

TEST_F(TlsTest, DrainsLikePlainHttp) {
  start_tls();
  TlsClient idle(server->port());
  TlsClient half(server->port());
  ASSERT_TRUE(idle.connected() && half.connected());
  EXPECT_TRUE(half.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab"));
  ASSERT_TRUE(eventually([&] { return metrics.gauge("freshet_http_requests_in_flight", "").value() == 1; }, 30s));
  bool drained = false;
  std::thread drainer([&] { drained = server->drain(30s); });
  bool in_order = false;
  EXPECT_EQ(idle.read_all(&in_order), "");
  EXPECT_TRUE(in_order);
  EXPECT_TRUE(half.send("cd"));
  EXPECT_NE(half.read_all().find("POST abcd"), std::string::npos);
  drainer.join();
  EXPECT_TRUE(drained);
}

TEST(HttpUrl, IsReadOrRefused) {
  const auto tls = parse_http_url("https://model.example.com:8443/");
  ASSERT_TRUE(tls.is_ok());
  EXPECT_TRUE(tls->tls);
  EXPECT_EQ(tls->host, "model.example.com");
  EXPECT_EQ(tls->port, 8443);
  const auto v6 = parse_http_url("http://[::1]:80");
  ASSERT_TRUE(v6.is_ok());
  EXPECT_FALSE(v6->tls);
  EXPECT_EQ(v6->host, "::1");
  for (const char* wrong : {"", "localhost:80", "http://", "http://localhost", "http://:80", "http://h:0", "http://h:x",
                            "http://h:80/path", "ftp://h:80", "http://h:70000"}) {
    EXPECT_FALSE(parse_http_url(wrong).is_ok()) << wrong;
  }
}

}  // namespace
}  // namespace freshet::test
