#include "core/event_batch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace freshet {
namespace {

EventSpec spec_of_every_column() {
  EventSpec spec;
  spec.label.classes = 2;
  spec.features = {{.name = "a", .kind = FeatureKind::kNumber},
                   {.name = "b", .kind = FeatureKind::kCategory},
                   {.name = "c", .kind = FeatureKind::kBoolean},
                   {.name = "v", .kind = FeatureKind::kVector, .size = 2},
                   {.name = "w", .kind = FeatureKind::kVector, .size = 3},
                   {.name = "hour", .kind = FeatureKind::kTimePart}};
  return spec;
}

TEST(SchemaTest, DerivesColumnsOfRawFeatures) {
  const Schema schema(spec_of_every_column());
  EXPECT_EQ(schema.numbers(), 2U);
  EXPECT_EQ(schema.categories(), 1U);
  EXPECT_EQ(schema.vector_floats(), 5U);
  EXPECT_EQ(schema.columns().size(), 5U);
  ASSERT_NE(schema.find("w"), nullptr);
  EXPECT_EQ(schema.find("w")->index, 2U);
  EXPECT_TRUE(schema.find("c")->boolean);
  EXPECT_EQ(schema.find("hour"), nullptr);
}

TEST(SchemaTest, FingerprintFollowsTheSpec) {
  EventSpec other = spec_of_every_column();
  other.features[4].size = 4;
  EXPECT_EQ(Schema(spec_of_every_column()).fingerprint(), Schema(spec_of_every_column()).fingerprint());
  EXPECT_NE(Schema(spec_of_every_column()).fingerprint(), Schema(other).fingerprint());
}

TEST(EventBatchTest, BeginRowMakesEverythingMissingAgain) {
  EventBatch batch(Schema(spec_of_every_column()), 2);
  std::size_t row = batch.begin_row();
  batch.numbers(1)[row] = 1.0F;
  batch.categories(0)[row] = 99;
  batch.vectors(row)[4] = 3.0F;
  batch.weights[row] = 5.0F;
  batch.labels[row] = 1.0F;
  row = batch.begin_row();  // the first was never committed
  EXPECT_EQ(row, 0U);
  EXPECT_TRUE(std::isnan(batch.numbers(1)[row]));
  EXPECT_EQ(batch.categories(0)[row], kMissingCategory);
  EXPECT_EQ(batch.vectors(row)[4], 0.0F);
  EXPECT_EQ(batch.weights[row], 1.0F);
  EXPECT_TRUE(std::isnan(batch.labels[row]));
}

TEST(EventBatchTest, FillsToItsCapacityAndClears) {
  EventBatch batch(Schema(spec_of_every_column()), 2);
  EXPECT_TRUE(batch.empty());
  for (int i = 0; i < 2; ++i) {
    batch.begin_row();
    batch.commit_row();
  }
  EXPECT_TRUE(batch.full());
  batch.skipped.push_back({});
  batch.clear();
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.capacity(), 2U);
}

TEST(EventBatchDeathTest, WritingPastCapacityAborts) {
  EventBatch batch(Schema(spec_of_every_column()), 1);
  batch.begin_row();
  batch.commit_row();
  EXPECT_DEATH(batch.begin_row(), "past its capacity");
}

TEST(EventBatchTest, SkipReasonsHaveNamesOfTheirOwn) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kSkipReasons; ++i) names.insert(skip_reason_name(static_cast<SkipReason>(i)));
  EXPECT_EQ(names.size(), kSkipReasons);
}

}  // namespace
}  // namespace freshet
