#include "core/json_writer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace freshet {
namespace {

std::string one(auto value) {
  JsonWriter json(0);
  json.value(value);
  return json.take();
}

TEST(JsonWriter, KeepsTheOrderAndIndents) {
  JsonWriter json;
  json.begin_object();
  json.field("z", 1);
  json.field("a", "text");
  json.key("list");
  json.begin_array();
  json.value(true);
  json.null();
  json.begin_object();
  json.end_object();
  json.end_array();
  json.end_object();
  EXPECT_EQ(json.take(), "{\n  \"z\": 1,\n  \"a\": \"text\",\n  \"list\": [\n    true,\n    null,\n    {}\n  ]\n}\n");
}

TEST(JsonWriter, OneLineIsSpacedAlikeWhoeverWroteIt) {
  for (const int indent : {0, 2}) {
    JsonWriter json(indent);
    json.begin_object();
    json.field("a, b: c", "x: \\\",  y");
    json.key("list");
    json.begin_array();
    json.value(1);
    json.begin_object();
    json.end_object();
    json.end_array();
    json.end_object();
    EXPECT_EQ(json_in_one_line(json.take()), R"({"a, b: c": "x: \\\",  y", "list": [1, {}]})");
  }
  EXPECT_EQ(json_in_one_line(R"({"a":1,"b":["\\",true]})"), R"({"a": 1, "b": ["\\", true]})");
}

TEST(JsonWriter, NumbersAreShortestAndReadBack) {
  EXPECT_EQ(one(0.1), "0.1");
  EXPECT_EQ(one(0.1F), "0.1");
  EXPECT_EQ(one(1e300), "1e+300");
  EXPECT_EQ(one(-0.0), "-0");
  EXPECT_EQ(one(5e-324), "5e-324");
  EXPECT_EQ(one(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(one(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(one(std::nan("")), "null");
  EXPECT_EQ(one(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(one(-std::numeric_limits<float>::infinity()), "null");
  const double number = 0.1 + 0.2;
  EXPECT_EQ(std::stod(one(number)), number);
}

TEST(JsonWriter, TextIsEscapedAndAlwaysValidUtf8) {
  EXPECT_EQ(one("a\"b\\c\n\t\x01\x7f"), "\"a\\\"b\\\\c\\n\\t\\u0001\\u007f\"");
  EXPECT_EQ(one("Größe €😀"), "\"Größe €😀\"");
  const std::string bad = "\"\xef\xbf\xbd\"";
  EXPECT_EQ(one("\xff"), bad);
  EXPECT_EQ(one("\xc3"), bad);                                                                 // cut short
  EXPECT_EQ(one("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");                                  // a long form of NUL
  EXPECT_EQ(one("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");                  // half a surrogate pair
  EXPECT_EQ(one("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");  // beyond Unicode
  EXPECT_EQ(one(std::string_view("a\0b", 3)), "\"a\\u0000b\"");
}

TEST(JsonWriterDeathTest, AbortsOnWhatIsNoDocument) {
  EXPECT_DEATH(
      {
        JsonWriter json;
        json.begin_object();
        json.value(1);
      },
      "without a key");
  EXPECT_DEATH(
      {
        JsonWriter json;
        json.begin_array();
        json.end_object();
      },
      "out of place");
  EXPECT_DEATH(
      {
        JsonWriter json;
        json.begin_array();
        (void)json.take();
      },
      "not complete");
  EXPECT_DEATH(
      {
        JsonWriter json;
        json.value(1);
        json.value(2);
      },
      "second document");
}

}  // namespace
}  // namespace freshet
