#include "core/event_record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

namespace freshet {
namespace {

class EventRecordTest : public ::testing::Test {
 protected:
  static EventSpec spec() {
    EventSpec spec;
    spec.label.classes = 2;
    spec.features = {{.name = "n", .kind = FeatureKind::kNumber},
                     {.name = "v", .kind = FeatureKind::kVector, .size = 3},
                     {.name = "c", .kind = FeatureKind::kCategory},
                     {.name = "d", .kind = FeatureKind::kCategory}};
    return spec;
  }

  EventRecordTest()
      : schema_(spec()),
        layout_{{"n", "n:missing", "v[0]", "v[1]", "v[2]"}, {"c", "d"}},
        codec_(schema_, layout_),
        events_(schema_, 4),
        encoded_(layout_.dense(), layout_.categorical(), 4) {
    events_.begin_row();
    events_.commit_row();
    const std::size_t row = events_.begin_row();  // row 1, so that a mistaken row shows
    events_.positions[row] = {3, 123'456'789'012};
    events_.labels[row] = 1.0F;
    events_.weights[row] = 2.5F;
    events_.time_ms[row] = -77;
    events_.key_hashes[row] = 0xFEEDFACECAFEBEEF;
    events_.value_hashes[row] = 42;
    events_.numbers(0)[row] = kMissingNumber;
    events_.categories(0)[row] = 11;
    events_.categories(1)[row] = kMissingCategory;
    for (std::size_t i = 0; i < 3; ++i) events_.vectors(row)[i] = static_cast<float>(i) + 0.5F;
    events_.commit_row();
    encoded_.resize(3);
    for (std::size_t i = 0; i < 5; ++i) encoded_.dense_row(2)[i] = static_cast<float>(i) - 1.5F;
    std::copy_n(events_.vectors(row).data(), 3, encoded_.dense_row(2).data() + 2);
    encoded_.hash_row(2)[0] = 7;
    encoded_.hash_row(2)[1] = 8;
    encoded_.losses[2] = 0.75F;
    record_.resize(codec_.record_size());
    codec_.encode(events_, 1, encoded_, 2, 5, record_.data());
  }

  Schema schema_;
  EncodedLayout layout_;
  EventRecordCodec codec_;
  EventBatch events_;
  EncodedBatch encoded_;
  std::string record_;
};

TEST_F(EventRecordTest, TheEncodedSideComesBackExactly) {
  EncodedBatch out(layout_.dense(), layout_.categorical(), 2);
  out.resize(2);
  ASSERT_TRUE(codec_.decode_encoded(record_, out, 1).is_ok());
  EXPECT_TRUE(std::equal(out.dense_row(1).begin(), out.dense_row(1).end(), encoded_.dense_row(2).begin()));
  EXPECT_TRUE(std::equal(out.hash_row(1).begin(), out.hash_row(1).end(), encoded_.hash_row(2).begin()));
  EXPECT_EQ(out.labels[1], 1.0F);
  EXPECT_EQ(out.weights[1], 2.5F);
  EXPECT_EQ(out.losses[1], 0.75F);
  EXPECT_EQ(out.time_ms[1], -77);
  EXPECT_EQ(out.key_hashes[1], 0xFEEDFACECAFEBEEF);
  EXPECT_EQ(out.arrival_ns[1], 0);
}

TEST_F(EventRecordTest, TheRawSideComesBackExactly) {
  EventBatch out(schema_, 1);
  ASSERT_TRUE(codec_.decode_raw(record_, out).is_ok());
  ASSERT_EQ(out.size(), 1U);
  EXPECT_EQ(out.positions[0], (Position{3, 123'456'789'012}));
  EXPECT_EQ(out.labels[0], 1.0F);
  EXPECT_EQ(out.weights[0], 2.5F);
  EXPECT_EQ(out.time_ms[0], -77);
  EXPECT_EQ(out.key_hashes[0], 0xFEEDFACECAFEBEEF);
  EXPECT_EQ(out.value_hashes[0], 42U);
  EXPECT_TRUE(std::isnan(out.numbers(0)[0]));
  EXPECT_EQ(out.categories(0)[0], 11U);
  EXPECT_EQ(out.categories(1)[0], kMissingCategory);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(out.vectors(0)[i], static_cast<float>(i) + 0.5F);
}

TEST_F(EventRecordTest, EveryOtherSizeIsDataLoss) {
  EncodedBatch out(layout_.dense(), layout_.categorical(), 1);
  EventBatch raw(schema_, 1);
  for (std::size_t size = 0; size < record_.size(); ++size) {
    const auto cut = std::string_view(record_).substr(0, size);
    EXPECT_EQ(codec_.decode_encoded(cut, out, 0).code(), Code::kDataLoss) << size;
    EXPECT_EQ(codec_.decode_raw(cut, raw).code(), Code::kDataLoss) << size;
  }
  EXPECT_EQ(codec_.decode_raw(record_ + "x", raw).code(), Code::kDataLoss);
  EXPECT_EQ(raw.size(), 0U);
}

TEST_F(EventRecordTest, AnotherFormatIsDataLoss) {
  record_[0] = 9;
  EventBatch raw(schema_, 1);
  EXPECT_EQ(codec_.decode_raw(record_, raw).code(), Code::kDataLoss);
}

}  // namespace
}  // namespace freshet
