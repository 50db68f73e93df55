#include "serving/v2_protocol.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <mutex>
#include <thread>

#include "core/hash.h"
#include "serving/http_server.h"
#include "serving/status_routes.h"
#include "tests/serving/fake_model.h"
#include "tests/support/http_client.h"

namespace freshet {
namespace {

using test::FakeEncoding;
using test::FakePredictor;
using test::feature;
using test::HttpClient;
using test::HttpReply;
using namespace std::chrono_literals;

EventSpec flights() {
  EventSpec spec;
  spec.features = {feature("distance", FeatureKind::kNumber), feature("night", FeatureKind::kBoolean),
                   feature("carrier", FeatureKind::kCategory), feature("origin", FeatureKind::kCategory)};
  spec.time_field = "ts";
  return spec;
}

std::string tensor(std::string_view name, std::string_view datatype, std::string_view data,
                   std::string_view shape = "[1]") {
  return fmt::format(R"({{"name":"{}","datatype":"{}","shape":{},"data":{}}})", name, datatype, shape, data);
}

std::string request(std::string_view inputs, std::string_view more = {}) {
  return fmt::format(R"({{"inputs":[{}]{}}})", inputs, more);
}

// A server on a real socket; the model records the rows that it saw.
class V2ProtocolTest : public ::testing::Test {
 protected:
  static constexpr std::string_view kInfer = "/v2/models/flights/infer";
  static constexpr std::int64_t kNow = 1'357'000'000'000;

  struct SeenRow {
    std::vector<float> dense;
    std::vector<std::uint32_t> hashes;
    std::int64_t time_ms;
  };

  void start(const EventSpec& spec, std::size_t threads = 1, std::size_t rows_max = 10'000) {
    encoding = std::make_unique<FakeEncoding>(spec);
    slot = std::make_unique<ModelSlot>(clock, 2);
    V2Options options;
    options.model_name = "flights";
    options.server_version = "1.2.3";
    options.rows_max = rows_max;
    options.workers = threads;
    options.accepting = [this] { return accepting.load(); };
    protocol = std::make_unique<V2Protocol>(options, *slot, *encoding, clock, metrics);
    protocol->add_routes(router);
    StatusSources status;
    status.metrics = [] { return std::string("freshet_up 1\n"); };
    status.status = [] { return std::string(R"({"a":1})"); };
    status.page = "<!doctype html>";
    add_status_routes(router, std::move(status));
    HttpServerOptions http;
    http.address = "127.0.0.1";
    http.port = 0;
    http.threads = threads;
    auto started = HttpServer::start(
        http, [this](const Request& r) { return router.handle(r); }, metrics, log, system_clock);
    ASSERT_TRUE(started) << started.status().to_string();
    server = std::move(*started);
    client = std::make_unique<HttpClient>(server->port());
  }

  void publish(std::uint64_t version, std::uint32_t outputs = 1, const FakePredictor::Answer& answer = {}) {
    slot->publish(std::make_shared<FakePredictor>(
        version, outputs, [this, version, answer](const EncodedBatch& batch, std::size_t row, std::uint32_t column) {
          if (column == 0) {
            const std::lock_guard lock(mutex);
            const auto dense = batch.dense_row(row);
            const auto hashes = batch.hash_row(row);
            seen.push_back({{dense.begin(), dense.end()}, {hashes.begin(), hashes.end()}, batch.time_ms[row]});
          }
          return answer ? answer(batch, row, column) : static_cast<float>(version);
        }));
  }

  HttpReply infer(std::string_view body, std::string_view path = kInfer) {
    seen.clear();
    const auto reply = client->post(path, body);
    EXPECT_TRUE(reply) << body.substr(0, 200);
    return reply.value_or(HttpReply{});
  }
  // The message of a 400.
  std::string refusal(std::string_view body) {
    const HttpReply reply = infer(body);
    EXPECT_EQ(reply.status, 400) << body.substr(0, 200) << "\n" << reply.body.substr(0, 200);
    EXPECT_TRUE(seen.empty());
    return reply.body;
  }
  static std::uint32_t hash(std::string_view field, std::string_view value) {
    return static_cast<std::uint32_t>(hash_category(field_seed(field), value));
  }

  ManualClock clock{kNow};
  SystemClock system_clock;
  LocalMetrics metrics;
  MemoryLog log;
  Router router;
  std::atomic<bool> accepting{true};
  std::unique_ptr<FakeEncoding> encoding;
  std::unique_ptr<ModelSlot> slot;
  std::unique_ptr<V2Protocol> protocol;
  std::mutex mutex;
  std::vector<SeenRow> seen;
  std::unique_ptr<HttpServer> server;
  std::unique_ptr<HttpClient> client;
};

TEST_F(V2ProtocolTest, AnswersHealthAndMetadata) {
  start(flights());
  publish(7);
  EXPECT_EQ(client->get("/v2")->body,
            R"({"name":"freshet","version":"1.2.3","extensions":["binary_tensor_data","model_repository"]})");
  EXPECT_EQ(client->get("/v2/health/live")->body, R"({"live":true})");
  EXPECT_EQ(client->get("/v2/health/ready")->body, R"({"live":true,"ready":true})");
  EXPECT_EQ(client->get("/v2/models/flights/ready")->body, R"({"name":"flights","ready":true})");
  EXPECT_EQ(client->get("/v2/models/flights/versions/7/ready")->status, 200);
  const std::string metadata =
      R"({"name":"flights","versions":["7"],"platform":"freshet","inputs":[)"
      R"({"name":"distance","datatype":"FP32","shape":[-1]},{"name":"night","datatype":"BOOL","shape":[-1]},)"
      R"({"name":"carrier","datatype":"BYTES","shape":[-1]},{"name":"origin","datatype":"BYTES","shape":[-1]},)"
      R"({"name":"ts","datatype":"BYTES","shape":[-1]}],"outputs":[{"name":"prediction","datatype":"FP32","shape":[-1]}]})";
  EXPECT_EQ(client->get("/v2/models/flights")->body, metadata);
  EXPECT_EQ(client->get("/v2/models/flights/versions/7")->body, metadata);
  EXPECT_EQ(client->get("/v2/models/flights")->headers.at("content-type"), "application/json");
}

TEST_F(V2ProtocolTest, SaysWhatDoesNotExist) {
  start(flights());
  publish(7);
  const std::string body = request(tensor("distance", "FP32", "[1]"));
  EXPECT_EQ(infer(body, "/v2/models/other/infer").status, 404);
  EXPECT_EQ(infer(body, "/v2/models/flights/versions/8/infer").body,
            R"({"error":"model 'flights' has no version '8' loaded; loaded: 7"})");
  for (const auto* version : {"x", "-7", "7.0", "99999999999999999999999", "%37x"}) {
    EXPECT_EQ(infer(body, fmt::format("/v2/models/flights/versions/{}/infer", version)).status, 404) << version;
  }
  EXPECT_EQ(infer(body, "/v2/models/flights/versions/%37/infer").status, 200);
  EXPECT_EQ(client->get("/v2/models/other/ready")->status, 404);
  EXPECT_EQ(client->get("/v2/modelz")->status, 404);
  const auto wrong_method = client->get(kInfer);
  EXPECT_EQ(wrong_method->status, 405);
  EXPECT_EQ(wrong_method->headers.at("allow"), "POST");
}

TEST_F(V2ProtocolTest, IsNotReadyBeforeTheFirstModel) {
  start(flights());
  for (const auto* path : {"/v2/health/ready", "/v2/models/flights", "/v2/models/flights/ready"}) {
    const auto reply = client->get(path);
    EXPECT_EQ(reply->status, 503) << path;
    EXPECT_EQ(reply->headers.at("retry-after"), "1") << path;
  }
  EXPECT_EQ(infer(request(tensor("distance", "FP32", "[1]"))).status, 503);
  EXPECT_EQ(client->get("/v2/health/live")->status, 200);
  EXPECT_EQ(client->get("/v2/health/ready")->body, R"({"live":true,"ready":false})");
  publish(1);
  EXPECT_EQ(client->get("/v2/health/ready")->status, 200);
  accepting = false;
  EXPECT_EQ(client->get("/v2/health/ready")->status, 503);
}

TEST_F(V2ProtocolTest, ServesKeptVersionsByNumber) {
  start(flights());
  for (std::uint64_t version = 1; version <= 4; ++version) publish(version);
  const std::string body = request(tensor("distance", "FP32", "[1]"));
  EXPECT_NE(infer(body, "/v2/models/flights/versions/2/infer").body.find(R"("model_version":"2")"), std::string::npos);
  EXPECT_NE(infer(body, "/v2/models/flights/versions/2/infer").body.find(R"("data":[2])"), std::string::npos);
  EXPECT_EQ(infer(body, "/v2/models/flights/versions/1/infer").status, 404);
  EXPECT_NE(infer(body).body.find(R"("model_version":"4")"), std::string::npos);
}

TEST_F(V2ProtocolTest, FillsEveryColumnAndEchoesTheId) {
  start(flights());
  publish(7);
  const HttpReply reply = infer(request(tensor("ts", "BYTES", R"(["2013-01-01T05:00:00Z","2013-01-01"])", "[2]") + "," +
                                            tensor("carrier", "BYTES", R"(["UA","B6"])", "[2,1]") + "," +
                                            tensor("distance", "FP32", "[[1400.5],[null]]", "[2,1]") + "," +
                                            tensor("night", "BOOL", "[true,0]", "[2]") + "," +
                                            tensor("origin", "BYTES", R"(["JFK",null])", "[2]"),
                                        R"(,"id":"r \"1\"","parameters":{"x":1})"));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, R"({"model_name":"flights","model_version":"7","id":"r \"1\"","outputs":[)"
                        R"({"name":"prediction","datatype":"FP32","shape":[2],"data":[7,7]}]})");
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].dense, (std::vector<float>{1400.5F, 1}));
  EXPECT_TRUE(std::isnan(seen[1].dense[0]));
  EXPECT_EQ(seen[1].dense[1], 0);
  EXPECT_EQ(seen[0].hashes, (std::vector<std::uint32_t>{hash("carrier", "UA"), hash("origin", "JFK")}));
  EXPECT_EQ(seen[1].hashes, (std::vector<std::uint32_t>{hash("carrier", "B6"), 0}));
  EXPECT_EQ(seen[0].time_ms, 1'357'016'400'000);
  EXPECT_EQ(seen[1].time_ms, 1'356'998'400'000);
}

TEST_F(V2ProtocolTest, TakesWhatIsLeftOutAsMissingAndNow) {
  start(flights());
  publish(7);
  const HttpReply reply = infer(request(tensor("carrier", "BYTES", R"(["UA"])")));
  EXPECT_NE(reply.body.find(R"("parameters":{"missing_inputs":"distance,night,origin"})"), std::string::npos)
      << reply.body;
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_TRUE(std::isnan(seen[0].dense[0]));
  EXPECT_TRUE(std::isnan(seen[0].dense[1]));
  EXPECT_EQ(seen[0].hashes[1], 0U);
  EXPECT_EQ(seen[0].time_ms, kNow);
  // Nothing of an earlier request shines through.
  infer(request(tensor("distance", "FP32", "[5]")));
  EXPECT_EQ(seen[0].hashes[0], 0U);
}

TEST_F(V2ProtocolTest, TakesEveryDatatypeThatFits) {
  start(flights());
  publish(7);
  for (const auto* datatype :
       {"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64"}) {
    EXPECT_EQ(infer(request(tensor("distance", datatype, "[7]"))).status, 200) << datatype;
    EXPECT_EQ(seen.at(0).dense[0], 7.0F) << datatype;
    EXPECT_EQ(infer(request(tensor("carrier", datatype, "[7]"))).status, 200) << datatype;
    EXPECT_EQ(seen.at(0).hashes[0], hash("carrier", "7")) << datatype;
  }
  const auto category = [&](std::string_view datatype, std::string_view item) {
    EXPECT_EQ(infer(request(tensor("carrier", datatype, fmt::format("[{}]", item)))).status, 200) << item;
    return seen.at(0).hashes[0];
  };
  EXPECT_EQ(category("FP64", "7.0"), hash("carrier", "7"));
  EXPECT_EQ(category("BYTES", R"("7")"), hash("carrier", "7"));
  EXPECT_EQ(category("FP64", "1.5"), hash("carrier", "1.5"));
  EXPECT_EQ(category("INT64", "-9223372036854775808"), hash("carrier", "-9223372036854775808"));
  EXPECT_EQ(category("UINT64", "18446744073709551615"), hash("carrier", "18446744073709551615"));
  EXPECT_EQ(category("BOOL", "true"), hash("carrier", "true"));
  EXPECT_EQ(category("BYTES", R"("é\u20ac")"), hash("carrier", "é€"));
  for (const auto* datatype : {"INT64", "UINT64", "FP64"}) {
    infer(request(tensor("ts", datatype, "[1357016400123]")));
    EXPECT_EQ(seen.at(0).time_ms, 1'357'016'400'123) << datatype;
  }
}

TEST_F(V2ProtocolTest, RefusesValuesThatDoNotFit) {
  start(flights());
  publish(7);
  const auto one = [&](std::string_view name, std::string_view datatype, std::string_view item) {
    return refusal(request(tensor(name, datatype, fmt::format("[{}]", item))));
  };
  EXPECT_EQ(one("distance", "INT8", "128"), R"({"error":"input 'distance', row 0: the number 128 is no INT8"})");
  EXPECT_EQ(one("distance", "UINT8", "-1"), R"({"error":"input 'distance', row 0: the number -1 is no UINT8"})");
  EXPECT_EQ(one("distance", "INT32", "1.5"), R"({"error":"input 'distance', row 0: the number 1.5 is no INT32"})");
  EXPECT_EQ(one("distance", "FP32", R"("12")"), R"({"error":"input 'distance', row 0: the text \"12\" is no FP32"})");
  EXPECT_EQ(one("distance", "FP32", "true"), R"({"error":"input 'distance', row 0: true is no FP32"})");
  one("distance", "FP32", "1e39");
  one("distance", "FP64", "1e300");
  one("distance", "FP16", "70000");
  one("distance", "INT64", "9223372036854775808");
  one("distance", "FP32", "[1]");
  one("night", "BOOL", "2");
  one("night", "BOOL", R"("true")");
  EXPECT_EQ(one("carrier", "BYTES", "7"), R"({"error":"input 'carrier', row 0: the number 7 is no BYTES"})");
  one("carrier", "INT32", R"("7")");
  one("carrier", "BYTES", R"({"a":1})");
  EXPECT_NE(one("ts", "BYTES", R"("yesterday")").find("ISO 8601"), std::string::npos);
  EXPECT_NE(one("ts", "FP64", "1e18").find("milliseconds"), std::string::npos);
}

TEST_F(V2ProtocolTest, RefusesTensorsThatDoNotFit) {
  start(flights(), 1, 100);
  publish(7);
  const std::string good = tensor("distance", "FP32", "[1]");
  EXPECT_EQ(refusal(request(tensor("distanse", "FP32", "[1]"))),
            R"({"error":"there is no input 'distanse'; did you mean 'distance'?"})");
  EXPECT_EQ(
      refusal(request(tensor("distance", "BYTES", R"(["1"])"))),
      R"({"error":"input 'distance' is a number and takes INT8 to INT64, UINT8 to UINT64, FP16, FP32 or FP64, not BYTES"})");
  EXPECT_EQ(refusal(request(tensor("night", "INT8", "[1]"))),
            R"({"error":"input 'night' is a boolean and takes BOOL, not INT8"})");
  EXPECT_EQ(refusal(request(tensor("distance", "FLOAT", "[1]"))),
            R"({"error":"input 'distance': there is no datatype 'FLOAT'"})");
  EXPECT_EQ(refusal(request(good + "," + good)), R"({"error":"input 'distance' is given twice"})");
  EXPECT_EQ(refusal(request(good + "," + tensor("carrier", "BYTES", R"(["a","b"])", "[2]"))),
            R"({"error":"input 'carrier' has 2 rows where input 'distance' has 1"})");
  EXPECT_EQ(refusal(request(tensor("distance", "FP32", "[1,2,3]", "[2]"))),
            R"({"error":"input 'distance' has 3 items of data where its shape makes 2"})");
  EXPECT_EQ(refusal(request(tensor("distance", "FP32", "[]", "[0]"))), R"({"error":"input 'distance' has no rows"})");
  EXPECT_EQ(refusal(request(tensor("distance", "FP32", "[1]", "[101]"))),
            R"({"error":"input 'distance' has 101 rows; one request takes at most 100"})");
  for (const auto* shape :
       {"[]", "[1,2]", "[1,1,1]", "1", "[-1]", "[1.5]", R"(["1"])", "[18446744073709551615,1]", "null"}) {
    refusal(request(tensor("distance", "FP32", "[1]", shape)));
  }
  refusal(request(tensor("distance", "FP32", "[[1,2],[3]]", "[2,1]")));
  refusal(request(tensor("distance", "FP32", "[[1],2]", "[2,1]")));
  refusal(request(tensor("distance", "FP32", "[[1]]", "[1]")));
  refusal(request(tensor("distance", "FP32", "7")));
  refusal(request(tensor("ts", "FP32", "[7]")));
  refusal(request(R"({"datatype":"FP32","shape":[1],"data":[1]})"));
  refusal(request(R"({"name":7,"datatype":"FP32","shape":[1],"data":[1]})"));
  refusal(request(R"({"name":"distance","shape":[1],"data":[1]})"));
  refusal(request(R"({"name":"distance","datatype":"FP32","data":[1]})"));
  refusal(request(R"({"name":"distance","datatype":"FP32","shape":[1]})"));
  refusal(request("7"));
  refusal(request(""));
  EXPECT_NE(refusal(request(R"({"name":"distance","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":4}})"))
                .find("has no header Inference-Header-Content-Length"),
            std::string::npos);
  EXPECT_EQ(infer(request(good)).status, 200);
}

TEST_F(V2ProtocolTest, RefusesBodiesThatAreNoRequest) {
  start(flights());
  publish(7);
  for (const std::string& body : std::vector<std::string>{
           "",
           " ",
           "{",
           "[]",
           "7",
           "null",
           "{}",
           R"({"inputs":{}})",
           R"({"inputs":[]})",
           R"({"inputs":[1]})",
           R"({"inputs":[{"name":"dis)",
           "{\"inputs\":[{\"name\":\"\xff\xfe\"}]}",
           R"({"inputs":[NaN]})",
           R"({"id":7,"inputs":[]})",
           R"({"parameters":1})",
           request(tensor("distance", "FP32", "[1]"), R"(,"inputs":[])"),
           request(tensor("distance", "FP32", "[1]"), R"(,"outputs":1)"),
           request(tensor("distance", "FP32", "[1]"), R"(,"outputs":[{"name":"probability"}])"),
           request(tensor("distance", "FP32", "[1]"), R"(,"outputs":[{"name":"prediction"},{"name":"prediction"}])"),
           std::string(100'000, '['),
           R"({"inputs":)" + std::string(10'000, '[') + std::string(10'000, ']') + "}",
           request(tensor("distance", "FP32", "[1]")) + "x",
           std::string(1000, '\0')}) {
    const std::string refused = refusal(body);
    EXPECT_EQ(refused.rfind(R"({"error":")", 0), 0U) << refused;
  }
  client->send(test::http_request("POST", kInfer, "abcd", "Inference-Header-Content-Length: 2\r\n"));
  EXPECT_EQ(client->read_reply()->status, 400);
  EXPECT_EQ(infer(request(tensor("distance", "FP32", "[1]"))).status, 200);
}

TEST_F(V2ProtocolTest, GivesBinaryPredictionsAndHonoursRequestedOutputs) {
  EventSpec spec = flights();
  spec.label.classes = 2;
  start(spec);
  publish(3, 1, [](const EncodedBatch& batch, std::size_t row, std::uint32_t) { return batch.dense_row(row)[0]; });
  const std::string inputs = tensor("distance", "FP64", "[0.25,0.5]", "[2]");
  const std::string prediction = R"({"name":"prediction","datatype":"INT64","shape":[2],"data":[0,1]})";
  const std::string probability = R"({"name":"probability","datatype":"FP32","shape":[2],"data":[0.25,0.5]})";
  const auto outputs = [&](std::string_view asked) {
    const std::string body = infer(request(inputs, asked)).body;
    return body.substr(std::min(body.find(R"("outputs":)"), body.size()));
  };
  EXPECT_EQ(outputs(""), R"("outputs":[)" + prediction + "," + probability + "]}");
  EXPECT_EQ(outputs(R"(,"outputs":[{"name":"probability","parameters":{"binary_data":false}}])"),
            R"("outputs":[)" + probability + "]}");
  EXPECT_EQ(outputs(R"(,"outputs":[{"name":"probability"},{"name":"prediction"}])"),
            R"("outputs":[)" + probability + "," + prediction + "]}");
  EXPECT_EQ(outputs(R"(,"outputs":[])"), R"("outputs":[)" + prediction + "," + probability + "]}");
}

TEST_F(V2ProtocolTest, GivesClassNamesAndProbabilitiesOfVectors) {
  EventSpec spec;
  spec.features = {feature("pixels", FeatureKind::kVector, 3)};
  spec.label.classes = 3;
  spec.label.class_names = {"cat", "dog", "owl"};
  start(spec);
  publish(3, 3, [](const EncodedBatch& batch, std::size_t row, std::uint32_t column) {
    return batch.dense_row(row)[column];
  });
  const std::string answer =
      R"({"name":"prediction","datatype":"BYTES","shape":[2],"data":["owl","dog"]},)"
      R"({"name":"probability","datatype":"FP32","shape":[2,3],"data":[0.1,0.2,0.7,0.25,0.5,0.25]}]})";
  for (const auto* data : {"[0.1,0.2,0.7,0.25,0.5,0.25]", "[[0.1,0.2,0.7],[0.25,0.5,0.25]]"}) {
    const HttpReply reply = infer(request(tensor("pixels", "FP32", data, "[2,3]")));
    EXPECT_TRUE(reply.body.ends_with(answer)) << reply.body;
  }
  refusal(request(tensor("pixels", "FP32", "[1,2,3]", "[3]")));
  refusal(request(tensor("pixels", "FP32", "[1,2]", "[1,2]")));
  refusal(request(tensor("pixels", "FP32", "[1,null,3]", "[1,3]")));
  refusal(request(tensor("pixels", "FP32", "[[1,2],[3,4,5,6]]", "[2,3]")));
}

TEST_F(V2ProtocolTest, DemandsVectors) {
  EventSpec spec = flights();
  spec.features.push_back(feature("pixels", FeatureKind::kVector, 2));
  start(spec);
  publish(3);
  EXPECT_EQ(refusal(request(tensor("distance", "FP32", "[1]"))),
            R"({"error":"input 'pixels' is a vector and must be given"})");
}

TEST_F(V2ProtocolTest, TakesLargeBatches) {
  start(flights());
  publish(3, 1, [](const EncodedBatch& batch, std::size_t row, std::uint32_t) { return batch.dense_row(row)[0]; });
  for (const std::size_t rows :
       {std::size_t{10'000}, InferRequest::kSmallRows, InferRequest::kSmallRows + 1, std::size_t{1}}) {
    std::string data = "[0";
    for (std::size_t i = 1; i < rows; ++i) data += fmt::format(",{}", i);
    data += ']';
    const HttpReply reply = infer(request(tensor("distance", "INT32", data, fmt::format("[{}]", rows))));
    EXPECT_EQ(reply.status, 200);
    const bool whole = reply.body.find(fmt::format(R"("shape":[{}],"data":{})", rows, data)) != std::string::npos;
    EXPECT_TRUE(whole) << rows;
  }
  refusal(request(tensor("distance", "INT32", "[1]", "[10001]")));
}

TEST_F(V2ProtocolTest, SaysWhenTheModelFails) {
  start(flights());
  publish(3, 1,
          [](const EncodedBatch&, std::size_t, std::uint32_t) { return std::numeric_limits<float>::quiet_NaN(); });
  EXPECT_EQ(infer(request(tensor("distance", "FP32", "[1]"))).body,
            R"({"error":"model version 3 predicted a value that is not finite"})");
  publish(4, 2);  // a model for another task
  EXPECT_EQ(infer(request(tensor("distance", "FP32", "[1]"))).status, 500);
}

TEST_F(V2ProtocolTest, ShowsStatusAndMetrics) {
  start(flights());
  EXPECT_EQ(client->get("/metrics")->body, "freshet_up 1\n");
  EXPECT_EQ(client->get("/metrics")->headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(client->get("/status")->body, R"({"a":1})");
  const auto page = client->get("/");
  EXPECT_EQ(page->status, 200);
  EXPECT_EQ(page->headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(page->body, "<!doctype html>");
}

TEST_F(V2ProtocolTest, AnswersAlwaysComeFromTheVersionTheyName) {
  constexpr int kClients = 8;
  constexpr std::uint64_t kVersions = 3000;
  start(flights(), 2);
  const auto publish_quietly = [&](std::uint64_t version) {
    slot->publish(std::make_shared<FakePredictor>(version));  // answers version * 1000 + distance
  };
  publish_quietly(1);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> published{1};
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> answers{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&, i] {
      HttpClient mine(server->port());
      const std::string body = request(tensor("distance", "FP32", fmt::format("[{}]", i)));
      std::uint64_t last = 0;
      for (bool last_round = false; !last_round;) {
        last_round = done.load();
        const std::uint64_t before = published.load();
        const auto reply = mine.post(kInfer, body);
        unsigned long version = 0;
        float value = 0;
        const bool read =
            reply && reply->status == 200 &&
            std::sscanf(
                reply->body.c_str(),
                R"({"model_name":"flights","model_version":"%lu","parameters":{"missing_inputs":"night,carrier,origin"},)"
                R"("outputs":[{"name":"prediction","datatype":"FP32","shape":[1],"data":[%f]}]})",
                &version, &value) == 2;
        const bool good = read && version >= before && version >= last && version <= kVersions &&
                          value == static_cast<float>(version) * 1000 + static_cast<float>(i);
        last = version;
        if (!good && wrong.fetch_add(1) == 0) ADD_FAILURE() << (reply ? reply->body : "no reply");
        ++answers;
      }
    });
  }
  for (std::uint64_t version = 2; version <= kVersions; ++version) {
    publish_quietly(version);
    published = version;
    if (version % 16 == 0) {
      const std::uint64_t seen_answers = answers.load();
      while (answers.load() < seen_answers + 4) std::this_thread::yield();  // let requests happen in between
    }
  }
  done = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong.load(), 0);
  EXPECT_GT(answers.load(), kVersions / 8);
  EXPECT_EQ(slot->release_idle(), 0U);
}

}  // namespace
}  // namespace freshet
