#include "stream/json_decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/hash.h"

namespace freshet {
namespace {

EventSpec trip_spec() {
  EventSpec spec;
  spec.features = {{.name = "distance", .kind = FeatureKind::kNumber},
                   {.name = "carrier", .kind = FeatureKind::kCategory},
                   {.name = "late", .kind = FeatureKind::kBoolean},
                   {.name = "image", .kind = FeatureKind::kVector, .size = 3}};
  spec.label = {.field = "label", .classes = 2, .class_names = {"no", "yes"}};
  spec.time_field = "ts";
  spec.key_field = "id";
  return spec;
}

constexpr std::string_view kGood =
    R"({"id": 7, "ts": 1357034400000, "distance": 1400.5, "carrier": "UA", "late": true, "image": [1, 2.5, -3e1], "label": 1})";

class JsonDecoderTest : public ::testing::Test {
 protected:
  JsonDecoderTest() : JsonDecoderTest(trip_spec()) {}
  explicit JsonDecoderTest(const EventSpec& spec, DecoderOptions options = {})
      : schema(spec), batch(schema, 64), decoder(schema, std::move(options)) {}

  bool decode(std::string_view json) {
    // An exact-size heap copy: reading past the end is an error that the address sanitizer sees.
    const std::vector<char> exact(json.begin(), json.end());
    const DecodeOutcome outcome = decoder.decode({exact.data(), exact.size()}, batch);
    if (outcome) {
      batch.commit_row();
    } else {
      reason = outcome.reason;
      detail = outcome.detail;
    }
    return outcome.decoded;
  }
  // A good record with the text of one field replaced.
  static std::string with(std::string_view field, std::string_view value) {
    std::string text = "{";
    for (const auto& [name, good] : std::vector<std::pair<std::string_view, std::string_view>>{{"id", "7"},
                                                                                               {"ts", "1357034400000"},
                                                                                               {"distance", "1"},
                                                                                               {"carrier", "\"UA\""},
                                                                                               {"late", "true"},
                                                                                               {"image", "[1, 2, 3]"},
                                                                                               {"label", "1"}}) {
      const std::string_view shown = name == field ? value : good;
      if (shown.empty()) continue;
      text += (text.size() > 1 ? ", \"" : "\"") + std::string(name) + "\": " + std::string(shown);
    }
    return text + "}";
  }
  void expect_refused(std::string_view json, SkipReason expected) {
    const std::size_t before = batch.size();
    EXPECT_FALSE(decode(json)) << json.substr(0, 200);
    EXPECT_EQ(skip_reason_name(reason), skip_reason_name(expected)) << json.substr(0, 200) << "\n" << detail;
    EXPECT_FALSE(detail.empty());
    EXPECT_EQ(batch.size(), before);
    // The neighbour after it is none the worse.
    ASSERT_TRUE(decode(kGood)) << detail;
    const std::size_t row = batch.size() - 1;
    EXPECT_EQ(batch.numbers(0)[row], 1400.5F);
    EXPECT_EQ(batch.labels[row], 1.0F);
    if (batch.full()) batch.clear();
  }

  Schema schema;
  EventBatch batch;
  JsonDecoder decoder;
  SkipReason reason = SkipReason::kEmpty;
  std::string detail;
};

TEST_F(JsonDecoderTest, FillsEveryColumn) {
  ASSERT_TRUE(decode(kGood)) << detail;
  EXPECT_EQ(batch.numbers(0)[0], 1400.5F);
  EXPECT_EQ(batch.numbers(1)[0], 1.0F);
  EXPECT_EQ(batch.categories(0)[0], hash_category(field_seed("carrier"), "UA"));
  EXPECT_EQ(std::vector<float>(batch.vectors(0).begin(), batch.vectors(0).end()), (std::vector<float>{1, 2.5, -30}));
  EXPECT_EQ(batch.labels[0], 1.0F);
  EXPECT_EQ(batch.weights[0], 1.0F);
  EXPECT_EQ(batch.time_ms[0], 1357034400000);
  EXPECT_EQ(batch.key_hashes[0], hash_text("7"));
}

TEST_F(JsonDecoderTest, NullAndAbsentAreMissing) {
  ASSERT_TRUE(decode(R"({"ts":0,"distance":null,"carrier":null,"late":null,"image":[0,0,0],"label":0})")) << detail;
  ASSERT_TRUE(decode(R"({"label":0,"image":[0,0,0],"ts":0})")) << detail;
  for (std::size_t row = 0; row < 2; ++row) {
    EXPECT_TRUE(std::isnan(batch.numbers(0)[row]));
    EXPECT_TRUE(std::isnan(batch.numbers(1)[row]));
    EXPECT_EQ(batch.categories(0)[row], kMissingCategory);
    EXPECT_EQ(batch.key_hashes[row], 0U);
  }
}

TEST_F(JsonDecoderTest, ACategoryIsTheSameHoweverItIsWritten) {
  const std::uint64_t seed = field_seed("carrier");
  const std::vector<std::pair<std::string_view, std::uint64_t>> cases = {
      {"\"7\"", hash_category(seed, "7")},
      {"7", hash_category(seed, "7")},
      {"7.0", hash_category(seed, "7")},
      {"70e-1", hash_category(seed, "7")},
      {"-0", hash_category(seed, "0")},
      {"2.5", hash_category(seed, 2.5)},
      {"true", hash_category(seed, "true")},
      {"false", hash_category(seed, "false")},
      {"\"\"", hash_category(seed, "")},
      {"\"\\u0055A\"", hash_category(seed, "UA")},
      {"\"a\\n\\\"\\\\\\/\"", hash_category(seed, "a\n\"\\/")},
      {"\"\\ud83d\\ude00\"", hash_category(seed, "\xF0\x9F\x98\x80")},
      {"18446744073709551616", hash_category(seed, "18446744073709551616")}};
  for (const auto& [text, hash] : cases) {
    batch.clear();
    ASSERT_TRUE(decode(with("carrier", text))) << text << " " << detail;
    EXPECT_EQ(batch.categories(0)[0], hash) << text;
  }
}

TEST_F(JsonDecoderTest, NumbersAreRoundedCorrectly) {
  for (const std::string_view text :
       {"0", "-0.0", "14.960139999999999", "1e-7", "123456789012345678901234567890", "3.4028234e38", "1e-400",
        "0.00000000000000000000000000000000000000000000000001e50", "5e-324", "-17.5E+2", "1.0000000596046448"}) {
    batch.clear();
    ASSERT_TRUE(decode(with("distance", text))) << text << " " << detail;
    const std::string copy(text);
    EXPECT_EQ(batch.numbers(0)[0], static_cast<float>(std::strtod(copy.c_str(), nullptr))) << text;
  }
}

TEST_F(JsonDecoderTest, RefusesWhatIsNotJson) {
  for (const std::string_view text : {"x",
                                      "{",
                                      "}",
                                      "{\"id\"",
                                      "{\"id\":",
                                      "{\"id\":1",
                                      "{\"id\":1,",
                                      "{\"id\":1,}",
                                      "{,}",
                                      "{\"a\" 1}",
                                      "{\"a\":}",
                                      "{\"a\":1 \"b\":2}",
                                      "{\"a\":1}}",
                                      "{\"a\":1} x",
                                      "{\"a\":1}{\"a\":1}",
                                      "{a:1}",
                                      "{'a':1}",
                                      "{\"a\":01}",
                                      "{\"a\":+1}",
                                      "{\"a\":1.}",
                                      "{\"a\":.5}",
                                      "{\"a\":1e}",
                                      "{\"a\":-}",
                                      "{\"a\":NaN}",
                                      "{\"a\":Infinity}",
                                      "{\"a\":-Infinity}",
                                      "{\"a\":tru}",
                                      "{\"a\":truex}",
                                      "{\"a\":t}",
                                      "{\"a\":[1,]}",
                                      "{\"a\":[1 2]}",
                                      "{\"a\":[1}",
                                      "{\"a\":{]}",
                                      "{\"a\":{\"b\":[}}",
                                      "{\"a\":{1:2}}",
                                      "{\"a\":{\"b\"}}",
                                      "{\"a\":\"x\"y}",
                                      "{\"a\":\"\\q\"}",
                                      "{\"a\":\"\\u12g4\"}",
                                      "{\"a\":\"\\u12\"}",
                                      "{\"a\":\"open}",
                                      "{\"a\":1,\"a",
                                      "{\"a\":0x10}",
                                      "{\"a\":1/*c*/}",
                                      "[1,2",
                                      "[1}",
                                      "tru",
                                      "\"a",
                                      "{\"a\":1\"b\"}",
                                      "{\"a\":\"\n\"}",
                                      "{]",
                                      "{[}",
                                      "{\"a\":[}"}) {
    expect_refused(text, SkipReason::kMalformed);
  }
  expect_refused(std::string_view("{\"a\":1\0}", 8), SkipReason::kMalformed);
}

TEST_F(JsonDecoderTest, RefusesATruncationAtEveryByte) {
  for (std::size_t size = 1; size < kGood.size(); ++size) {
    expect_refused(kGood.substr(0, size), SkipReason::kMalformed);
  }
}

TEST_F(JsonDecoderTest, RefusesJsonThatIsNoObject) {
  for (const std::string_view text : {"[1,2]", "3", "\"a\"", "null", "true", "[{\"label\":1}]"}) {
    expect_refused(text, SkipReason::kNotAnObject);
  }
}

TEST_F(JsonDecoderTest, RefusesNothing) {
  expect_refused("", SkipReason::kEmpty);
  expect_refused("  \t", SkipReason::kEmpty);
}

TEST_F(JsonDecoderTest, RefusesInvalidUtf8) {
  expect_refused("{\"a\":\"\xC3\x28\"}", SkipReason::kInvalidUtf8);
  expect_refused("{\"a\":\"\xFF\"}", SkipReason::kInvalidUtf8);
  expect_refused("{\"a\":\"\xED\xA0\x80\"}", SkipReason::kInvalidUtf8);
  expect_refused("{\"\xC0\xAF\":1}", SkipReason::kInvalidUtf8);
  expect_refused(R"({"a":"\ud800"})", SkipReason::kInvalidUtf8);
  expect_refused(R"({"a":"\udc00\ud800"})", SkipReason::kInvalidUtf8);
}

TEST_F(JsonDecoderTest, RefusesDeepNestingWithoutRecursion) {
  const std::string arrays(10000, '[');
  const std::string closed = arrays + std::string(10000, ']');
  std::string objects;
  for (int i = 0; i < 10000; ++i) objects += "{\"a\":";
  objects += "1" + std::string(10000, '}');
  expect_refused("{\"x\":" + closed + ",\"label\":1}", SkipReason::kTooDeep);
  expect_refused("{\"x\":" + objects + ",\"label\":1}", SkipReason::kTooDeep);
  expect_refused(objects, SkipReason::kTooDeep);
  expect_refused(closed, SkipReason::kTooDeep);
  expect_refused("{\"x\":" + arrays + "}", SkipReason::kTooDeep);
  expect_refused("{\"x\":" + arrays, SkipReason::kMalformed);
}

TEST_F(JsonDecoderTest, RefusesALargeRecord) {
  expect_refused("{\"x\":\"" + std::string(10 << 20, 'a') + "\"}", SkipReason::kTooLarge);
}

TEST_F(JsonDecoderTest, RefusesALabelThatIsMissing) {
  expect_refused(with("label", ""), SkipReason::kMissingLabel);
  expect_refused(with("label", "null"), SkipReason::kMissingLabel);
}

TEST_F(JsonDecoderTest, RefusesALabelThatIsNone) {
  for (const std::string_view text : {"2", "-1", "0.5", "1e400", "\"1\"", "\"maybe\"", "[1]", "{}", "1e30"}) {
    expect_refused(with("label", text), SkipReason::kBadLabel);
  }
}

TEST_F(JsonDecoderTest, ReadsLabelsAsNumbersBooleansAndNames) {
  for (const auto& [text, label] : std::vector<std::pair<std::string_view, float>>{
           {"0", 0}, {"1", 1}, {"1.0", 1}, {"false", 0}, {"true", 1}, {"\"no\"", 0}, {"\"yes\"", 1}}) {
    batch.clear();
    ASSERT_TRUE(decode(with("label", text))) << text << " " << detail;
    EXPECT_EQ(batch.labels[0], label) << text;
  }
}

TEST_F(JsonDecoderTest, RefusesFeaturesOfAnotherType) {
  for (const std::string_view text : {"\"1400\"", "\"NaN\"", "true", "[1]", "{}"}) {
    expect_refused(with("distance", text), SkipReason::kBadFeature);
  }
  for (const std::string_view text : {"[1]", "{\"a\":1}"})
    expect_refused(with("carrier", text), SkipReason::kBadFeature);
  for (const std::string_view text : {"1", "0", "\"true\"", "[]"})
    expect_refused(with("late", text), SkipReason::kBadFeature);
  for (const std::string_view text :
       {"[]", "[1,2]", "[1,2,3,4]", "[1,\"2\",3]", "[1,null,3]", "[[1,2,3]]", "1", "null", ""}) {
    expect_refused(with("image", text), SkipReason::kBadFeature);
  }
  for (const std::string_view text : {"[1,2,3}", "[1,2,,3]", "[1 2 3]"}) {
    expect_refused(with("image", text), SkipReason::kMalformed);
  }
  expect_refused(with("id", "[1]"), SkipReason::kBadFeature);
}

TEST_F(JsonDecoderTest, SaysWhichFieldAndWhatWasFound) {
  EXPECT_FALSE(decode(with("distance", "\"1400\"")));
  EXPECT_EQ(detail, "number 'distance' is the text \"1400\"");
  EXPECT_FALSE(decode(with("label", "7")));
  EXPECT_EQ(detail, "label 'label' is the number 7, not one of the classes 0 to 1");
}

TEST_F(JsonDecoderTest, RefusesNumbersTooLargeForAFloat) {
  for (const std::string_view text : {"1e39", "-1e39", "1e400", "-1e400"}) {
    expect_refused(with("distance", text), SkipReason::kNotFinite);
  }
  const std::string digits(500, '9');
  expect_refused(with("distance", digits), SkipReason::kNotFinite);
  expect_refused(with("distance", digits + ".5"), SkipReason::kNotFinite);
  expect_refused(with("image", "[1,2,1e39]"), SkipReason::kNotFinite);
}

TEST_F(JsonDecoderTest, RefusesADuplicateOfAConfiguredFieldOnly) {
  expect_refused(R"({"label":1,"label":0,"ts":1,"image":[1,2,3]})", SkipReason::kDuplicateField);
  expect_refused(R"({"label":1,"ts":1,"image":[1,2,3],"\u006cabel":0})", SkipReason::kDuplicateField);
  EXPECT_TRUE(decode(R"({"x":1,"x":2,"label":1,"ts":1,"image":[1,2,3]})")) << detail;
}

TEST_F(JsonDecoderTest, ReadsTimesInManyForms) {
  for (const auto& [text, time] :
       std::vector<std::pair<std::string_view, std::int64_t>>{{"1357034400000", 1357034400000},
                                                              {"1357034400000.0", 1357034400000},
                                                              {"1.3570344e12", 1357034400000},
                                                              {"-1.5", -2},
                                                              {"\"2013-01-01T10:00:00Z\"", 1357034400000},
                                                              {"\"2013-01-01T10:00:00\"", 1357034400000},
                                                              {"\"2013-01-01 10:00\"", 1357034400000},
                                                              {"\"2013-01-01T05:00:00.25-05:00\"", 1357034400250},
                                                              {"\"2013-01-01T15:30:00.123456789+0530\"", 1357034400123},
                                                              {"\"2013-01-01T11:00:00+01\"", 1357034400000},
                                                              {"\"2013-01-01\"", 1356998400000},
                                                              {"\"1970-01-01\"", 0},
                                                              {"\"1969-12-31T23:59:59.999Z\"", -1},
                                                              {"\"2000-02-29\"", 951782400000},
                                                              {"\"2016-12-31T23:59:60Z\"", 1483228800000},
                                                              {"\"0001-01-01\"", -62135596800000},
                                                              {"\"9999-12-31T23:59:59.999Z\"", 253402300799999}}) {
    batch.clear();
    ASSERT_TRUE(decode(with("ts", text))) << text << " " << detail;
    EXPECT_EQ(batch.time_ms[0], time) << text;
  }
}

TEST_F(JsonDecoderTest, RefusesTimesThatAreNone) {
  for (const std::string_view text :
       {"null", "", "true", "\"yesterday\"", "\"2013-02-29\"", "\"2013-13-01\"", "\"2013-01-01T24:00\"",
        "\"2013-01-01T10\"", "\"2013-01-01T10:00:00X\"", "\"2013-01-01T10:00:00+25:00\"", "\"13-01-01\"", "\"\"",
        "1357034400000000000", "1e300", "1e400", "\"0000-01-01\"", "\"2013-01-01T10:00:00.\"", "[]",
        "\"1357034400000\""}) {
    expect_refused(with("ts", text), SkipReason::kBadTime);
  }
}

TEST_F(JsonDecoderTest, IgnoresUnknownFieldsInAnyOrderAndShape) {
  const std::vector<std::string> records = {
      R"({"x":{"label":5,"y":[1,{"z":null}],"":""},"label":1,"ts":1,"image":[1,2,3]})",
      R"({"image":[1,2,3],"ts":1,"u":[[],{},[[]],{"a":{}}],"label":1})",
      R"( { "ts" : 1 , "image" : [ 1 , 2 , 3 ] , "a-name-longer-than-the-slots-of-the-table-can-hold" : 1e5 , "label" : 1 } )",
      R"({"w":"a \"quoted\" text","ts":1,"label":1,"image":[1,2,3],"w2":-0.5e-3})",
      "{\"ts\":1,\n\t\"label\":1,\r\n\"image\":[1,2,3]}"};
  for (int round = 0; round < 3; ++round) {
    for (const auto& record : records) {
      batch.clear();
      ASSERT_TRUE(decode(record)) << record << " " << detail;
      EXPECT_EQ(batch.labels[0], 1.0F) << record;
      EXPECT_EQ(batch.vectors(0)[2], 3.0F) << record;
    }
  }
}

TEST_F(JsonDecoderTest, FindsFieldsWhenEveryRecordHasOtherNames) {
  for (int i = 0; i < 2000; ++i) {
    batch.clear();
    const std::string name = "field" + std::to_string(i);
    ASSERT_TRUE(decode("{\"" + name + "\":1,\"label\":1,\"" + name + "b\":2,\"ts\":5,\"image\":[1,2,3]}")) << detail;
    ASSERT_EQ(batch.time_ms[0], 5);
  }
}

TEST_F(JsonDecoderTest, KeysThatBeginAlikeAreToldApart) {
  ASSERT_TRUE(decode(R"({"label":1,"ts":5,"tsx":9,"t":3,"distance2":9,"distance":4,"image":[1,2,3]})")) << detail;
  ASSERT_TRUE(decode(R"({"label":1,"tsx":9,"ts":5,"distance":4,"distance2":9,"t":3,"image":[1,2,3]})")) << detail;
  for (std::size_t row = 0; row < 2; ++row) {
    EXPECT_EQ(batch.time_ms[row], 5);
    EXPECT_EQ(batch.numbers(0)[row], 4.0F);
  }
}

TEST(JsonDecoder, OneFieldMayHaveSeveralUses) {
  EventSpec spec;
  spec.features = {{.name = "who", .kind = FeatureKind::kCategory}, {.name = "ts", .kind = FeatureKind::kNumber}};
  spec.label = {.field = "price", .classes = 0};
  spec.key_field = "who";
  spec.time_field = "ts";
  const Schema schema(spec);
  EventBatch batch(schema, 4);
  JsonDecoder decoder(schema, {.weight_field = "w"});
  ASSERT_TRUE(decoder.decode(R"({"who":"bob","ts":1000,"price":-2.5,"w":0.25})", batch));
  batch.commit_row();
  EXPECT_EQ(batch.categories(0)[0], hash_category(field_seed("who"), "bob"));
  EXPECT_EQ(batch.key_hashes[0], hash_text("bob"));
  EXPECT_EQ(batch.numbers(0)[0], 1000.0F);
  EXPECT_EQ(batch.time_ms[0], 1000);
  EXPECT_EQ(batch.labels[0], -2.5F);
  EXPECT_EQ(batch.weights[0], 0.25F);
  EXPECT_EQ(decoder.decode(R"({"ts":1,"price":1,"w":-1})", batch).reason, SkipReason::kBadFeature);
  EXPECT_EQ(decoder.decode(R"({"ts":1,"price":1e39})", batch).reason, SkipReason::kBadLabel);
  EXPECT_EQ(decoder.decode(R"({"ts":1,"price":true})", batch).reason, SkipReason::kBadLabel);
}

TEST(JsonDecoder, AnEventWithoutLabelIsFineWhereNoneIsRequired) {
  EventSpec spec;
  spec.features = {{.name = "a", .kind = FeatureKind::kNumber}};
  spec.label = {.field = "label", .classes = 2};
  const Schema schema(spec);
  EventBatch batch(schema, 4);
  JsonDecoder decoder(schema, {.require_label = false});
  ASSERT_TRUE(decoder.decode(R"({"a":1})", batch));
  EXPECT_TRUE(std::isnan(batch.labels[0]));
}

}  // namespace
}  // namespace freshet
