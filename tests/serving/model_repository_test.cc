#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/serving/v2_fixture.h"

namespace freshet {
namespace {

using test::feature;
using test::infer_json;
using test::json_tensor;
using test::V2Server;

EventSpec one_number() {
  EventSpec spec;
  spec.features = {feature("distance", FeatureKind::kNumber)};
  return spec;
}

class ModelRepositoryTest : public ::testing::Test {
 protected:
  void publish(std::initializer_list<std::uint64_t> versions) {
    for (const std::uint64_t version : versions) server_.publish(version);
  }
  std::string index(std::string_view body = {}) {
    const Response response = server_.call("POST", "/v2/repository/index", body);
    EXPECT_EQ(response.status, 200) << response.body;
    return response.body;
  }
  Response load(std::string_view body = {}) { return server_.call("POST", "/v2/repository/models/flights/load", body); }
  Response unload(std::string_view body = {}) {
    return server_.call("POST", "/v2/repository/models/flights/unload", body);
  }
  int infer(std::string_view version) {
    return server_
        .call("POST", fmt::format("/v2/models/flights/versions/{}/infer", version),
              infer_json(json_tensor("distance", "FP32", "[1]")))
        .status;
  }
  static std::string entry(std::string_view version, bool ready = true) {
    return fmt::format(R"({{"name":"flights","version":"{}","state":"{}","reason":"{}"}})", version,
                       ready ? "READY" : "UNAVAILABLE", ready ? "" : "unloaded");
  }

  V2Server server_{one_number()};
};

TEST_F(ModelRepositoryTest, IndexListsWhatIsKept) {
  EXPECT_EQ(index(), R"([{"name":"flights","state":"UNAVAILABLE","reason":"no version has been trained yet"}])");
  EXPECT_EQ(index(R"({"ready":true})"), "[]");
  publish({1, 2, 3, 4});
  EXPECT_EQ(index(), "[" + entry("4") + "," + entry("3") + "," + entry("2") + "]");
  EXPECT_EQ(index("{}"), index());
  EXPECT_EQ(index(R"({"ready":true})"), index());
}

TEST_F(ModelRepositoryTest, AnUnloadedVersionAnswersNoMoreUntilItIsLoadedAgain) {
  publish({1, 2, 3});
  const Response unloaded = unload(R"({"parameters":{"version":"2","unload_dependents":false}})");
  EXPECT_EQ(unloaded.status, 200);
  EXPECT_EQ(unloaded.body, R"({"name":"flights","unload":true})");
  EXPECT_EQ(infer("2"), 404);
  EXPECT_EQ(infer("1"), 200);
  EXPECT_EQ(index(), "[" + entry("3") + "," + entry("2", false) + "," + entry("1") + "]");
  EXPECT_EQ(index(R"({"ready":true})"), "[" + entry("3") + "," + entry("1") + "]");
  EXPECT_EQ(server_.call("GET", "/v2/models/flights/versions/2/ready").body,
            R"({"error":"model 'flights' has no version '2' loaded; loaded: 3, 1"})");
  EXPECT_NE(server_.call("GET", "/v2/models/flights").body.find(R"("versions":["3","1"])"), std::string::npos);
  EXPECT_EQ(unload(R"({"parameters":{"version":2}})").status, 200);  // once more changes nothing

  EXPECT_EQ(load(R"({"parameters":{"version":2}})").body, R"({"name":"flights","load":true})");
  EXPECT_EQ(infer("2"), 200);
}

TEST_F(ModelRepositoryTest, TheLiveVersionCannotBeUnloaded) {
  publish({1, 2});
  for (const auto* body :
       {"", "{}", R"({"parameters":{"unload_dependents":false}})", R"({"parameters":{"version":"2"}})"}) {
    const Response response = unload(body);
    EXPECT_EQ(response.status, 409) << body;
    EXPECT_EQ(response.body,
              R"({"error":"version 2 of model 'flights' is live and answers requests; only kept versions can be )"
              R"(unloaded, named by the parameter 'version'"})");
  }
  EXPECT_EQ(infer("2"), 200);
}

TEST_F(ModelRepositoryTest, ARollbackBringsAnUnloadedVersionBack) {
  publish({1, 2});
  ASSERT_EQ(unload(R"({"parameters":{"version":"1"}})").status, 200);
  ASSERT_TRUE(server_.slot.roll_back(1));
  EXPECT_EQ(infer("1"), 200);
  EXPECT_EQ(index(), "[" + entry("1") + "," + entry("2") + "]");
}

TEST_F(ModelRepositoryTest, LoadAnswersForTheLiveVersionAndKnowsNoOthers) {
  EXPECT_EQ(load().status, 503);
  EXPECT_EQ(unload().status, 503);
  publish({1, 2, 3, 4});
  EXPECT_EQ(load().status, 200);
  EXPECT_EQ(load("{}").status, 200);
  EXPECT_EQ(load(R"({"parameters":null})").status, 200);
  for (const auto& response :
       {load(R"({"parameters":{"version":"1"}})"), unload(R"({"parameters":{"version":"1"}})")}) {
    EXPECT_EQ(response.status, 404);
    EXPECT_EQ(response.body, R"({"error":"model 'flights' has no version '1' kept; kept: 4, 3, 2"})");
  }
}

TEST_F(ModelRepositoryTest, RefusesWhatIsNoRequest) {
  publish({1});
  for (const auto* body : {"[]", "7", "{", "nonsense", R"({"parameters":7})", R"({"parameters":{"version":"x"}})",
                           R"({"parameters":{"version":-1}})", R"({"parameters":{"version":""}})",
                           R"({"parameters":{"config":"{}"}})", R"({"parameters":{"file:1/model.pt":"AA=="}})"}) {
    for (const Response& response : {load(body), unload(body)}) {
      EXPECT_EQ(response.status, 400) << body;
      EXPECT_EQ(response.body.rfind(R"({"error":")", 0), 0U) << response.body;
    }
  }
  for (const auto* body : {"[]", R"({"ready":1})", R"({"ready":"perhaps"})", "{"}) {
    EXPECT_EQ(server_.call("POST", "/v2/repository/index", body).status, 400) << body;
  }
  EXPECT_EQ(load(std::string(5000, ' ') + "{}").status, 400);
  EXPECT_EQ(server_.call("POST", "/v2/repository/models/other/load").status, 404);
  EXPECT_EQ(server_.call("POST", "/v2/repository/models/other/unload").status, 404);
  EXPECT_EQ(server_.call("GET", "/v2/repository/index").status, 405);
}

// Versions come and go while they are listed, unloaded, loaded and asked for: the live one always answers.
TEST_F(ModelRepositoryTest, HoldsUnderConcurrentPublications) {
  publish({1});
  std::atomic<std::uint64_t> live{1};
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  const auto status_of = [this](std::string_view method, const std::string& path, const std::string& body = {}) {
    Request request;
    request.method = method;
    request.path = path;
    request.body = body;
    return server_.router.handle(request).status;
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&, i] {
      while (!done) {
        const std::string version = std::to_string(live.load() - std::min<std::uint64_t>(live.load(), i));
        const std::string body = R"({"parameters":{"version":")" + version + R"("}})";
        const int unloaded = status_of("POST", "/v2/repository/models/flights/unload", body);
        const int loaded = status_of("POST", "/v2/repository/models/flights/load", body);
        const bool known = (unloaded == 200 || unloaded == 404 || unloaded == 409) && (loaded == 200 || loaded == 404);
        if (!known || status_of("POST", "/v2/repository/index") != 200) ++wrong;
        if (status_of("GET", "/v2/models/flights/ready") != 200 || status_of("GET", "/v2/models/flights") != 200)
          ++wrong;
      }
    });
  }
  for (std::uint64_t version = 2; version <= 2000; ++version) {
    server_.publish(version);
    live = version;
    if (status_of("GET", "/v2/models/flights/versions/" + std::to_string(version) + "/ready") != 200) ++wrong;
  }
  done = true;
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(infer("2000"), 200);
}

}  // namespace
}  // namespace freshet
