// The binary tensor data extension, both ways: the same values give the same rows as in JSON.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/serving/v2_fixture.h"

namespace freshet {
namespace {

using test::binary_tensor;
using test::bytes_of;
using test::bytes_of_texts;
using test::feature;
using test::header_of;
using test::infer_json;
using test::json_tensor;
using test::V2Server;

EventSpec flights() {
  EventSpec spec;
  spec.features = {feature("distance", FeatureKind::kNumber), feature("night", FeatureKind::kBoolean),
                   feature("carrier", FeatureKind::kCategory)};
  spec.time_field = "ts";
  return spec;
}

EventSpec pixels(std::uint32_t size) {
  EventSpec spec;
  spec.features = {feature("pixels", FeatureKind::kVector, size)};
  return spec;
}

std::string sized(std::string_view name, std::string_view datatype, std::string_view shape, const std::string& bytes) {
  return binary_tensor(name, datatype, shape, std::to_string(bytes.size()));
}

class V2Binary : public ::testing::Test {
 protected:
  V2Binary() { server_.publish(7); }

  Response one(std::string_view name, std::string_view datatype, const std::string& bytes,
               std::string_view shape = "[1]") {
    return server_.infer(infer_json(sized(name, datatype, shape, bytes)), bytes);
  }
  std::string refusal(const Response& response) {
    EXPECT_EQ(response.status, 400) << response.body;
    EXPECT_TRUE(server_.seen.empty());
    return response.body;
  }

  V2Server server_{flights(), 100};
};

template <typename Item>
void expect_number(V2Server& server, std::string_view datatype, Item item, float expected, const std::string& text) {
  const std::string bytes = bytes_of<Item>({item});
  const Response response = server.infer(infer_json(sized("distance", datatype, "[1]", bytes)), bytes);
  ASSERT_EQ(response.status, 200) << datatype << response.body;
  EXPECT_EQ(server.seen.at(0).dense[0], expected) << datatype;
  ASSERT_EQ(server.infer(infer_json(json_tensor("distance", datatype, "[" + text + "]"))).status, 200);
  EXPECT_EQ(server.seen.at(0).dense[0], expected) << datatype << " as JSON";
}

TEST_F(V2Binary, NumbersOfEveryDatatypeAreTheSameAsInJson) {
  expect_number<std::int8_t>(server_, "INT8", -128, -128.0F, "-128");
  expect_number<std::int16_t>(server_, "INT16", -32768, -32768.0F, "-32768");
  expect_number<std::int32_t>(server_, "INT32", -2147483647, -2147483648.0F, "-2147483647");
  expect_number<std::int64_t>(server_, "INT64", INT64_MIN, -9223372036854775808.0F, "-9223372036854775808");
  expect_number<std::uint8_t>(server_, "UINT8", 255, 255.0F, "255");
  expect_number<std::uint16_t>(server_, "UINT16", 65535, 65535.0F, "65535");
  expect_number<std::uint32_t>(server_, "UINT32", 4294967295U, 4294967296.0F, "4294967295");
  expect_number<std::uint64_t>(server_, "UINT64", UINT64_MAX, 18446744073709551616.0F, "18446744073709551615");
  expect_number<float>(server_, "FP32", 0.1F, 0.1F, "0.1");
  expect_number<double>(server_, "FP64", -1234.5, -1234.5F, "-1234.5");
  // IEEE binary16, from its definition: 1, -2, the largest, the smallest normal, the smallest of all, 1/3 rounded.
  expect_number<std::uint16_t>(server_, "FP16", 0x3C00, 1.0F, "1");
  expect_number<std::uint16_t>(server_, "FP16", 0xC000, -2.0F, "-2");
  expect_number<std::uint16_t>(server_, "FP16", 0x7BFF, 65504.0F, "65504");
  expect_number<std::uint16_t>(server_, "FP16", 0x0400, std::ldexp(1.0F, -14), "0.00006103515625");
  expect_number<std::uint16_t>(server_, "FP16", 0x0001, std::ldexp(1.0F, -24), "0.000000059604644775390625");
  expect_number<std::uint16_t>(server_, "FP16", 0x3555, 0.333251953125F, "0.333251953125");
}

template <typename Item>
void expect_category(V2Server& server, std::string_view datatype, Item item, std::string_view text) {
  const std::string bytes = bytes_of<Item>({item});
  ASSERT_EQ(server.infer(infer_json(sized("carrier", datatype, "[1]", bytes)), bytes).status, 200) << datatype;
  EXPECT_EQ(server.seen.at(0).hashes[0], V2Server::hash("carrier", text)) << datatype << " " << text;
}

TEST_F(V2Binary, CategoriesOfEveryDatatypeAreTheTextsOfTheStream) {
  expect_category<std::int8_t>(server_, "INT8", 7, "7");
  expect_category<std::int16_t>(server_, "INT16", -7, "-7");
  expect_category<std::int32_t>(server_, "INT32", 7, "7");
  expect_category<std::int64_t>(server_, "INT64", INT64_MIN, "-9223372036854775808");
  expect_category<std::uint8_t>(server_, "UINT8", 200, "200");
  expect_category<std::uint16_t>(server_, "UINT16", 7, "7");
  expect_category<std::uint32_t>(server_, "UINT32", 7, "7");
  expect_category<std::uint64_t>(server_, "UINT64", 7, "7");
  expect_category<std::uint64_t>(server_, "UINT64", UINT64_MAX, "18446744073709551615");
  expect_category<std::uint16_t>(server_, "FP16", 0x4700, "7");
  expect_category<float>(server_, "FP32", 7.0F, "7");
  expect_category<float>(server_, "FP32", 1.1F, "1.1");  // not 1.10000002384185791015625
  expect_category<double>(server_, "FP64", 1.1, "1.1");
  expect_category<std::uint8_t>(server_, "BOOL", 1, "true");
  expect_category<std::uint8_t>(server_, "BOOL", 0, "false");
  const std::string texts = bytes_of_texts({"é€", "", "UA"});
  ASSERT_EQ(one("carrier", "BYTES", texts, "[3]").status, 200);
  EXPECT_EQ(server_.seen.at(0).hashes[0], V2Server::hash("carrier", "é€"));
  EXPECT_EQ(server_.seen.at(1).hashes[0], V2Server::hash("carrier", ""));
  EXPECT_EQ(server_.seen.at(2).hashes[0], V2Server::hash("carrier", "UA"));
}

TEST_F(V2Binary, BooleansAndTimes) {
  ASSERT_EQ(one("night", "BOOL", std::string("\x01\x00\x01", 3), "[3,1]").status, 200);
  EXPECT_EQ(server_.seen.at(0).dense[1], 1.0F);
  EXPECT_EQ(server_.seen.at(1).dense[1], 0.0F);
  for (const auto& [datatype, bytes] :
       {std::pair<std::string, std::string>{"INT64", bytes_of<std::int64_t>({1'357'016'400'123})},
        {"UINT64", bytes_of<std::uint64_t>({1'357'016'400'123})},
        {"FP64", bytes_of<double>({1'357'016'400'123.5})},
        {"BYTES", bytes_of_texts({"2013-01-01T05:00:00.123Z"})}}) {
    ASSERT_EQ(one("ts", datatype, bytes).status, 200) << datatype;
    EXPECT_EQ(server_.seen.at(0).time_ms, 1'357'016'400'123) << datatype;
  }
}

TEST_F(V2Binary, NaNIsMissingAndInfinityIsRefused) {
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  const auto infinity = std::numeric_limits<double>::infinity();
  ASSERT_EQ(one("distance", "FP64", bytes_of<double>({nan})).status, 200);
  EXPECT_TRUE(std::isnan(server_.seen.at(0).dense[0]));
  ASSERT_EQ(one("distance", "FP16", bytes_of<std::uint16_t>({0x7E00})).status, 200);
  EXPECT_TRUE(std::isnan(server_.seen.at(0).dense[0]));
  ASSERT_EQ(one("carrier", "FP64", bytes_of<double>({nan})).status, 200);
  EXPECT_EQ(server_.seen.at(0).hashes[0], 0U);
  ASSERT_EQ(one("ts", "FP64", bytes_of<double>({nan})).status, 200);
  EXPECT_EQ(server_.seen.at(0).time_ms, V2Server::kNow);
  EXPECT_EQ(refusal(one("distance", "FP64", bytes_of<double>({1, infinity}), "[2]")),
            R"({"error":"input 'distance', row 1: an infinite FP64 is no value"})");
  EXPECT_EQ(refusal(one("distance", "FP16", bytes_of<std::uint16_t>({0xFC00}))),
            R"({"error":"input 'distance', row 0: an infinite FP16 is no value"})");
  refusal(one("carrier", "FP64", bytes_of<double>({infinity})));
  refusal(one("ts", "FP64", bytes_of<double>({infinity})));
  EXPECT_EQ(refusal(one("distance", "FP64", bytes_of<double>({1e300}))),
            R"({"error":"input 'distance', row 0: the number 1e+300 is too large for a 32-bit float"})");
}

TEST_F(V2Binary, JsonAndBinaryTensorsMix) {
  const std::string distance = bytes_of<float>({1.5F, 2.5F});
  const std::string ts = bytes_of<std::int64_t>({1000, 2000});
  const Response response = server_.infer(
      infer_json(sized("distance", "FP32", "[2,1]", distance) + "," +
                     json_tensor("carrier", "BYTES", R"(["UA","B6"])", "[2]") + "," + sized("ts", "INT64", "[2]", ts),
                 R"(,"id":"mixed")"),
      distance + ts);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_EQ(response.content_type, "application/json");
  EXPECT_EQ(response.body,
            R"({"model_name":"flights","model_version":"7","id":"mixed","parameters":{"missing_inputs":"night"},)"
            R"("outputs":[{"name":"prediction","datatype":"FP32","shape":[2],"data":[7,7]}]})");
  ASSERT_EQ(server_.seen.size(), 2U);
  EXPECT_EQ(server_.seen[0].dense[0], 1.5F);
  EXPECT_EQ(server_.seen[1].dense[0], 2.5F);
  EXPECT_EQ(server_.seen[0].hashes[0], V2Server::hash("carrier", "UA"));
  EXPECT_EQ(server_.seen[1].hashes[0], V2Server::hash("carrier", "B6"));
  EXPECT_EQ(server_.seen[0].time_ms, 1000);
  EXPECT_EQ(server_.seen[1].time_ms, 2000);
}

TEST_F(V2Binary, AHeaderOverAllOfTheBodyIsPlainJson) {
  EXPECT_EQ(server_.infer(infer_json(json_tensor("distance", "FP32", "[1]")), "").status, 200);
}

TEST_F(V2Binary, AnswersInBinaryWhereAsked) {
  EventSpec spec = flights();
  spec.label.classes = 2;
  V2Server server(spec);
  server.publish(3, 1,
                 [](const EncodedBatch& batch, std::size_t row, std::uint32_t) { return batch.dense_row(row)[0]; });
  const std::string inputs = json_tensor("distance", "FP32", "[0.25,0.75]", "[2]");
  const std::string classes = bytes_of<std::int64_t>({0, 1});
  const std::string shares = bytes_of<float>({0.25F, 0.75F});
  const auto split = [&](const std::string& more) {
    const Response response = server.infer(infer_json(inputs, more));
    EXPECT_EQ(response.status, 200) << response.body;
    const std::string length = header_of(response, "Inference-Header-Content-Length");
    if (length.empty()) {
      EXPECT_EQ(response.content_type, "application/json");
      return std::pair<std::string, std::string>{response.body, ""};
    }
    EXPECT_EQ(response.content_type, "application/octet-stream");
    const std::size_t json = std::stoul(length);
    return std::pair<std::string, std::string>{response.body.substr(0, json), response.body.substr(json)};
  };
  const std::string head =
      R"({"model_name":"flights","model_version":"3","parameters":{"missing_inputs":"night,carrier"},)";
  const std::string binary_class =
      R"({"name":"prediction","datatype":"INT64","shape":[2],"parameters":{"binary_data_size":16}})";
  const std::string binary_share =
      R"({"name":"probability","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}})";
  const std::string json_class = R"({"name":"prediction","datatype":"INT64","shape":[2],"data":[0,1]})";
  const std::string json_share = R"({"name":"probability","datatype":"FP32","shape":[2],"data":[0.25,0.75]})";
  const auto expect = [&](const std::string& more, const std::string& outputs, const std::string& binary) {
    const auto [json, bytes] = split(more);
    EXPECT_EQ(json, head + R"("outputs":[)" + outputs + "]}") << more;
    EXPECT_EQ(bytes, binary) << more;
  };
  const std::string all = R"(,"parameters":{"binary_data_output":true})";
  expect("", json_class + "," + json_share, "");
  expect(R"(,"parameters":{"binary_data_output":false})", json_class + "," + json_share, "");
  expect(all, binary_class + "," + binary_share, classes + shares);
  // The binary parts stand in the order of the outputs, and an output's own word goes first, wherever it stands.
  expect(R"(,"outputs":[{"name":"probability"},{"name":"prediction"}])" + all, binary_share + "," + binary_class,
         shares + classes);
  expect(all + R"(,"outputs":[{"name":"probability","parameters":{"binary_data":false}},{"name":"prediction"}])",
         json_share + "," + binary_class, classes);
  expect(R"(,"outputs":[{"name":"probability","parameters":{"binary_data":true}},{"name":"prediction"}])",
         binary_share + "," + json_class, shares);
  expect(R"(,"outputs":[{"name":"probability","parameters":null}],"parameters":null,"id":null)", json_share, "");
}

TEST_F(V2Binary, AnswersClassNamesAndClassProbabilitiesInBinary) {
  EventSpec spec = pixels(3);
  spec.label.classes = 3;
  spec.label.class_names = {"cat", "", "a long-eared owl"};
  V2Server server(spec);
  server.publish(3, 3, [](const EncodedBatch& batch, std::size_t row, std::uint32_t column) {
    return batch.dense_row(row)[column];
  });
  const std::vector<float> values = {0.25F, 0.25F, 0.5F, 0.25F, 0.5F, 0.25F};
  const std::string bytes = bytes_of(values);
  const Response response = server.infer(
      infer_json(sized("pixels", "FP32", "[2,3]", bytes), R"(,"parameters":{"binary_data_output":true})"), bytes);
  ASSERT_EQ(response.status, 200) << response.body;
  const std::size_t json = std::stoul(header_of(response, "Inference-Header-Content-Length"));
  EXPECT_EQ(response.body.substr(0, json),
            R"({"model_name":"flights","model_version":"3","outputs":[)"
            R"({"name":"prediction","datatype":"BYTES","shape":[2],"parameters":{"binary_data_size":24}},)"
            R"({"name":"probability","datatype":"FP32","shape":[2,3],"parameters":{"binary_data_size":24}}]})");
  EXPECT_EQ(response.body.substr(json), bytes_of_texts({"a long-eared owl", ""}) + bytes);
}

TEST_F(V2Binary, VectorsTakeAnyShapeOfTheirWidth) {
  V2Server server(pixels(6));
  server.publish(1, 1,
                 [](const EncodedBatch& batch, std::size_t row, std::uint32_t) { return batch.dense_row(row)[5]; });
  const std::string bytes = bytes_of<float>({0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15});
  const std::string answer = R"("shape":[2],"data":[5,15]}]})";
  for (const auto* shape : {"[2,6]", "[2,2,3]", "[2,1,6,1]", "[2,3,2,1,1,1,1,1]"}) {
    const Response response = server.infer(infer_json(sized("pixels", "FP32", shape, bytes)), bytes);
    EXPECT_TRUE(response.body.ends_with(answer)) << shape << response.body;
    const std::string flat = "[0,1,2,3,4,5,10,11,12,13,14,15]";
    EXPECT_TRUE(server.infer(infer_json(json_tensor("pixels", "FP32", flat, shape))).body.ends_with(answer)) << shape;
  }
  const std::string nested = "[[[0,1,2],[3,4,5]],[[10,11,12],[13,14,15]]]";
  EXPECT_TRUE(server.infer(infer_json(json_tensor("pixels", "INT8", nested, "[2,2,3]"))).body.ends_with(answer));
  for (const auto* data : {"[[[0,1,2],[3,4,5]],[[10,11,12],[13,14]]]", "[[[0,1,2],[3,4,5]],[[10,11,12],[13,14,15,16]]]",
                           "[[[0,1,2],[3,4,5]],[[10,11,12]]]", "[[[0,1,2],[3,4,5]],7]", "[[[0,1,2],[3,4,5]]]",
                           "[[0,1,2,3,4,5],[1]]", "[[[0,1,2],[3,4,5]],[[10,11,12],[13,14,[15]]]]", "[[],[]]", "[]"}) {
    EXPECT_EQ(server.infer(infer_json(json_tensor("pixels", "INT8", data, "[2,2,3]"))).status, 400) << data;
  }
  EXPECT_EQ(
      server.infer(infer_json(json_tensor("pixels", "INT8", "[[[0,1,2],[3,4,5]],[[10,11,12],[13,14]]]", "[2,2,3]")))
          .body,
      R"({"error":"input 'pixels': row 1 of the data must be an array of 3"})");
  EXPECT_EQ(server.infer(infer_json(json_tensor("pixels", "FP32", "[1]", "[1,5]"))).body,
            R"({"error":"input 'pixels' must have the shape [rows, 6], or [rows, …] with 6 items a row"})");
}

TEST_F(V2Binary, ABodyWithoutJsonIsTheOnlyInput) {
  V2Server server(pixels(2));
  server.publish(1, 1,
                 [](const EncodedBatch& batch, std::size_t row, std::uint32_t) { return batch.dense_row(row)[1]; });
  const Response response = server.infer("", bytes_of<float>({1, 2, 3, 4}), "0");
  ASSERT_EQ(response.status, 200) << response.body;
  const std::size_t json = std::stoul(header_of(response, "Inference-Header-Content-Length"));
  EXPECT_EQ(response.body.substr(json), bytes_of<float>({2, 4}));
  EXPECT_EQ(server.infer("", std::string(12, '\0'), "0").body,
            R"({"error":"the body has 12 bytes, no whole number of rows: input 'pixels' has 8 a row"})");
  EXPECT_EQ(refusal(server_.infer("", "abcd", "0")),
            R"({"error":"Inference-Header-Content-Length is 0, which is for models with one input; this one has 4"})");
}

TEST_F(V2Binary, RefusesLengthsThatDoNotFit) {
  const std::string two = bytes_of<float>({1, 2});
  EXPECT_EQ(refusal(server_.infer(infer_json(binary_tensor("distance", "FP32", "[2]", "7")), two)),
            R"({"error":"input 'distance' has 7 bytes of data where its shape and FP32 make 8"})");
  EXPECT_EQ(refusal(server_.infer(infer_json(binary_tensor("distance", "FP32", "[2]", "9")), two)),
            R"({"error":"input 'distance': 'binary_data_size' is 9, but 8 bytes of the body are left"})");
  EXPECT_EQ(refusal(server_.infer(infer_json(binary_tensor("distance", "FP32", "[2]", "8")), two + "x")),
            R"({"error":"1 bytes of the body belong to no input: the sum of 'binary_data_size' falls short of them"})");
  // Two inputs that would have to share the same bytes.
  EXPECT_EQ(refusal(server_.infer(infer_json(binary_tensor("distance", "FP32", "[2]", "8") + "," +
                                             binary_tensor("carrier", "INT32", "[2]", "8")),
                                  two)),
            R"({"error":"input 'carrier': 'binary_data_size' is 8, but 0 bytes of the body are left"})");
  EXPECT_EQ(refusal(server_.infer(infer_json(binary_tensor("distance", "FP32", "[2]", "-8")), two)),
            R"({"error":"input 'distance': 'binary_data_size' must be a number of bytes, is the number -8"})");
  for (const auto* size : {"8.0", R"("8")", "null", "true", "[]", "18446744073709551615", "9223372036854775808"}) {
    refusal(server_.infer(infer_json(binary_tensor("distance", "FP32", "[2]", size)), two));
  }
  EXPECT_EQ(refusal(server_.infer(infer_json(binary_tensor("distance", "FP32", "[2]", "8")))),
            R"({"error":"input 'distance' has a 'binary_data_size', but the request has no header )"
            R"(Inference-Header-Content-Length"})");
  EXPECT_EQ(
      refusal(server_.infer(
          infer_json(
              R"({"name":"distance","datatype":"FP32","shape":[2],"data":[1,2],"parameters":{"binary_data_size":8}})"),
          two)),
      R"({"error":"input 'distance' has both 'data' and 'binary_data_size'; give one of them"})");
  EXPECT_EQ(refusal(server_.infer("{}", "", "3")),
            R"({"error":"Inference-Header-Content-Length is 3, but the body has 2 bytes"})");
  for (const auto* length : {"-1", "x", "1e3", "18446744073709551616", " 2", "0x2"}) {
    EXPECT_EQ(refusal(server_.infer("{}", "", length)),
              R"({"error":"Inference-Header-Content-Length must be a number of bytes"})");
  }
  EXPECT_NE(refusal(server_.infer(infer_json(binary_tensor("distance", "FP32", "[2]", "8")), two, "5")).find("JSON"),
            std::string::npos);
}

TEST_F(V2Binary, RefusesShapesThatAreNoneBeforeTakingMemory) {
  V2Server server(pixels(4));
  server.publish(1);
  for (const auto* shape :
       {"[4294967296,4294967296]", "[1,18446744073709551615]", "[2,9223372036854775808,2]", "[18446744073709551615,4]",
        "[-1,4]", "[1,-4]", "[1,-2,-2]", "[0,4]", "[1,0]", "[1,2,2,1,1,1,1,1,1]", "[4]", "[]", "[1.0,4]", "4",
        R"(["1",4])", "[[1,4]]", "null", "[1,2,2,2]", "[1,4294967296,4294967297]"}) {
    for (const std::string& bytes : {std::string(), std::string(16, '\0'), std::string(17, 'x')}) {
      const Response response = server.infer(infer_json(sized("pixels", "FP32", shape, bytes)), bytes);
      EXPECT_EQ(response.status, 400) << shape << response.body;
      EXPECT_NE(response.body.find("pixels"), std::string::npos) << response.body;
    }
  }
  EXPECT_EQ(server.infer(infer_json(binary_tensor("pixels", "FP32", "[10001,4]", "0")), "").body,
            R"({"error":"input 'pixels' has 10001 rows; one request takes at most 10000"})");
}

TEST_F(V2Binary, RefusesTextsThatRunBeyondTheirTensor) {
  EXPECT_EQ(refusal(one("carrier", "BYTES", std::string("\x05\x00\x00\x00UA", 6))),
            R"({"error":"input 'carrier', row 0: a text of 5 bytes goes beyond the tensor's end, where 2 are left"})");
  EXPECT_EQ(
      refusal(one("carrier", "BYTES", std::string("\xff\xff\xff\xffUA", 6))),
      R"({"error":"input 'carrier', row 0: a text of 4294967295 bytes goes beyond the tensor's end, where 2 are left"})");
  EXPECT_EQ(
      refusal(one("carrier", "BYTES", std::string("\x02\x00\x00\x00UA\x01\x00", 8), "[2]")),
      R"({"error":"input 'carrier', row 1: the four bytes of a text's length go beyond the tensor's end, where 2 are left"})");
  EXPECT_EQ(refusal(one("carrier", "BYTES", std::string("\x02\x00\x00\x00UAxyz", 9))),
            R"({"error":"input 'carrier', row 0: 3 bytes follow the last text"})");
  EXPECT_EQ(refusal(one("carrier", "BYTES", "abc")),
            R"({"error":"input 'carrier' has 3 bytes of data, too few for the lengths of 1 texts"})");
  EXPECT_EQ(refusal(one("carrier", "BYTES", bytes_of_texts({"UA", "B\xff"}), "[2]")),
            R"({"error":"input 'carrier', row 1: byte 1 of the text is not UTF-8"})");
  EXPECT_EQ(refusal(one("ts", "BYTES", bytes_of_texts({"yesterday"}))),
            R"({"error":"input 'ts', row 0: the text \"yesterday\" is no ISO 8601 time"})");
}

TEST_F(V2Binary, RefusesBytesThatAreNoValueOfTheirDatatype) {
  EXPECT_EQ(refusal(one("night", "BOOL", "\x02")),
            R"({"error":"input 'night', row 0: the byte 2 is no BOOL; true is 1, false is 0"})");
  EXPECT_EQ(
      refusal(one("distance", "BYTES", bytes_of_texts({"7"}))),
      R"({"error":"input 'distance' is a number and takes INT8 to INT64, UINT8 to UINT64, FP16, FP32 or FP64, not BYTES"})");
  EXPECT_EQ(refusal(one("distance", "BF16", "ab")), R"({"error":"input 'distance': there is no datatype 'BF16'"})");
  EXPECT_NE(refusal(one("ts", "INT64", bytes_of<std::int64_t>({INT64_MAX}))).find("milliseconds"), std::string::npos);
  V2Server server(pixels(2));
  server.publish(1);
  const std::string bytes = bytes_of<float>({1, std::numeric_limits<float>::quiet_NaN()});
  EXPECT_EQ(server.infer(infer_json(sized("pixels", "FP32", "[1,2]", bytes)), bytes).body,
            R"({"error":"input 'pixels', row 0: item 1 of a vector cannot be NaN"})");
}

TEST_F(V2Binary, RefusesWhatItWouldHaveToLeaveOut) {
  const std::string good = json_tensor("distance", "FP32", "[1]");
  EXPECT_NE(
      refusal(server_.infer(infer_json(
                  R"({"name":"distance","datatype":"FP32","shape":[1],"parameters":{"shared_memory_region":"r"}})")))
          .find("input 'distance': shared memory is not supported"),
      std::string::npos);
  EXPECT_NE(refusal(server_.infer(
                        infer_json(good, R"(,"outputs":[{"name":"prediction","parameters":{"classification":2}}])")))
                .find("output 'prediction': the classification extension is not supported"),
            std::string::npos);
  refusal(server_.infer(infer_json(good, R"(,"parameters":{"binary_data_output":1})")));
  refusal(server_.infer(infer_json(good, R"(,"parameters":[])")));
  refusal(server_.infer(infer_json(good, R"(,"outputs":[{"name":"prediction","parameters":{"binary_data":"yes"}}])")));
  refusal(server_.infer(infer_json(good, R"(,"outputs":[{"name":"prediction","parameters":7}])")));
  refusal(server_.infer(infer_json(R"({"name":"distance","datatype":"FP32","shape":[1],"data":[1],"parameters":7})")));
  // Hints that change nothing here, and what clients add of their own.
  EXPECT_EQ(
      server_.infer(infer_json(good, R"(,"parameters":{"priority":1,"timeout":5,"mine":{"a":[1]}},"model_name":"x")"))
          .status,
      200);
}

}  // namespace
}  // namespace freshet
