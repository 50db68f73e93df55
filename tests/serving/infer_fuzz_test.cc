// Requests that are broken at random: whatever comes, the answer is the right one or a 400 that says why, nothing
// crashes and nothing is read beyond the body (bodies lie in memory of exactly their size). The seed is printed.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "core/rng.h"
#include "serving/content_coding.h"
#include "tests/serving/v2_fixture.h"

namespace freshet {
namespace {

using test::binary_tensor;
using test::bytes_of;
using test::bytes_of_texts;
using test::feature;
using test::infer_json;
using test::json_tensor;
using test::V2Server;

EventSpec everything() {
  EventSpec spec;
  spec.features = {feature("distance", FeatureKind::kNumber), feature("night", FeatureKind::kBoolean),
                   feature("carrier", FeatureKind::kCategory), feature("pixels", FeatureKind::kVector, 4)};
  spec.time_field = "ts";
  spec.label.classes = 2;
  return spec;
}

struct Body {
  std::string json;
  std::string binary;
};

Body good_body() {
  const std::string distance = bytes_of<float>({1, 2});
  const std::string carrier = bytes_of_texts({"UA", "B6"});
  const std::string pixels = bytes_of<float>({1, 2, 3, 4, 5, 6, 7, 8});
  return {infer_json(binary_tensor("distance", "FP32", "[2]", std::to_string(distance.size())) + "," +
                         binary_tensor("carrier", "BYTES", "[2,1]", std::to_string(carrier.size())) + "," +
                         binary_tensor("pixels", "FP32", "[2,2,2]", std::to_string(pixels.size())) + "," +
                         json_tensor("night", "BOOL", "[true,null]", "[2]") + "," +
                         json_tensor("ts", "BYTES", R"(["2013-01-01","2013-01-02T03:04:05Z"])", "[2]"),
                     R"(,"id":"7","parameters":{"binary_data_output":true},"outputs":[{"name":"probability",)"
                     R"("parameters":{"binary_data":false}},{"name":"prediction"}])"),
          distance + carrier + pixels};
}

class InferFuzz : public ::testing::Test {
 protected:
  InferFuzz() { server_.publish(1); }

  void expect_answer(const Response& response, const std::string& json) {
    ASSERT_TRUE(response.status == 200 || response.status == 400) << response.status << " for " << json;
    if (response.status == 200) {
      ++accepted_;
      return;
    }
    ++refused_;
    ASSERT_TRUE(response.body.starts_with(R"({"error":")")) << response.body;
    ASSERT_GT(response.body.size(), std::string_view(R"({"error":""})").size()) << json;
    ASSERT_LT(response.body.size(), 1000U) << "the answer echoes too much: " << response.body;
    ASSERT_TRUE(server_.seen.empty()) << "the model was asked before the request was known to be good";
  }

  void break_at_random(std::string& bytes, Rng& rng) const {
    static constexpr std::array<std::string_view, 22> kPieces = {"18446744073709551615",
                                                                 "9223372036854775808",
                                                                 "-1",
                                                                 "4294967296",
                                                                 "1e999",
                                                                 "NaN",
                                                                 "null",
                                                                 "[",
                                                                 "]",
                                                                 "{",
                                                                 "}",
                                                                 "\"",
                                                                 ",",
                                                                 "\\u0000",
                                                                 "[[[[[[[[[[",
                                                                 "FP16",
                                                                 "BYTES",
                                                                 "INT64",
                                                                 "[2,0]",
                                                                 "[2,-4]",
                                                                 "0",
                                                                 "true"};
    const std::size_t at = bytes.empty() ? 0 : rng.below(bytes.size());
    switch (rng.below(6)) {
      case 0:
        if (!bytes.empty()) bytes[at] = static_cast<char>(rng.below(256));
        break;
      case 1:
        bytes.erase(at, 1 + rng.below(12));
        break;
      case 2:
        bytes.insert(at, kPieces[rng.below(kPieces.size())]);
        break;
      case 3: {  // a number for another
        const auto digit = std::find_if(bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.end(),
                                        [](char c) { return c >= '0' && c <= '9'; });
        if (digit != bytes.end()) bytes.replace(digit, digit + 1, kPieces[rng.below(4)]);
        break;
      }
      case 4:
        bytes.resize(at);
        break;
      default:
        bytes.insert(at, 1 + rng.below(100), static_cast<char>(rng.below(256)));
        break;
    }
  }

  V2Server server_{everything(), 1000};
  int accepted_ = 0;
  int refused_ = 0;
};

TEST_F(InferFuzz, BrokenJsonAndBinaryBodies) {
  const std::uint64_t seed = 20130101;
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Rng rng(seed);
  const Body good = good_body();
  ASSERT_EQ(server_.infer(good.json, good.binary).status, 200) << server_.infer(good.json, good.binary).body;
  for (int i = 0; i < 20'000; ++i) {
    Body body = good;
    std::string length;
    for (std::uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
      switch (rng.below(3)) {
        case 0:
          break_at_random(body.binary, rng);
          break;
        case 1:
          length = std::to_string(rng.below(3) == 0 ? rng.below(UINT64_MAX) : rng.below(2 * good.json.size()));
          break;
        default:
          break_at_random(body.json, rng);
          break;
      }
    }
    const Response response = server_.infer(body.json, body.binary, length);
    ASSERT_NO_FATAL_FAILURE(expect_answer(response, body.json)) << "request " << i;
  }
  EXPECT_GT(accepted_, 100) << "hardly a request was good enough to reach the model";
  EXPECT_GT(refused_, 10'000);
  EXPECT_EQ(server_.infer(good.json, good.binary).status, 200);
}

TEST_F(InferFuzz, EveryTruncationOfAGoodRequest) {
  const Body good = good_body();
  const std::string whole = good.json + good.binary;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Response response = server_.call("POST", "/v2/models/flights/infer", std::string_view(whole).substr(0, size),
                                           {{"Inference-Header-Content-Length", std::to_string(good.json.size())}});
    ASSERT_EQ(response.status, 400) << size;
    ASSERT_NO_FATAL_FAILURE(expect_answer(response, good.json));
  }
}

TEST_F(InferFuzz, EveryByteOfTheBinaryPartAtItsExtremes) {
  const Body good = good_body();
  for (std::size_t at = 0; at < good.binary.size(); ++at) {
    for (const int byte : {0x00, 0x01, 0x7F, 0x80, 0xFF}) {
      Body body = good;
      body.binary[at] = static_cast<char>(byte);
      ASSERT_NO_FATAL_FAILURE(expect_answer(server_.infer(body.json, body.binary), body.json)) << at << " " << byte;
    }
  }
}

TEST_F(InferFuzz, JsonOfAnyDepthAndSize) {
  for (const std::size_t depth : {1U, 30U, 31U, 32U, 33U, 1000U, 100'000U}) {
    for (const auto& [open, close] : {std::pair<char, char>{'[', ']'}, {'{', '}'}}) {
      const std::string nested = std::string(depth, open) + std::string(depth, close);
      for (const std::string& json :
           {nested, infer_json(json_tensor("distance", "FP32", nested)),
            infer_json(json_tensor("distance", "FP32", "[1]", nested)),
            infer_json(json_tensor("distance", "FP32", "[1]"), R"(,"outputs":)" + nested),
            infer_json(json_tensor("distance", "FP32", "[1]"), R"(,"parameters":)" + nested)}) {
        ASSERT_NO_FATAL_FAILURE(expect_answer(server_.infer(json), json.substr(0, 100)));
      }
    }
  }
  const std::string name(1'000'000, 'x');
  ASSERT_NO_FATAL_FAILURE(expect_answer(server_.infer(infer_json(json_tensor(name, "FP32", "[1]"))), "a long name"));
  ASSERT_NO_FATAL_FAILURE(
      expect_answer(server_.infer(infer_json(json_tensor("distance", name, "[1]"))), "a long datatype"));
}

// Random bytes, and good gzip data broken at random, never make the decoder crash or exceed its bound.
TEST(ContentCodingFuzz, BrokenDataIsRefused) {
  const std::uint64_t seed = 7;
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Rng rng(seed);
  ContentCoder coder;
  std::string text;
  for (int i = 0; i < 500; ++i) text += fmt::format("{{\"name\":\"input{}\",\"data\":[{}]}},", i, rng.below(1000));
  int broken = 0;
  for (int i = 0; i < 4000; ++i) {
    const ContentCoding coding = i % 2 == 0 ? ContentCoding::kGzip : ContentCoding::kDeflate;
    std::string packed;
    ASSERT_TRUE(coder.deflate(coding, text, packed));
    for (std::uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
      const std::size_t at = rng.below(packed.size());
      if (rng.below(3) == 0) {
        packed.resize(at + 1);
      } else {
        packed[at] = static_cast<char>(rng.below(256));
      }
    }
    const std::vector<char> exact(packed.begin(), packed.end());
    std::string out;
    const Status status = coder.inflate(coding, {exact.data(), exact.size()}, text.size(), out);
    ASSERT_LE(out.size(), text.size() + 1);
    if (status) {
      EXPECT_EQ(out, text) << "a checksum let something else through";
    } else {
      ++broken;
    }
  }
  EXPECT_GT(broken, 3000);
}

}  // namespace
}  // namespace freshet
