#include "stream/infer_features.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace freshet {
namespace {

Result<InferredFeatures> infer(const std::vector<std::string>& samples) {
  const std::vector<std::string_view> views(samples.begin(), samples.end());
  EventSpec spec;
  spec.label = {.field = "label", .classes = 2};
  spec.time_field = "ts";
  spec.key_field = "who";
  return infer_features(views, spec);
}

std::string describe(const std::vector<FeatureSpec>& features) {
  std::string text;
  for (const auto& feature : features) {
    text += feature.name + ":" + std::string(feature_kind_name(feature.kind)) +
            (feature.size != 0 ? std::to_string(feature.size) : "") + " ";
  }
  return text;
}

TEST(InferFeatures, GivesEachFieldTheKindThatFitsEveryValue) {
  std::vector<std::string> samples;
  for (int i = 0; i < 50; ++i) {
    const std::string n = std::to_string(i);
    samples.push_back(
        "{\"id\":" + std::to_string(i % 2 == 0 ? i : 99 - i) + ",\"uuid\":\"u" + n + "\",\"ts\":" + n + ",\"who\":\"w" +
        n + "\",\"price\":" + std::to_string(i % 5) + ".5,\"hour\":" + std::to_string(i % 24) + ",\"carrier\":\"" +
        (i % 3 == 0 ? "UA" : "AA") + "\",\"vip\":" + (i % 2 == 0 ? "true" : "null") + ",\"image\":[1,2," + n +
        "],\"ragged\":" + (i % 2 == 0 ? "[1]" : "[1,2]") +
        ",\"nothing\":null,\"mixed\":" + (i % 2 == 0 ? "1" : "\"1\"") +
        ",\"nested\":{\"a\":[1,{}]},\"names\":[\"a\"],\"label\":1" + (i > 25 ? ",\"late\":\"l\"" : "") + "}");
  }
  const auto inferred = infer(samples);
  ASSERT_TRUE(inferred.is_ok()) << inferred.status().to_string();
  EXPECT_EQ(describe((*inferred).features),
            "price:number hour:number carrier:category vip:boolean image:vector3 late:category ");
  std::string left_out;
  for (const auto& text : (*inferred).left_out) left_out += text.substr(0, text.find(':')) + " ";
  EXPECT_EQ(left_out, "id uuid ragged nothing mixed nested names ");
}

TEST(InferFeatures, PassesOverBadSamplesAndSaysWhenNothingIsLeft) {
  const auto inferred = infer({"{bad", "[1]", "", "{\"x\":1,\"label\":0}", "{\"y\":2"});
  ASSERT_TRUE(inferred.is_ok());
  EXPECT_EQ(describe((*inferred).features), "x:number ");
  EXPECT_EQ(infer({"{bad"}).code(), Code::kFailedPrecondition);
  EXPECT_EQ(infer({}).code(), Code::kFailedPrecondition);
  EXPECT_EQ(infer({"{\"label\":1}"}).code(), Code::kFailedPrecondition);
}

TEST(InferFeatures, IsDeterministic) {
  const std::vector<std::string> samples = {"{\"b\":1,\"a\":\"x\",\"label\":1}", "{\"c\":true,\"a\":\"y\",\"b\":2}"};
  const auto first = infer(samples);
  const auto second = infer(samples);
  ASSERT_TRUE(first.is_ok() && second.is_ok());
  EXPECT_EQ(describe((*first).features), "b:number a:category c:boolean ");
  EXPECT_EQ(describe((*first).features), describe((*second).features));
}

}  // namespace
}  // namespace freshet
