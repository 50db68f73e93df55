#include "learners/training/averaging.h"

#include <algorithm>
#include <cstring>
#include <deque>

#include <gtest/gtest.h>

#include "core/rng.h"

namespace freshet {
namespace {

constexpr std::size_t kDense = 32;
constexpr std::size_t kRows = 64;
constexpr std::size_t kWidth = 4;

Parameters random_parameters(std::uint64_t seed) {
  Parameters parameters;
  parameters.dense.reset(kDense);
  parameters.dense_gradients.reset(kDense);
  parameters.table = RowTable(kRows, kWidth);
  Rng rng(seed);
  for (auto& value : parameters.dense.span()) value = static_cast<float>(rng.uniform() - 0.5);
  for (auto& value : parameters.table.values().span()) value = static_cast<float>(rng.uniform() - 0.5);
  return parameters;
}

// Chooses some rows; move() then changes all dense weights and those rows, as an optimizer step would.
void touch(Parameters& parameters, Rng& rng) {
  parameters.clear_gradients();
  parameters.table.reserve_gradients(8);
  for (int i = 0; i < 8; ++i) parameters.table.gradient_of(static_cast<std::uint32_t>(rng.below(rng.below(kRows) + 1)));
}
void move(Parameters& parameters, Rng& rng) {
  for (auto& value : parameters.dense.span()) value += static_cast<float>(0.1 * (rng.uniform() - 0.5));
  for (const auto row : parameters.table.touched()) {
    for (std::size_t e = 0; e < kWidth; ++e)
      parameters.table.row(row)[e] += static_cast<float>(0.1 * (rng.uniform() - 0.5));
  }
  parameters.table.mark_changed();
}

TEST(Ema, RampsUpItsDecay) {
  EXPECT_DOUBLE_EQ(Ema::decay_at(1, 0.9999), 2.0 / 11.0);
  EXPECT_DOUBLE_EQ(Ema::decay_at(90, 0.9999), 0.91);
  EXPECT_DOUBLE_EQ(Ema::decay_at(89990, 0.9999), 0.9999);
  EXPECT_DOUBLE_EQ(Ema::decay_at(10'000'000, 0.9999), 0.9999);
  EXPECT_DOUBLE_EQ(Ema::decay_at(5, 0.1), 0.1);
}

// The lazy average of rows must be what updating every row at every step gives: computed here in double precision.
TEST(Ema, EqualsUpdatingEveryWeightAtEveryStep) {
  for (const double decay : {0.99, 0.5, 0.0}) {
    SCOPED_TRACE(decay);
    auto parameters = random_parameters(1);
    Ema ema(decay, parameters);
    std::vector<double> dense(parameters.dense.span().begin(), parameters.dense.span().end());
    std::vector<double> rows(parameters.table.values().span().begin(), parameters.table.values().span().end());
    Rng rng(2);
    for (std::uint64_t step = 1; step <= 500; ++step) {
      touch(parameters, rng);
      ema.before_step(parameters);
      move(parameters, rng);
      ema.after_step(parameters);
      const double keep = Ema::decay_at(step, decay);
      for (std::size_t i = 0; i < kDense; ++i) dense[i] += (1.0 - keep) * (parameters.dense.data()[i] - dense[i]);
      for (std::size_t i = 0; i < rows.size(); ++i) {
        rows[i] += (1.0 - keep) * (parameters.table.values().data()[i] - rows[i]);
      }
    }
    std::vector<std::uint32_t> moved;
    ema.catch_up(parameters, kRows, moved);
    for (std::size_t i = 0; i < kDense; ++i) ASSERT_NEAR(ema.weights().dense.data()[i], dense[i], 2e-6) << i;
    for (std::size_t i = 0; i < rows.size(); ++i) ASSERT_NEAR(ema.weights().rows.data()[i], rows[i], 2e-6) << i;
  }
}

TEST(Ema, CatchesUpABoundedNumberOfRowsByTurns) {
  auto parameters = random_parameters(1);
  Ema ema(0.9, parameters);
  Rng rng(3);
  for (int step = 0; step < 40; ++step) {
    touch(parameters, rng);
    ema.before_step(parameters);
    move(parameters, rng);
    ema.after_step(parameters);
  }
  parameters.table.forget_changed();
  const std::size_t used = parameters.table.used().size();
  ASSERT_GT(used, 20U);
  std::vector<std::uint32_t> all;
  for (std::size_t turn = 0; turn * 10 < used; ++turn) {
    std::vector<std::uint32_t> moved;
    ema.catch_up(parameters, 10, moved);
    EXPECT_LE(moved.size(), 10U);
    all.insert(all.end(), moved.begin(), moved.end());
  }
  std::vector<std::uint32_t> rest;
  ema.catch_up(parameters, used, rest);
  EXPECT_TRUE(rest.empty()) << "a turn over all rows leaves none behind";
}

TEST(SnapshotAverage, IsTheMeanOfTheLastRounds) {
  for (const std::size_t count : {1UL, 3UL, 8UL}) {
    SCOPED_TRACE(count);
    auto parameters = random_parameters(4);
    SnapshotAverage average(count, parameters);
    std::deque<std::vector<float>> dense;
    std::deque<std::vector<float>> rows;
    Rng rng(5);
    for (int round = 0; round < 40; ++round) {
      const auto steps = rng.below(3);  // some rounds move nothing
      for (std::uint64_t s = 0; s < steps; ++s) {
        touch(parameters, rng);
        move(parameters, rng);
      }
      std::vector<std::uint32_t> moved;
      average.end_round(parameters, moved);
      parameters.table.forget_changed();
      dense.emplace_back(parameters.dense.span().begin(), parameters.dense.span().end());
      rows.emplace_back(parameters.table.values().span().begin(), parameters.table.values().span().end());
      if (dense.size() > count) {
        dense.pop_front();
        rows.pop_front();
      }
      const auto check = [&](const std::deque<std::vector<float>>& snapshots, std::span<const float> got) {
        for (std::size_t i = 0; i < got.size(); ++i) {
          double sum = 0.0;
          for (const auto& snapshot : snapshots) sum += static_cast<double>(snapshot[i]);
          ASSERT_NEAR(got[i], sum / static_cast<double>(snapshots.size()), 1e-6)
              << "round " << round << " weight " << i;
        }
      };
      check(dense, average.weights().dense.span());
      check(rows, average.weights().rows.span());
    }
  }
}

TEST(Averages, ContinueToTheBitAfterSaveAndLoad) {
  auto parameters = random_parameters(6);
  Ema ema(0.99, parameters);
  SnapshotAverage average(4, parameters);
  Rng rng(7);
  std::vector<std::uint32_t> moved;
  const auto round = [&](Parameters& p, Ema& e, SnapshotAverage& a, Rng& r) {
    for (int s = 0; s < 3; ++s) {
      touch(p, r);
      e.before_step(p);
      move(p, r);
      e.after_step(p);
    }
    a.end_round(p, moved);
    e.catch_up(p, 5, moved);
    p.table.forget_changed();
  };
  for (int i = 0; i < 9; ++i) round(parameters, ema, average, rng);
  ByteWriter out;
  parameters.save(out);
  ema.save(out, parameters);
  average.save(out, parameters);

  auto restored = random_parameters(6);
  Ema other_ema(0.99, restored);
  SnapshotAverage other_average(4, restored);
  ByteReader in(out.buffer());
  ASSERT_TRUE(restored.load(in).is_ok());
  ASSERT_TRUE(other_ema.load(in, restored).is_ok());
  ASSERT_TRUE(other_average.load(in, restored).is_ok());
  EXPECT_TRUE(in.at_end());
  Rng same = rng;
  for (int i = 0; i < 9; ++i) {
    round(parameters, ema, average, rng);
    round(restored, other_ema, other_average, same);
  }
  const auto equal = [](const AlignedBuffer& a, const AlignedBuffer& b) {
    // NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): equal to the bit is what is asked
    return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  };
  EXPECT_TRUE(equal(ema.weights().dense, other_ema.weights().dense));
  EXPECT_TRUE(equal(ema.weights().rows, other_ema.weights().rows));
  EXPECT_TRUE(equal(average.weights().dense, other_average.weights().dense));
  EXPECT_TRUE(equal(average.weights().rows, other_average.weights().rows));
}

}  // namespace
}  // namespace freshet
