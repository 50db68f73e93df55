#include "learners/evaluation/slices.h"

#include <gtest/gtest.h>

#include <limits>

#include "core/hash.h"

namespace freshet {
namespace {

constexpr std::int64_t kDay = 86'400'000;
constexpr std::int64_t kNewYear2013 = 15'706 * kDay;

class SlicesTest : public ::testing::Test {
 protected:
  static EventSpec spec() {
    EventSpec spec;
    spec.label = {"label", 3, {"early", "late", "never"}};
    spec.features = {{.name = "carrier", .kind = FeatureKind::kCategory},
                     {.name = "seats", .kind = FeatureKind::kNumber},
                     {.name = "night", .kind = FeatureKind::kBoolean},
                     {.name = "v", .kind = FeatureKind::kVector, .size = 2}};
    return spec;
  }
  // A batch of one event at a time.
  std::uint32_t slice_at(Slices& slices, std::int64_t time_ms) {
    events_.clear();
    events_.time_ms[events_.begin_row()] = time_ms;
    return slices.slice_of(events_, 0);
  }

  Schema schema_{spec()};
  EventBatch events_{schema_, 1};
};

TEST_F(SlicesTest, MonthsAreNumberedAsSeenAndNamedByDate) {
  Slices slices = Slices::create({.kind = SliceKind::kMonth}, schema_).value();
  EXPECT_EQ(slices.size(), 0U);
  EXPECT_EQ(slice_at(slices, kNewYear2013 + 31 * kDay), 0U);  // February
  EXPECT_EQ(slice_at(slices, kNewYear2013 + 31 * kDay - 1), 1U);
  EXPECT_EQ(slice_at(slices, kNewYear2013 + 58 * kDay), 0U);
  EXPECT_EQ(slice_at(slices, -1), 2U);
  EXPECT_EQ(slices.name(0), "2013-02");
  EXPECT_EQ(slices.name(1), "2013-01");
  EXPECT_EQ(slices.name(2), "1969-12");
  EXPECT_EQ(slices.name(kOtherSlice), "other");
}

TEST_F(SlicesTest, WindowsAreCountedFromTheFirstEvent) {
  Slices slices = Slices::create({.kind = SliceKind::kTimeWindow, .window_ms = 30 * kDay}, schema_).value();
  EXPECT_EQ(slice_at(slices, kNewYear2013), 0U);
  EXPECT_EQ(slice_at(slices, kNewYear2013 + 30 * kDay - 1), 0U);
  EXPECT_EQ(slice_at(slices, kNewYear2013 + 30 * kDay), 1U);
  EXPECT_EQ(slice_at(slices, kNewYear2013 - 1), 2U);
  EXPECT_EQ(slices.name(0), "2013-01-01+30d");
  EXPECT_EQ(slices.name(1), "2013-01-31+30d");
  EXPECT_EQ(slices.name(2), "2012-12-02+30d");
}

TEST_F(SlicesTest, ShortWindowsAreNamedWithTheHour) {
  Slices slices = Slices::create({.kind = SliceKind::kTimeWindow, .window_ms = 2 * 3'600'000}, schema_).value();
  EXPECT_EQ(slice_at(slices, kNewYear2013), 0U);
  EXPECT_EQ(slice_at(slices, kNewYear2013 + 3 * 3'600'000), 1U);
  EXPECT_EQ(slices.name(1), "2013-01-01T02:00+2h");
}

TEST_F(SlicesTest, TimesBeyondTheBoundAreOther) {
  Slices slices = Slices::create({.kind = SliceKind::kTimeWindow, .window_ms = 1}, schema_).value();
  for (std::int64_t i = 0; i < 1'000; ++i) EXPECT_EQ(slice_at(slices, i), i < 63 ? i : 63) << i;
  EXPECT_EQ(slices.size(), kSlicesMax - 1);
  EXPECT_LT(slice_at(slices, std::numeric_limits<std::int64_t>::min()), kSlicesMax);
  EXPECT_LT(slice_at(slices, std::numeric_limits<std::int64_t>::max()), kSlicesMax);
}

TEST_F(SlicesTest, ClassesHaveTheirNames) {
  Slices slices = Slices::create({.kind = SliceKind::kClass}, schema_).value();
  events_.labels[events_.begin_row()] = 2;
  EXPECT_EQ(slices.slice_of(events_, 0), 2U);
  EXPECT_EQ(slices.name(2), "class=never");
  EXPECT_EQ(slices.size(), 3U);
  events_.labels[0] = kMissingNumber;
  EXPECT_EQ(slices.slice_of(events_, 0), kOtherSlice);
}

TEST_F(SlicesTest, GivenValuesOfACategoryANumberAndABoolean) {
  Slices carriers =
      Slices::create({.kind = SliceKind::kFieldValue, .field = "carrier", .values = {"AA", "UA"}}, schema_).value();
  Slices seats =
      Slices::create({.kind = SliceKind::kFieldValue, .field = "seats", .values = {"55", "1.5e2"}}, schema_).value();
  Slices nights =
      Slices::create({.kind = SliceKind::kFieldValue, .field = "night", .values = {"true"}}, schema_).value();
  events_.begin_row();
  EXPECT_EQ(carriers.slice_of(events_, 0), kOtherSlice);
  EXPECT_EQ(seats.slice_of(events_, 0), kOtherSlice);
  events_.categories(0)[0] = hash_category(field_seed("carrier"), "UA");
  events_.numbers(0)[0] = 150;
  events_.numbers(1)[0] = 1;
  EXPECT_EQ(carriers.slice_of(events_, 0), 1U);
  EXPECT_EQ(carriers.name(1), "carrier=UA");
  EXPECT_EQ(seats.slice_of(events_, 0), 1U);
  EXPECT_EQ(seats.name(1), "seats=1.5e2");
  EXPECT_EQ(nights.slice_of(events_, 0), 0U);
}

TEST_F(SlicesTest, WhatMakesNoSlicesIsRefused) {
  const auto code = [&](const SliceSpec& spec) { return Slices::create(spec, schema_).code(); };
  EXPECT_EQ(code({.kind = SliceKind::kTimeWindow}), Code::kInvalidArgument);
  EXPECT_EQ(code({.kind = SliceKind::kFieldValue, .field = "nobody", .values = {"1"}}), Code::kInvalidArgument);
  EXPECT_EQ(code({.kind = SliceKind::kFieldValue, .field = "v", .values = {"1"}}), Code::kInvalidArgument);
  EXPECT_EQ(code({.kind = SliceKind::kFieldValue, .field = "carrier"}), Code::kInvalidArgument);
  EXPECT_EQ(code({.kind = SliceKind::kFieldValue, .field = "carrier", .values = std::vector<std::string>(64, "x")}),
            Code::kInvalidArgument);
  EXPECT_EQ(code({.kind = SliceKind::kFieldValue, .field = "seats", .values = {"many"}}), Code::kInvalidArgument);
  EventSpec regression = spec();
  regression.label.classes = 0;
  EXPECT_EQ(Slices::create({.kind = SliceKind::kClass}, Schema(regression)).code(), Code::kInvalidArgument);
}

TEST_F(SlicesTest, LoadedSlicesKeepTheirNumbers) {
  const SliceSpec window{.kind = SliceKind::kTimeWindow, .window_ms = kDay};
  Slices original = Slices::create(window, schema_).value();
  for (const int day : {3, 1, 2}) slice_at(original, kNewYear2013 + day * kDay);
  ByteWriter out;
  original.save(out);
  Slices restored = Slices::create(window, schema_).value();
  ByteReader in(out.buffer());
  ASSERT_TRUE(restored.load(in).is_ok());
  for (const int day : {2, 9, 1, 3, -4}) {
    const std::int64_t time = kNewYear2013 + day * kDay + 5;
    EXPECT_EQ(slice_at(original, time), slice_at(restored, time));
  }
  EXPECT_EQ(original.name(3), restored.name(3));
  Slices months = Slices::create({.kind = SliceKind::kMonth}, schema_).value();
  ByteReader again(out.buffer());
  EXPECT_EQ(months.load(again).code(), Code::kDataLoss);
  for (std::size_t size = 0; size < out.buffer().size(); ++size) {
    Slices cut = Slices::create(window, schema_).value();
    ByteReader short_in(std::string_view(out.buffer()).substr(0, size));
    EXPECT_EQ(cut.load(short_in).code(), Code::kDataLoss) << size;
  }
}

}  // namespace
}  // namespace freshet
