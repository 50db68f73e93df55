#include "learners/training/row_feed.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "tests/learners/training/strategies/line.h"

namespace freshet {
namespace {

constexpr std::uint64_t kSeed = 17;
using Rows = RoundPhase::Rows;

// Events numbered from `first_seq` on, whose number is also their input.
Points numbered(std::size_t count, std::uint64_t first_seq) {
  Points points;
  for (std::size_t i = 0; i < count; ++i) points.push_back({static_cast<double>(first_seq + i), 0.0});
  return points;
}

class CountingReader final : public ReplayReader {
 public:
  CountingReader(std::size_t count, std::uint64_t first_seq) : first_seq_(first_seq), count_(count) {}
  std::size_t size() const override { return count_; }
  std::uint64_t seq(std::size_t row) const override { return first_seq_ + row; }
  Status read(std::span<const std::uint32_t> rows, EncodedBatch& into) override {
    largest = std::max(largest, rows.size());
    read_rows += rows.size();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      into.seqs[i] = seq(rows[i]);
      into.dense_row(i)[0] = static_cast<float>(into.seqs[i]);
    }
    return fails ? unavailable("no disk") : Status::ok();
  }
  std::size_t largest = 0;
  std::size_t read_rows = 0;
  bool fails = false;

 private:
  std::uint64_t first_seq_;
  std::size_t count_;
};

// The events that came, by number, and the sizes of the mini-batches.
struct Fed {
  std::map<std::uint64_t, int> fresh, memory;
  std::vector<std::uint64_t> order;
  std::size_t steps = 0, fewest = 1'000'000, most = 0, fewest_fresh = 1'000'000, most_fresh = 0;
};

Fed feed(const RoundInput& input, const RoundPhase& phase, std::size_t batch_rows, Rng& rng) {
  Fed fed;
  RowFeed rows;
  rows.begin(input, phase, batch_rows, rng);
  MiniBatch batch;
  while (true) {
    const auto more = rows.next(batch, rng);
    EXPECT_TRUE(more.is_ok()) << more.status().to_string();
    if (!more.is_ok() || !*more) break;
    ++fed.steps;
    const auto count = [&](const RowRange& part, std::map<std::uint64_t, int>& seen) {
      for (std::size_t i = part.begin; i < part.end; ++i) {
        ++seen[part.batch->seqs[i]];
        fed.order.push_back(part.batch->seqs[i]);
        EXPECT_EQ(part.batch->dense_row(i)[0], static_cast<float>(part.batch->seqs[i]));
        if (part.losses != nullptr) part.losses[i - part.begin] = static_cast<float>(fed.order.size());
      }
    };
    count(batch.fresh, fed.fresh);
    count(batch.replay, fed.memory);
    const std::size_t size = batch.fresh.size() + batch.replay.size();
    fed.fewest = std::min(fed.fewest, size);
    fed.most = std::max(fed.most, size);
    fed.fewest_fresh = std::min(fed.fewest_fresh, batch.fresh.size());
    fed.most_fresh = std::max(fed.most_fresh, batch.fresh.size());
  }
  return fed;
}

bool each_came(const std::map<std::uint64_t, int>& seen, std::uint64_t first, std::size_t count, int times) {
  return seen.size() == count && (count == 0 || seen.begin()->first == first) &&
         std::ranges::all_of(seen, [&](const auto& entry) { return entry.second == times; });
}

TEST(RowFeed, BringsEachRowOnceInEachPassSpreadEvenly) {
  Rng rng(kSeed);
  const auto fresh = batch_of(numbered(100, 1001), 1001);
  const auto memory = batch_of(numbered(333, 1), 1);
  const RoundInput input{&fresh, &memory};
  const Fed both = feed(input, {Rows::kBoth, 3}, 20, rng);
  EXPECT_TRUE(each_came(both.fresh, 1001, 100, 3));
  EXPECT_TRUE(each_came(both.memory, 1, 333, 3));
  EXPECT_EQ(both.steps, 3U * 22U);
  EXPECT_LE(both.most, 20U);
  EXPECT_GE(both.fewest, 18U);
  EXPECT_LE(both.most_fresh - both.fewest_fresh, 1U);
  // Shuffled anew in each pass.
  const std::vector<std::uint64_t> first(both.order.begin(), both.order.begin() + 433);
  const std::vector<std::uint64_t> second(both.order.begin() + 433, both.order.begin() + 866);
  EXPECT_FALSE(std::ranges::is_sorted(first));
  EXPECT_NE(first, second);

  const Fed alone = feed(input, {Rows::kFresh, 1}, 64, rng);
  EXPECT_TRUE(each_came(alone.fresh, 1001, 100, 1));
  EXPECT_TRUE(alone.memory.empty());
  const Fed held = feed(input, {Rows::kMemory, 2}, 64, rng);
  EXPECT_TRUE(each_came(held.memory, 1, 333, 2));
  EXPECT_TRUE(held.fresh.empty());
}

TEST(RowFeed, TakesRowsThatAreFreshAndRememberedOnce) {
  Rng rng(kSeed);
  const auto fresh = batch_of(numbered(50, 101), 101);
  const auto memory = batch_of(numbered(120, 11), 11);  // 20 of them are fresh, and ten later ones
  const RoundInput input{&fresh, &memory};
  const Fed both = feed(input, {Rows::kBoth, 1}, 16, rng);
  EXPECT_TRUE(each_came(both.fresh, 101, 50, 1));
  EXPECT_TRUE(each_came(both.memory, 11, 90, 1));
  // Where the memory alone is trained on, they are part of it.
  EXPECT_TRUE(each_came(feed(input, {Rows::kMemory, 1}, 16, rng).memory, 11, 120, 1));
}

TEST(RowFeed, IsEmptyWithoutRowsAndFallsBackOnFreshOnes) {
  Rng rng(kSeed);
  const auto none = batch_of({});
  const auto fresh = batch_of(numbered(5, 101), 101);
  EXPECT_EQ(feed({&none, &none}, {Rows::kBoth, 3}, 16, rng).steps, 0U);
  EXPECT_EQ(feed({&none, nullptr}, {Rows::kMemory, 3}, 16, rng).steps, 0U);
  EXPECT_TRUE(each_came(feed({&fresh, nullptr}, {Rows::kMemory, 2}, 16, rng).fresh, 101, 5, 2));
  EXPECT_EQ(feed({&fresh, nullptr}, {Rows::kBoth, 1}, 1, rng).steps, 5U);
}

TEST(RowFeed, ReadsALargeMemoryInPieces) {
  Rng rng(kSeed);
  const auto fresh = batch_of(numbered(1000, 100'001), 100'001);
  CountingReader reader(30'000, 1);
  std::vector<float> losses(30'000, std::nanf(""));
  RoundInput input{&fresh};
  input.memory = &reader;
  input.replay_losses = losses;
  const Fed fed = feed(input, {Rows::kBoth, 2}, 64, rng);
  EXPECT_TRUE(each_came(fed.memory, 1, 30'000, 2));
  EXPECT_TRUE(each_came(fed.fresh, 100'001, 1000, 2));
  EXPECT_LE(reader.largest, RowFeed::kPieceRows);
  EXPECT_EQ(reader.read_rows, 60'000U);
  // The loss of each row's second pass came back to its place.
  std::map<std::uint64_t, float> last;
  for (std::size_t i = 0; i < fed.order.size(); ++i) last[fed.order[i]] = static_cast<float>(i + 1);
  for (std::size_t i = 0; i < losses.size(); ++i) ASSERT_EQ(losses[i], last[i + 1]) << i;
}

TEST(RowFeed, IsTheSameForTheSameGeneratorAndPassesErrorsOn) {
  const auto fresh = batch_of(numbered(40, 101), 101);
  CountingReader reader(300, 1);
  RoundInput input{&fresh};
  input.memory = &reader;
  Rng first(kSeed), second(kSeed);
  EXPECT_EQ(feed(input, {Rows::kBoth, 2}, 16, first).order, feed(input, {Rows::kBoth, 2}, 16, second).order);
  EXPECT_EQ(first.state(), second.state());
  reader.fails = true;
  RowFeed rows;
  rows.begin(input, {Rows::kBoth, 1}, 16, first);
  MiniBatch batch;
  EXPECT_EQ(rows.next(batch, first).code(), Code::kUnavailable);
}

}  // namespace
}  // namespace freshet
