#include "serving/json_object.h"

#include <gtest/gtest.h>

namespace freshet {
namespace {

TEST(JsonObject, GivesTextsUnquotedAndEverythingElseAsItStands) {
  const auto object = parse_json_object(R"({"name":"a \"b\"","count":3,"list":[1, 2],"inner":{"x":null}})");
  ASSERT_TRUE(object.is_ok());
  EXPECT_EQ(member(*object, "name"), "a \"b\"");
  EXPECT_EQ(member(*object, "count"), "3");
  EXPECT_EQ(member(*object, "list"), "[1,2]");
  EXPECT_EQ(member(*object, "inner"), R"({"x":null})");
  EXPECT_EQ(member(*object, "missing"), "");
}

TEST(JsonObject, ReadsAnArrayOfObjects) {
  const auto objects = parse_json_objects(R"([{"version":7},{"version":8,"verdict":"passed"}])");
  ASSERT_TRUE(objects.is_ok());
  ASSERT_EQ(objects->size(), 2U);
  EXPECT_EQ(member((*objects)[1], "verdict"), "passed");
  for (const char* wrong : {"{}", "[1]", "[{]", ""}) EXPECT_FALSE(parse_json_objects(wrong).is_ok()) << wrong;
}

}  // namespace
}  // namespace freshet
