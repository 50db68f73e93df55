#include "core/feature_spec.h"

#include <gtest/gtest.h>

#include <limits>

namespace freshet {
namespace {

EventSpec full_spec() {
  EventSpec spec;
  spec.label = {"late", 3, {"early", "on time", "late"}};
  spec.time_field = "ts";
  spec.key_field = "id";
  spec.features = {
      {.name = "distance", .kind = FeatureKind::kNumber},
      {.name = "night", .kind = FeatureKind::kBoolean},
      {.name = "image", .kind = FeatureKind::kVector, .size = 784},
      {.name = "carrier", .kind = FeatureKind::kCategory},
      {.name = "tail", .kind = FeatureKind::kCategory, .input = false},
      {.name = "hour", .kind = FeatureKind::kTimePart, .part = TimePart::kMinuteOfDay},
      {.name = "both", .kind = FeatureKind::kCross, .of = {"carrier", "hour"}},
      {.name = "recent", .kind = FeatureKind::kTargetMean, .of = {"tail"}, .half_life_events = 3.5},
      {.name = "all", .kind = FeatureKind::kTargetMean, .half_life_ms = 86'400'000, .prior_weight = 0, .keys_max = 9},
  };
  return spec;
}

// The message of a spec with one change; empty when it is accepted.
template <typename Change>
std::string refusal(Change change) {
  EventSpec spec = full_spec();
  change(spec);
  const Status status = validate_features(spec);
  return status.is_ok() ? "" : status.message();
}

TEST(FeatureSpecTest, AFullSpecIsValid) {
  EXPECT_EQ(refusal([](EventSpec&) {}), "");
}

TEST(FeatureSpecTest, EveryFaultIsNamed) {
  const auto has = [](const std::string& message, const char* part) {
    return ::testing::AssertionResult(message.find(part) != std::string::npos) << "'" << message << "'";
  };
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features.clear(); }), "no features"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[0].name = "carrier"; }), "'carrier' is declared twice"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[0].name = ""; }), "empty name"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[0].name = "late"; }), "is the label"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[2].size = 0; }), "a vector needs a size"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[6].of = {"carrier"}; }), "two or more keys"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[6].of[0] = "nobody"; }), "which is not a feature"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[7].of[0] = "distance"; }), "which is a number"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[7].half_life_ms = 1; }), "either half_life_events or"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[7].half_life_events = 0; }), "either half_life_events"));
  EXPECT_TRUE(
      has(refusal([](EventSpec& s) { s.features[7].half_life_events = std::numeric_limits<double>::infinity(); }),
          "either half_life_events"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[8].prior_weight = -1; }), "prior_weight"));
  EXPECT_TRUE(has(refusal([](EventSpec& s) { s.features[8].keys_max = 0; }), "keys_max"));
}

TEST(FeatureSpecTest, AllFaultsAreReportedAtOnce) {
  const std::string message = refusal([](EventSpec& s) {
    s.features[2].size = 0;
    s.features[8].keys_max = 0;
  });
  EXPECT_NE(message.find("'image'"), std::string::npos);
  EXPECT_NE(message.find("'all'"), std::string::npos);
}

TEST(FeatureSpecTest, SerialisationIsExact) {
  const std::string bytes = serialize_event_spec(full_spec());
  const EventSpec back = parse_event_spec(bytes).value();
  EXPECT_EQ(serialize_event_spec(back), bytes);
  EXPECT_EQ(back.features.size(), 9U);
  EXPECT_EQ(back.label.class_names[1], "on time");
  EXPECT_FALSE(back.features[4].input);
  EXPECT_EQ(back.features[5].part, TimePart::kMinuteOfDay);
  EXPECT_EQ(back.features[6].of, (std::vector<std::string>{"carrier", "hour"}));
  EXPECT_EQ(back.features[7].half_life_events, 3.5);
  EXPECT_EQ(back.features[8].half_life_ms, 86'400'000);
  EXPECT_EQ(back.features[8].keys_max, 9U);
}

TEST(FeatureSpecTest, EveryTruncationIsDataLoss) {
  const std::string bytes = serialize_event_spec(full_spec());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(parse_event_spec(bytes.substr(0, size)).code(), Code::kDataLoss) << size;
  }
  EXPECT_EQ(parse_event_spec(bytes + "x").code(), Code::kDataLoss);
}

TEST(FeatureSpecTest, DamagedBytesNeverCrash) {
  const std::string bytes = serialize_event_spec(full_spec());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0xFF);
    const auto parsed = parse_event_spec(damaged);
    if (parsed.is_ok()) {
      EXPECT_NE(serialize_event_spec(*parsed), "");
    }
  }
}

}  // namespace
}  // namespace freshet
