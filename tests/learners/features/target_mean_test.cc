#include "learners/features/target_mean.h"

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "core/rng.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 20'130'101;

std::string saved(const TargetMeanTable& table) {
  ByteWriter out;
  table.save(out);
  return out.take();
}

LabelCounts read_one(const TargetMeanTable& table, std::uint64_t key, std::int64_t time_ms = 0) {
  LabelCounts counts;
  table.read(key, time_ms, &counts);
  return counts;
}

// The definition, without bounds or concurrency.
class PlainTargetMean {
 public:
  PlainTargetMean(double half_life_events, double half_life_ms)
      : half_life_events_(half_life_events), half_life_ms_(half_life_ms) {}

  LabelCounts read(std::uint64_t key, std::int64_t now) const {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return {};
    const double d = half_life_ms_ > 0 ? by_time(found->second.newest, now) : 1.0;
    return {static_cast<float>(found->second.counts.sum * d), static_cast<float>(found->second.counts.weight * d)};
  }
  void update(std::uint64_t key, std::int64_t now, float label, double weight) {
    const bool known = entries_.count(key) != 0;
    Entry& entry = entries_[key];
    double d = std::exp2(-1.0 / half_life_events_);
    if (half_life_ms_ > 0) d = known ? by_time(entry.newest, now) : 1.0;
    entry.counts.sum = static_cast<float>(entry.counts.sum * d + weight * static_cast<double>(label));
    entry.counts.weight = static_cast<float>(entry.counts.weight * d + weight);
    entry.newest = known ? std::max(entry.newest, now) : now;
  }

 private:
  struct Entry {
    LabelCounts counts;
    std::int64_t newest = 0;
  };
  double by_time(std::int64_t newest, std::int64_t now) const {
    return now <= newest ? 1.0 : std::exp2(-static_cast<double>(now - newest) / half_life_ms_);
  }
  double half_life_events_, half_life_ms_;
  std::map<std::uint64_t, Entry> entries_;
};

void expect_equal_to_the_definition(double half_life_events, double half_life_ms) {
  SCOPED_TRACE(testing::Message() << "seed " << kSeed);
  Rng rng(kSeed);
  TargetMeanTable table({.keys_max = 8192, .half_life_events = half_life_events, .half_life_ms = half_life_ms});
  PlainTargetMean plain(half_life_events, half_life_ms);
  std::int64_t now = 0;
  for (int i = 0; i < 100'000; ++i) {
    now += static_cast<std::int64_t>(rng.below(2'000)) - 500;  // backwards too
    const std::uint64_t key = rng.below(700);                  // 0 among them
    const LabelCounts seen = read_one(table, key, now);
    // 0 and 1 share an entry: 0 marks an empty slot.
    const LabelCounts wanted = plain.read(key == 0 ? 1 : key, now);
    ASSERT_EQ(seen.sum, wanted.sum) << i;
    ASSERT_EQ(seen.weight, wanted.weight) << i;
    const auto label = static_cast<float>(rng.below(2));
    const double weight = rng.below(4) == 0 ? 2.5 : 1.0;
    table.update(key, now, &label, weight);
    plain.update(key == 0 ? 1 : key, now, label, weight);
  }
}

TEST(TargetMeanTest, EqualsItsDefinitionByEvents) { expect_equal_to_the_definition(20, 0); }
TEST(TargetMeanTest, EqualsItsDefinitionByTime) { expect_equal_to_the_definition(0, 60'000); }

TEST(TargetMeanTest, AfterTheHalfLifeALabelCountsHalf) {
  TargetMeanTable by_events({.half_life_events = 2});
  const float one = 1;
  const float zero = 0;
  by_events.update(5, 0, &one, 1);
  by_events.update(5, 0, &zero, 1);
  by_events.update(5, 0, &zero, 1);
  EXPECT_FLOAT_EQ(read_one(by_events, 5).sum, 0.5F);
  TargetMeanTable by_time({.half_life_ms = 1'000});
  by_time.update(5, 10'000, &one, 1);
  EXPECT_FLOAT_EQ(read_one(by_time, 5, 11'000).sum, 0.5F);
  EXPECT_FLOAT_EQ(read_one(by_time, 5, 11'000).weight, 0.5F);
  EXPECT_FLOAT_EQ(read_one(by_time, 5, 9'000).weight, 1.0F);  // a negative gap counts as zero
}

TEST(TargetMeanTest, HoldsNoMoreKeysThanItsCapacity) {
  TargetMeanTable table({.keys_max = 1000, .half_life_events = 10});
  EXPECT_EQ(table.capacity(), 1024U);
  const float one = 1;
  for (std::uint64_t key = 1; key <= 100'000; ++key) table.update(key, 0, &one, 1);
  EXPECT_LE(table.keys(), 1024U);
  EXPECT_GT(table.keys(), 900U);
  EXPECT_EQ(read_one(table, 100'000).weight, 1.0F);  // the newest is there
}

TEST(TargetMeanTest, AFullBucketGivesUpTheLeastRecentlyUpdated) {
  for (const bool by_time : {false, true}) {
    TargetMeanTable table(by_time ? TargetMeanOptions{.keys_max = 8, .half_life_ms = 1e12}
                                  : TargetMeanOptions{.keys_max = 8, .half_life_events = 1e9});
    const float one = 1;
    std::int64_t now = -100;  // times before 1970 are times too
    for (std::uint64_t key = 1; key <= 8; ++key) table.update(key, ++now, &one, 1);
    table.update(1, ++now, &one, 1);
    table.update(9, ++now, &one, 1);
    EXPECT_EQ(read_one(table, 2, now).weight, 0.0F);
    for (const std::uint64_t key : {1, 3, 4, 5, 6, 7, 8, 9}) EXPECT_GT(read_one(table, key, now).weight, 0.9F) << key;
    EXPECT_EQ(table.keys(), 8U);
  }
}

TEST(TargetMeanTest, KeepsASumForEachClass) {
  TargetMeanTable table({.keys_max = 64, .outputs = 3, .half_life_events = 1e9});
  for (int i = 0; i < 6; ++i) {
    std::array<float, 3> labels{};
    labels[i < 3 ? 2 : static_cast<std::size_t>(i % 2)] = 1;
    table.update(77, 0, labels.data(), 1);
  }
  std::array<LabelCounts, 3> counts;
  table.read(77, 0, counts.data());
  EXPECT_FLOAT_EQ(counts[0].sum, 1);
  EXPECT_FLOAT_EQ(counts[1].sum, 2);
  EXPECT_FLOAT_EQ(counts[2].sum, 3);
  for (const auto& count : counts) EXPECT_FLOAT_EQ(count.weight, 6);
}

TEST(TargetMeanTest, ALoadedTableGoesOnBitIdenticallyAlsoThroughEvictions) {
  for (const bool by_time : {false, true}) {
    const TargetMeanOptions options = by_time ? TargetMeanOptions{.keys_max = 64, .half_life_ms = 1'000}
                                              : TargetMeanOptions{.keys_max = 64, .half_life_events = 5};
    Rng rng(kSeed);
    TargetMeanTable original(options);
    const auto step = [&](TargetMeanTable& table, std::uint64_t key, std::int64_t now, float label) {
      table.update(key, now, &label, 1);
    };
    for (int i = 0; i < 5'000; ++i) step(original, rng.below(200) + 1, i, static_cast<float>(rng.below(2)));
    TargetMeanTable restored(options);
    const std::string bytes = saved(original);
    ByteReader in(bytes);
    ASSERT_TRUE(restored.load(in).is_ok());
    EXPECT_TRUE(in.at_end());
    EXPECT_EQ(saved(restored), bytes);
    for (int i = 5'000; i < 10'000; ++i) {
      const std::uint64_t key = rng.below(200) + 1;
      const auto label = static_cast<float>(rng.below(2));
      step(original, key, i, label);
      step(restored, key, i, label);
    }
    EXPECT_EQ(saved(restored), saved(original));
  }
}

TEST(TargetMeanTest, SavesOccupiedEntriesOnly) {
  TargetMeanTable table({.keys_max = 1U << 20, .half_life_events = 5});
  const float one = 1;
  for (std::uint64_t key = 1; key <= 10; ++key) table.update(key, 0, &one, 1);
  EXPECT_LT(saved(table).size(), 400U);
}

TEST(TargetMeanTest, RefusesDamagedBytes) {
  const TargetMeanOptions options{.keys_max = 64, .half_life_events = 5};
  TargetMeanTable table(options);
  const float one = 1;
  for (std::uint64_t key = 1; key <= 30; ++key) table.update(key, 0, &one, 1);
  const std::string bytes = saved(table);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    TargetMeanTable other(options);
    ByteReader in(std::string_view(bytes).substr(0, size));
    EXPECT_EQ(other.load(in).code(), Code::kDataLoss) << size;
  }
  TargetMeanTable larger({.keys_max = 128, .half_life_events = 5});
  ByteReader in(bytes);
  EXPECT_EQ(larger.load(in).code(), Code::kDataLoss);
}

// A label of a key is a constant here, so whatever a reader catches must have that ratio, or be unknown.
TEST(TargetMeanConcurrencyTest, AReaderNeverSeesAnotherKeysLabelsNorAHalfWrittenPair) {
  for (const bool by_time : {false, true}) {
    TargetMeanTable table(by_time ? TargetMeanOptions{.keys_max = 64, .half_life_ms = 50}
                                  : TargetMeanOptions{.keys_max = 64, .half_life_events = 3});
    constexpr std::uint64_t kKeys = 200;  // three times the capacity: evictions all the time
    const auto label_of = [](std::uint64_t key) { return static_cast<float>(key % 8) / 8; };
    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> found{0};
    std::atomic<std::uint64_t> wrong{0};
    std::vector<std::thread> readers;
    for (int r = 0; r < 2; ++r) {
      readers.emplace_back([&, r] {
        Rng rng(kSeed + static_cast<std::uint64_t>(r));
        std::uint64_t mine = 0;
        // At least one find, so that the test cannot pass without reading.
        while (!done.load() || mine == 0) {
          const std::uint64_t key = rng.below(kKeys) + 1;
          LabelCounts counts;
          table.read(key, static_cast<std::int64_t>(rng.below(100)), &counts);
          if (!(counts.weight > 1e-20F)) continue;
          ++mine;
          if (std::abs(counts.sum / counts.weight - label_of(key)) > 1e-4F) wrong.fetch_add(1);
        }
        found.fetch_add(mine);
      });
    }
    Rng rng(kSeed);
    for (int i = 0; i < 1'000'000; ++i) {
      const std::uint64_t key = rng.below(kKeys) + 1;
      const float label = label_of(key);
      table.update(key, i / 10'000, &label, 1);
    }
    done = true;
    for (auto& reader : readers) reader.join();
    EXPECT_EQ(wrong.load(), 0U);
    EXPECT_GT(found.load(), 0U);
  }
}

}  // namespace
}  // namespace freshet
