#include "learners/features/feature_encoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "core/hash.h"
#include "core/rng.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 336'776;

EventSpec spec_of_every_kind(std::uint32_t classes = 2) {
  EventSpec spec;
  spec.label.classes = classes;
  spec.features = {
      {.name = "n", .kind = FeatureKind::kNumber},
      {.name = "v", .kind = FeatureKind::kVector, .size = 2},
      {.name = "c", .kind = FeatureKind::kCategory},
      {.name = "k", .kind = FeatureKind::kCategory, .input = false},
      {.name = "b", .kind = FeatureKind::kBoolean},
      {.name = "m", .kind = FeatureKind::kNumber},
      {.name = "hour", .kind = FeatureKind::kTimePart, .part = TimePart::kHourOfDay},
      {.name = "cross", .kind = FeatureKind::kCross, .of = {"c", "hour"}},
      {.name = "all", .kind = FeatureKind::kTargetMean, .half_life_events = 50},
      {.name = "by_k", .kind = FeatureKind::kTargetMean, .of = {"k"}, .half_life_events = 3, .keys_max = 64},
      {.name = "by_ck", .kind = FeatureKind::kTargetMean, .of = {"c", "k"}, .half_life_ms = 5e6, .prior_weight = 2},
      {.name = "cross2", .kind = FeatureKind::kCross, .of = {"c", "k"}},
  };
  return spec;
}

std::unique_ptr<FeatureEncoder> encoder_of(const EventSpec& spec) { return FeatureEncoder::create(spec).value(); }

// Random events, with missing values; label: a class, or a number for classes = 0.
EventBatch random_events(const EventSpec& spec, std::size_t count, std::uint64_t seed = kSeed) {
  EventBatch events(Schema(spec), count);
  Rng rng(seed);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t row = events.begin_row();
    for (std::uint32_t c = 0; c < events.number_columns(); ++c) {
      if (rng.below(10) != 0) events.numbers(c)[row] = static_cast<float>(rng.uniform() * 100);
    }
    events.numbers(1)[row] = rng.below(10) != 0 ? static_cast<float>(rng.below(2)) : kMissingNumber;  // the boolean
    for (std::uint32_t c = 0; c < events.category_columns(); ++c) {
      if (rng.below(10) != 0) events.categories(c)[row] = hash_combine(c, rng.below(c == 0 ? 5 : 300));
    }
    for (float& x : events.vectors(row)) x = static_cast<float>(rng.uniform());
    const std::uint32_t classes = spec.label.classes;
    events.labels[row] = classes == 0 ? static_cast<float>(rng.uniform() * 30) : static_cast<float>(rng.below(classes));
    events.weights[row] = rng.below(20) == 0 ? 3.0F : 1.0F;
    events.time_ms[row] = static_cast<std::int64_t>(i) * 60'000 - static_cast<std::int64_t>(rng.below(200'000));
    events.key_hashes[row] = rng.next();
    events.arrival_ns[row] = static_cast<std::int64_t>(i);
    events.commit_row();
  }
  return events;
}

EncodedBatch batch_for(const FeatureEncoder& encoder, std::size_t rows) {
  return {encoder.layout().dense(), encoder.layout().categorical(), rows};
}

std::string saved(const FeatureEncoder& encoder) {
  ByteWriter out;
  encoder.save(out);
  return out.take();
}

::testing::AssertionResult same_row(const EncodedBatch& a, std::size_t a_row, const EncodedBatch& b,
                                    std::size_t b_row) {
  const auto dense_a = a.dense_row(a_row);
  const auto dense_b = b.dense_row(b_row);
  for (std::size_t i = 0; i < dense_a.size(); ++i) {
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
    if (std::memcmp(&dense_a[i], &dense_b[i], sizeof(float)) != 0) {
      return ::testing::AssertionFailure() << "dense " << i << ": " << dense_a[i] << " and " << dense_b[i];
    }
  }
  if (!std::equal(a.hash_row(a_row).begin(), a.hash_row(a_row).end(), b.hash_row(b_row).begin())) {
    return ::testing::AssertionFailure() << "hashes differ";
  }
  return ::testing::AssertionSuccess();
}

std::size_t index_of(const std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  EXPECT_NE(found, names.end()) << name;
  return static_cast<std::size_t>(found - names.begin());
}

TEST(FeatureEncoderTest, LayoutFollowsTheFeaturesWithVectorsLast) {
  const auto encoder = encoder_of(spec_of_every_kind());
  EXPECT_EQ(encoder->layout().dense_names,
            (std::vector<std::string>{"n", "n:missing", "b", "b:missing", "m", "m:missing", "all", "by_k", "by_ck",
                                      "v[0]", "v[1]"}));
  EXPECT_EQ(encoder->layout().categorical_names, (std::vector<std::string>{"c", "hour", "cross", "cross2"}));
  EXPECT_EQ(encoder->task(), Task::kBinary);
}

TEST(FeatureEncoderTest, FillsValuesIndicatorsHashesAndAttributes) {
  const EventSpec spec = spec_of_every_kind();
  const auto encoder = encoder_of(spec);
  EventBatch events(Schema(spec), 3);
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t row = events.begin_row();
    events.labels[row] = 1;
    events.time_ms[row] = 13 * 3'600'000 + 59;  // 13 o'clock
    events.key_hashes[row] = 10 + i;
    events.arrival_ns[row] = 20;
    events.weights[row] = 2;
    events.categories(0)[row] = i == 2 ? kMissingCategory : 0xABCDEF0123456789;
    events.vectors(row)[1] = 0.25F;
    if (i == 1) events.numbers(0)[row] = std::numeric_limits<float>::infinity();
    if (i == 0) events.numbers(1)[row] = 1;
    events.commit_row();
  }
  EncodedBatch out = batch_for(*encoder, 8);
  encoder->encode_and_learn(events, 0, 3, {}, out, 4);
  ASSERT_EQ(out.size(), 7U);
  const auto& names = encoder->layout().dense_names;
  EXPECT_EQ(out.dense_row(4)[index_of(names, "n:missing")], 1.0F);
  EXPECT_EQ(out.dense_row(5)[index_of(names, "n")], 0.0F);  // what is not finite is missing
  EXPECT_EQ(out.dense_row(5)[index_of(names, "n:missing")], 1.0F);
  EXPECT_EQ(out.dense_row(4)[index_of(names, "b")], 1.0F);
  EXPECT_EQ(out.dense_row(4)[index_of(names, "b:missing")], 0.0F);
  EXPECT_EQ(out.dense_row(5)[index_of(names, "b")], 0.5F);
  EXPECT_EQ(out.dense_row(4)[10], 0.25F);
  EXPECT_EQ(out.hash_row(4)[0], 0xABCDEF01U);
  EXPECT_NE(out.hash_row(6)[0], out.hash_row(4)[0]);
  EXPECT_NE(out.hash_row(6)[0], 0U);  // missing has a hash of its own
  const std::uint64_t hour = hash_category(field_seed("hour"), std::int64_t{13});
  EXPECT_EQ(out.hash_row(4)[1], hour >> 32);
  EXPECT_EQ(out.hash_row(4)[2], hash_combine(0xABCDEF0123456789, hour) >> 32);
  EXPECT_EQ(out.labels[5], 1.0F);
  EXPECT_EQ(out.weights[5], 2.0F);
  EXPECT_EQ(out.time_ms[5], 13 * 3'600'000 + 59);
  EXPECT_EQ(out.key_hashes[5], 11U);
  EXPECT_EQ(out.arrival_ns[5], 20);
}

TEST(FeatureEncoderTest, ATargetMeanIsTheLogOddsOfTheShrunkMeanOfEarlierLabels) {
  EventSpec spec;
  spec.label.classes = 2;
  spec.features = {{.name = "k", .kind = FeatureKind::kCategory},
                   {.name = "mean", .kind = FeatureKind::kTargetMean, .of = {"k"}, .half_life_events = 1}};
  const auto encoder = encoder_of(spec);
  EventBatch events(Schema(spec), 40);
  for (int i = 0; i < 40; ++i) {
    const std::size_t row = events.begin_row();
    events.categories(0)[row] = 5;
    events.labels[row] = i == 1 ? 0.0F : 1.0F;
    events.commit_row();
  }
  EncodedBatch out = batch_for(*encoder, 40);
  encoder->encode_and_learn(events, 0, 40, {}, out, 0);
  EXPECT_EQ(out.dense_row(0)[0], 0.0F);  // prior 0.5
  // The prior began as one event at 0.5; its half-life of 10,000 events hardly shows yet.
  EXPECT_NEAR(out.dense_row(1)[0], std::log((1 + 0.75) / 0.25), 1e-3);               // {1, 1} and prior 0.75
  EXPECT_NEAR(out.dense_row(2)[0], std::log((0.5 + 0.5) / (1 + 0.5)), 1e-3);         // {0.5, 1.5} and prior 0.5
  EXPECT_NEAR(out.dense_row(3)[0], std::log((1.25 + 0.625) / (0.5 + 0.375)), 1e-3);  // {1.25, 1.75}, prior 2.5 / 4
  for (std::size_t i = 0; i < 40; ++i) EXPECT_LE(std::abs(out.dense_row(i)[0]), kLogOddsMax);
}

TEST(FeatureEncoderTest, WithoutAPriorTheLogOddsAreClipped) {
  EventSpec spec;
  spec.label.classes = 2;
  spec.features = {{.name = "mean", .kind = FeatureKind::kTargetMean, .half_life_events = 10, .prior_weight = 0}};
  const auto encoder = encoder_of(spec);
  EventBatch events(Schema(spec), 2);
  for (int i = 0; i < 2; ++i) {
    events.labels[events.begin_row()] = 0;
    events.commit_row();
  }
  EncodedBatch out = batch_for(*encoder, 2);
  encoder->encode_and_learn(events, 0, 2, {}, out, 0);
  EXPECT_EQ(out.dense_row(0)[0], 0.0F);
  EXPECT_EQ(out.dense_row(1)[0], -kLogOddsMax);
}

TEST(FeatureEncoderTest, MulticlassGivesTheShareOfEachClass) {
  const EventSpec spec = spec_of_every_kind(3);
  const auto encoder = encoder_of(spec);
  EXPECT_EQ(encoder->task(), Task::kMulticlass);
  const EventBatch events = random_events(spec, 500);
  EncodedBatch out = batch_for(*encoder, 500);
  encoder->encode_and_learn(events, 0, 500, {}, out, 0);
  const std::size_t first = index_of(encoder->layout().dense_names, "by_k:0");
  for (std::size_t row = 0; row < 500; ++row) {
    EXPECT_NEAR(out.dense_row(row)[first] + out.dense_row(row)[first + 1] + out.dense_row(row)[first + 2], 1.0F, 1e-5);
  }
  const EventSpec sixteen = spec_of_every_kind(16);
  EXPECT_TRUE(FeatureEncoder::create(sixteen).is_ok());
}

TEST(FeatureEncoderTest, CreateSaysWhatItCannotDo) {
  const auto refused = FeatureEncoder::create(spec_of_every_kind(17)).status();
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_NE(refused.message().find("'by_ck': a target mean makes one input a class and takes at most 16"),
            std::string::npos);
  EXPECT_EQ(FeatureEncoder::create(spec_of_every_kind(1)).code(), Code::kInvalidArgument);
  EXPECT_EQ(FeatureEncoder::create(EventSpec{}).code(), Code::kInvalidArgument);
  EventSpec many;
  for (int i = 0; i < 257; ++i) many.features.push_back({.name = std::to_string(i), .kind = FeatureKind::kCategory});
  EXPECT_EQ(FeatureEncoder::create(many).code(), Code::kInvalidArgument);
}

TEST(FeatureEncoderTest, RegressionGivesTheMeanInDeviationsOfTheLabel) {
  const EventSpec spec = spec_of_every_kind(0);
  const auto encoder = encoder_of(spec);
  EXPECT_EQ(encoder->task(), Task::kRegression);
  const EventBatch events = random_events(spec, 4'000);
  EncodedBatch out = batch_for(*encoder, 4'000);
  encoder->encode_and_learn(events, 0, 4'000, {}, out, 0);
  const std::size_t all = index_of(encoder->layout().dense_names, "all");
  double sum = 0;
  for (std::size_t row = 1'000; row < 4'000; ++row) {
    ASSERT_TRUE(std::isfinite(out.dense_row(row)[all]));
    sum += out.dense_row(row)[all];
  }
  EXPECT_NEAR(sum / 3'000, 0, 0.05);  // a mean of 70 labels, in deviations of one label: within 0.12 each
}

class FeatureEncoderTaskTest : public ::testing::TestWithParam<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Classes, FeatureEncoderTaskTest, ::testing::Values(0U, 2U, 5U));

TEST_P(FeatureEncoderTaskTest, AnEventIsEncodedByEarlierEventsAlone) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  const EventSpec spec = spec_of_every_kind(GetParam());
  constexpr std::size_t kEvents = 600;
  constexpr std::size_t kChanged = 400;
  EventBatch events = random_events(spec, kEvents);
  EventBatch changed = random_events(spec, kEvents);
  events.labels[kChanged] = 0;
  changed.labels[kChanged] = 1;
  const auto one = encoder_of(spec);
  const auto other = encoder_of(spec);
  EncodedBatch out_one = batch_for(*one, kEvents);
  EncodedBatch out_other = batch_for(*other, kEvents);
  one->encode_and_learn(events, 0, kEvents, {}, out_one, 0);
  other->encode_and_learn(changed, 0, kEvents, {}, out_other, 0);
  for (std::size_t row = 0; row <= kChanged; ++row) ASSERT_TRUE(same_row(out_one, row, out_other, row)) << row;
  // And the label does reach the events after it.
  EXPECT_FALSE(same_row(out_one, kChanged + 1, out_other, kChanged + 1));
}

TEST_P(FeatureEncoderTaskTest, HeldOutAndWeightlessEventsLeaveNoTrace) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  const EventSpec spec = spec_of_every_kind(GetParam());
  constexpr std::size_t kEvents = 800;
  EventBatch all = random_events(spec, kEvents);
  std::vector<std::uint8_t> held_out(kEvents);
  Rng rng(kSeed);
  EventBatch rest(Schema(spec), kEvents);
  for (std::size_t i = 0; i < kEvents; ++i) {
    const std::uint64_t draw = rng.below(10);
    held_out[i] = draw == 0 ? 1 : 0;
    if (draw == 1) all.weights[i] = 0;
    if (draw <= 1) continue;
    const std::size_t row = rest.begin_row();
    for (std::uint32_t c = 0; c < all.number_columns(); ++c) rest.numbers(c)[row] = all.numbers(c)[i];
    for (std::uint32_t c = 0; c < all.category_columns(); ++c) rest.categories(c)[row] = all.categories(c)[i];
    rest.labels[row] = all.labels[i];
    rest.weights[row] = all.weights[i];
    rest.time_ms[row] = all.time_ms[i];
    rest.commit_row();
  }
  const auto with = encoder_of(spec);
  const auto without = encoder_of(spec);
  EncodedBatch out_with = batch_for(*with, kEvents);
  EncodedBatch out_without = batch_for(*without, kEvents);
  // Two calls, so that marks are seen to be counted from `begin`.
  with->encode_and_learn(all, 0, 300, std::span(held_out).first(300), out_with, 0);
  with->encode_and_learn(all, 300, kEvents, std::span(held_out).subspan(300), out_with, 300);
  without->encode_and_learn(rest, 0, rest.size(), {}, out_without, 0);
  EXPECT_LT(rest.size(), kEvents - 100);
  EXPECT_EQ(saved(*with), saved(*without));
}

TEST_P(FeatureEncoderTaskTest, ServingGivesExactlyWhatIngestWouldAtThatMoment) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  const EventSpec spec = spec_of_every_kind(GetParam());
  const EventBatch events = random_events(spec, 500);
  const auto encoder = encoder_of(spec);
  EncodedBatch served = batch_for(*encoder, 1);
  EncodedBatch ingested = batch_for(*encoder, 500);
  for (std::size_t row = 0; row < 500; ++row) {
    encoder->encode(events, row, row + 1, served);
    encoder->encode_and_learn(events, row, row + 1, {}, ingested, row);
    ASSERT_TRUE(same_row(served, 0, ingested, row)) << row;
  }
}

TEST_P(FeatureEncoderTaskTest, CuttingTheStreamElsewhereChangesNothing) {
  const EventSpec spec = spec_of_every_kind(GetParam());
  const EventBatch events = random_events(spec, 500);
  const auto whole = encoder_of(spec);
  const auto pieces = encoder_of(spec);
  EncodedBatch out_whole = batch_for(*whole, 500);
  EncodedBatch out_pieces = batch_for(*pieces, 500);
  whole->encode_and_learn(events, 0, 500, {}, out_whole, 0);
  for (std::size_t begin = 0; begin < 500;) {
    const std::size_t end = std::min<std::size_t>(500, begin + 1 + begin % 37);
    pieces->encode_and_learn(events, begin, end, {}, out_pieces, begin);
    begin = end;
  }
  for (std::size_t row = 0; row < 500; ++row) ASSERT_TRUE(same_row(out_whole, row, out_pieces, row)) << row;
  EXPECT_EQ(saved(*whole), saved(*pieces));
}

TEST_P(FeatureEncoderTaskTest, ALoadedEncoderGoesOnBitIdentically) {
  const EventSpec spec = spec_of_every_kind(GetParam());
  const EventBatch events = random_events(spec, 1'000);
  const auto original = encoder_of(spec);
  EncodedBatch out_original = batch_for(*original, 1'000);
  original->encode_and_learn(events, 0, 500, {}, out_original, 0);
  const std::string bytes = saved(*original);
  const auto restored = encoder_of(spec);
  ByteReader in(bytes);
  ASSERT_TRUE(restored->load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(restored->target_mean_keys(), original->target_mean_keys());
  EncodedBatch out_restored = batch_for(*restored, 1'000);
  original->encode_and_learn(events, 500, 1'000, {}, out_original, 500);
  restored->encode_and_learn(events, 500, 1'000, {}, out_restored, 500);
  for (std::size_t row = 500; row < 1'000; ++row) ASSERT_TRUE(same_row(out_original, row, out_restored, row)) << row;
  EXPECT_EQ(saved(*original), saved(*restored));
}

TEST(FeatureEncoderTest, LoadRefusesOtherFeaturesAndCutBytes) {
  const EventSpec spec = spec_of_every_kind();
  const auto encoder = encoder_of(spec);
  const EventBatch events = random_events(spec, 50);
  EncodedBatch out = batch_for(*encoder, 50);
  encoder->encode_and_learn(events, 0, 50, {}, out, 0);
  const std::string bytes = saved(*encoder);
  ByteReader other(bytes);
  EXPECT_EQ(encoder_of(spec_of_every_kind(3))->load(other).code(), Code::kFailedPrecondition);
  for (std::size_t size = 0; size < bytes.size(); size += 7) {
    ByteReader in(std::string_view(bytes).substr(0, size));
    EXPECT_FALSE(encoder_of(spec)->load(in).is_ok()) << size;
  }
}

TEST(FeatureEncoderTest, ExtremeInputNeverMakesAValueThatIsNotFinite) {
  for (const std::uint32_t classes : {0U, 2U}) {
    const EventSpec spec = spec_of_every_kind(classes);
    const auto encoder = encoder_of(spec);
    EventBatch events = random_events(spec, 300);
    constexpr float kMax = std::numeric_limits<float>::max();
    for (std::size_t row = 0; row < 300; ++row) {
      events.numbers(0)[row] = row % 2 == 0 ? kMax : -kMax;
      events.weights[row] = row % 3 == 0 ? kMax : 1e-30F;
      if (classes == 0) events.labels[row] = row % 5 == 0 ? kMax : -kMax;
      using Time = std::numeric_limits<std::int64_t>;
      events.time_ms[row] = row % 2 == 0 ? Time::min() : Time::max();
    }
    EncodedBatch out = batch_for(*encoder, 300);
    encoder->encode_and_learn(events, 0, 300, {}, out, 0);
    for (std::size_t row = 0; row < 300; ++row) {
      for (const float x : out.dense_row(row)) ASSERT_TRUE(std::isfinite(x)) << row;
    }
    const std::string bytes = saved(*encoder);
    ByteReader in(bytes);
    EXPECT_TRUE(encoder_of(spec)->load(in).is_ok());
  }
}

TEST(FeatureEncoderConcurrencyTest, ReadersWhileLearningSeeValidValuesOnly) {
  const EventSpec spec = spec_of_every_kind();
  const EventBatch events = random_events(spec, 2'000);
  const auto encoder = encoder_of(spec);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> read{0};
  std::vector<std::thread> readers;
  for (std::size_t r = 0; r < 2; ++r) {
    readers.emplace_back([&, r] {
      EncodedBatch out = batch_for(*encoder, 50);
      for (std::size_t turn = r; !done.load() || turn == r; ++turn) {
        const std::size_t begin = turn * 50 % 2'000;
        encoder->encode(events, begin, begin + 50, out);
        for (std::size_t row = 0; row < 50; ++row) {
          for (const float x : out.dense_row(row)) {
            if (!(std::abs(x) <= 5.0F)) wrong.fetch_add(1);
          }
        }
        read.fetch_add(50);
      }
    });
  }
  EncodedBatch out = batch_for(*encoder, 2'000);
  for (int turn = 0; turn < 10; ++turn) encoder->encode_and_learn(events, 0, 2'000, {}, out, 0);
  done = true;
  for (auto& reader : readers) reader.join();
  EXPECT_EQ(wrong.load(), 0U);
  EXPECT_GT(read.load(), 0U);
}

}  // namespace
}  // namespace freshet
