// Sketches, distances between them, and what counts as drift of a feature. scipy_distances.py made the expected
// numbers.
#include "learners/drift/reference/feature_drift.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "core/rng.h"
#include "tests/learners/drift/recorded_streams.h"

namespace freshet::test {
namespace {

QuantileSketch sketch_of(const std::vector<double>& values) {
  QuantileSketch sketch;
  for (const double value : values) sketch.add(static_cast<float>(value));
  return sketch;
}

CategorySketch sketch_of(const std::vector<int>& counts) {
  CategorySketch sketch;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    for (int i = 0; i < counts[c]; ++i) sketch.add(static_cast<std::uint32_t>(1000 + c));
  }
  return sketch;
}

std::vector<double> sample(const std::string& noise, std::uint64_t seed, std::int64_t count, double level,
                           double scale) {
  RecordedStream stream;
  stream.noise = noise;
  stream.seed = seed;
  stream.length = count;
  stream.knots = {{0, level, scale, 0, "ramp"}};
  return stream.values();
}

template <typename Sketch>
std::string bytes_of(const Sketch& sketch) {
  ByteWriter out;
  sketch.save(out);
  return out.take();
}

void check_numbers(std::istringstream& words) {
  std::string noise;
  double a[2];
  double b[2];
  double ks = 0, p = 0, distance = 0, psi = 0, js = 0, mmd = 0;
  words >> noise >> a[0] >> a[1] >> b[0] >> b[1] >> ks >> p >> distance >> psi >> js >> mmd;
  ASSERT_TRUE(words);
  const auto reference = sketch_of(sample(noise, 1, 500, a[0], a[1]));
  const auto now = sketch_of(sample(noise, 2, 300, b[0], b[1]));
  const TestResult test = kolmogorov_smirnov(reference, now);
  EXPECT_NEAR(test.statistic, ks, 1e-12);
  EXPECT_NEAR(test.p, p, 0.01);  // another approximation than scipy's
  EXPECT_NEAR(wasserstein(reference, now), distance, 1e-9);
  EXPECT_NEAR(stability_index(binned(reference, now)), psi, 1e-9);
  EXPECT_NEAR(jensen_shannon(binned(reference, now)), js, 1e-9);
  EXPECT_NEAR(mean_discrepancy(reference, now), mmd, 0.002 + 0.02 * mmd);  // 64 frequencies for the kernel
}

void check_counts(std::istringstream& words) {
  std::size_t categories = 0;
  words >> categories;
  std::vector<int> reference(categories);
  std::vector<int> now(categories);
  for (int& count : reference) words >> count;
  for (int& count : now) words >> count;
  double statistic = 0, p = 0, psi = 0, js = 0;
  words >> statistic >> p >> psi >> js;
  ASSERT_TRUE(words);
  const TestResult test = chi_square(sketch_of(reference), sketch_of(now));
  EXPECT_NEAR(test.statistic, statistic, 1e-9);
  EXPECT_NEAR(test.p, p, 1e-12 + 1e-9 * p);
  EXPECT_NEAR(stability_index(binned(sketch_of(reference), sketch_of(now))), psi, 1e-12);
  EXPECT_NEAR(jensen_shannon(binned(sketch_of(reference), sketch_of(now))), js, 1e-9);
}

TEST(Distances, AreThoseOfScipy) {
  std::ifstream in(std::string(FRESHET_SOURCE_DIR) + "/tests/learners/drift/reference/scipy_distances.txt");
  ASSERT_TRUE(in);
  int compared = 0;
  for (std::string line; std::getline(in, line);) {
    SCOPED_TRACE(line);
    std::istringstream words(line);
    std::string what;
    words >> what;
    double a = 0;
    double x = 0;
    double expected = 0;
    if (what == "numbers") {
      ASSERT_NO_FATAL_FAILURE(check_numbers(words));
    } else if (what == "counts") {
      ASSERT_NO_FATAL_FAILURE(check_counts(words));
    } else if (what == "gamma") {
      words >> a >> x >> expected;
      EXPECT_NEAR(upper_gamma(a, x), expected, 1e-12);
    } else if (what == "kolmogorov") {
      words >> x >> expected;
      EXPECT_NEAR(kolmogorov_tail(x), expected, 1e-12);
    } else {
      continue;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 21);
}

TEST(Distances, OfNothingAreNone) {
  const QuantileSketch none;
  const auto some = sketch_of(sample("bell", 1, 100, 0, 1));
  EXPECT_EQ(kolmogorov_smirnov(none, some).p, 1);
  EXPECT_EQ(wasserstein(some, none), 0);
  EXPECT_EQ(mean_discrepancy(none, none), 0);
  EXPECT_EQ(chi_square(CategorySketch(), sketch_of(std::vector<int>{5, 5})).p, 1);
}

TEST(QuantileSketch, KeepsRanksWithinAPercentInBoundedMemory) {
  Rng rng(11);
  QuantileSketch whole;
  QuantileSketch parts[3];
  std::vector<float> values;
  for (int i = 0; i < 300'000; ++i) {
    const auto value = static_cast<float>(std::pow(rng.uniform(), 3));
    values.push_back(value);
    whole.add(value);
    parts[i % 3].add(value);
  }
  parts[0].merge(parts[1]);
  parts[0].merge(parts[2]);
  std::ranges::sort(values);
  for (const QuantileSketch* sketch : {&whole, &parts[0]}) {
    EXPECT_EQ(sketch->count(), values.size());
    double below = 0;
    double worst = 0;
    const auto items = sketch->items();
    EXPECT_LT(items.size(), 4096U);
    for (const auto& item : items) {
      below += item.weight;
      const auto rank = std::ranges::upper_bound(values, static_cast<float>(item.value)) - values.begin();
      worst = std::max(worst, std::fabs(below - static_cast<double>(rank)) / static_cast<double>(values.size()));
    }
    EXPECT_EQ(below, static_cast<double>(values.size()));
    EXPECT_LT(worst, 0.01);
    EXPECT_NEAR(sketch->moments().mean, 0.25, 0.002);
  }
}

TEST(QuantileSketch, GoesOnExactlyAfterLoading) {
  Rng rng(12);
  QuantileSketch whole;
  QuantileSketch parts;
  for (int i = 0; i < 20'000; ++i) {
    const float value = i % 100 == 0 ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(rng.uniform());
    whole.add(value);
    parts.add(value);
    if (i % 1777 == 0) {
      const std::string stored = bytes_of(parts);
      parts = QuantileSketch(99);
      ByteReader in(stored);
      ASSERT_TRUE(parts.load(in) && in.at_end());
    }
  }
  EXPECT_EQ(bytes_of(whole), bytes_of(parts));
  EXPECT_EQ(whole.missing(), 200U);
}

TEST(CategorySketch, FindsTheFrequentOnesAmongManyAndGoesOnExactly) {
  Rng rng(13);
  CategorySketch whole;
  CategorySketch parts;
  for (int i = 0; i < 50'000; ++i) {
    // Half of the events have one of four values, the others are of 20,000.
    const auto value = static_cast<std::uint32_t>(rng.below(2) == 0 ? rng.below(4) : 100 + rng.below(20'000));
    whole.add(value);
    parts.add(value);
    if (i % 5003 == 0) {
      const std::string stored = bytes_of(parts);
      parts = CategorySketch();
      ByteReader in(stored);
      ASSERT_TRUE(parts.load(in) && in.at_end());
    }
  }
  EXPECT_EQ(bytes_of(whole), bytes_of(parts));
  EXPECT_EQ(whole.entries().size(), CategorySketch::kCategories);
  for (std::uint32_t value = 0; value < 4; ++value) {
    const auto found = std::ranges::find(whole.entries(), value, &CategorySketch::Entry::value);
    ASSERT_NE(found, whole.entries().end());
    EXPECT_NEAR(static_cast<double>(found->count), 6250, 400);
  }
}

class FeatureDrift : public ::testing::Test {
 protected:
  static FeatureReference reference(std::size_t events, std::uint64_t seed, double shift, double share) {
    FeatureReference made({{"distance", false}, {"carrier", true}, {"label", false}});
    Rng rng(seed);
    for (std::size_t i = 0; i < events; ++i) {
      made.add_number(0, static_cast<float>(1040 + shift + 400 * (rng.uniform() + rng.uniform() - 1)));
      made.add_category(1, rng.uniform() < share ? 7U : 9U);
      made.add_number(2, rng.uniform() < 0.3 ? 1.0F : 0.0F);
    }
    return made;
  }
};

TEST_F(FeatureDrift, SaysWhichFeatureFromWhatToWhat) {
  const auto drift = compare_features(reference(5000, 1, 0, 0.3), reference(2000, 2, -430, 0.6), {});
  EXPECT_EQ(drift.drifted, 2U);
  EXPECT_TRUE(drift.dataset);
  EXPECT_EQ(drift.columns[0].test, FeatureTest::kWasserstein);
  EXPECT_EQ(drift.columns[1].test, FeatureTest::kJensenShannon);
  EXPECT_FALSE(drift.columns[2].drifted);
  EXPECT_NE(drift.columns[0].cause.find("feature distance: mean 10"), std::string::npos) << drift.columns[0].cause;
  EXPECT_NE(drift.columns[0].cause.find(" → 6"), std::string::npos);
  EXPECT_NE(drift.columns[1].cause.find("#00000007"), std::string::npos) << drift.columns[1].cause;
  EXPECT_NE(drift.cause.find("2 of 3"), std::string::npos) << drift.cause;
}

TEST_F(FeatureDrift, FindsNoneWhereThereIsNone) {
  EXPECT_EQ(compare_features(reference(50'000, 3, 0, 0.3), reference(20'000, 4, 0, 0.3), {}).drifted, 0U);
  const auto few = compare_features(reference(800, 5, 0, 0.3), reference(800, 6, 0, 0.3), {});
  EXPECT_EQ(few.columns[0].test, FeatureTest::kKolmogorovSmirnov);
  EXPECT_EQ(few.columns[1].test, FeatureTest::kChiSquare);
  EXPECT_FALSE(few.dataset);
}

TEST_F(FeatureDrift, TakesEveryTest) {
  const auto before = reference(5000, 7, 0, 0.3);
  const auto after = reference(5000, 8, -430, 0.7);
  for (const auto* name : {"ks", "psi", "jensen_shannon", "wasserstein", "mmd"}) {
    FeatureDriftOptions options;
    options.numbers = *find_feature_test(name);
    ASSERT_TRUE(check_feature_drift(options).is_ok());
    EXPECT_TRUE(compare_features(before, after, options).columns[0].drifted) << name;
    EXPECT_FALSE(compare_features(before, before, options).columns[0].drifted) << name;
  }
  for (const auto* name : {"chi_square", "psi", "jensen_shannon"}) {
    FeatureDriftOptions options;
    options.categories = *find_feature_test(name);
    ASSERT_TRUE(check_feature_drift(options).is_ok());
    EXPECT_TRUE(compare_features(before, after, options).columns[1].drifted) << name;
    EXPECT_FALSE(compare_features(before, before, options).columns[1].drifted) << name;
  }
  FeatureDriftOptions wrong;
  wrong.numbers = FeatureTest::kChiSquare;
  EXPECT_FALSE(check_feature_drift(wrong).is_ok());
  EXPECT_EQ(find_feature_test("t").code(), Code::kNotFound);
}

TEST_F(FeatureDrift, IsStoredExactlyAndRefusesDamage) {
  const auto made = reference(3000, 9, 0, 0.5);
  const std::string stored = bytes_of(made);
  FeatureReference loaded(made.columns());
  ByteReader in(stored);
  ASSERT_TRUE(loaded.load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  EXPECT_EQ(bytes_of(loaded), stored);
  for (std::size_t size = 0; size < stored.size(); size += 101) {
    ByteReader cut(std::string_view(stored).substr(0, size));
    EXPECT_EQ(loaded.load(cut).code(), Code::kDataLoss);
  }
  EXPECT_EQ(bytes_of(loaded), bytes_of(FeatureReference(made.columns())));
  FeatureReference other({{"speed", false}});
  ByteReader foreign(stored);
  EXPECT_EQ(other.load(foreign).code(), Code::kDataLoss);
}

}  // namespace
}  // namespace freshet::test
