#include "learners/evaluation/forgetting.h"

#include <gtest/gtest.h>

#include <cmath>

namespace freshet {
namespace {

// Three tasks in turn, each round scored on all three: the matrix R of "Gradient Episodic Memory", with chance 0.5.
//            slice 0  slice 1  slice 2
//   round 1    0.90     0.55     0.45
//   round 2    0.70     0.95     0.60
//   round 3    0.75     0.65     0.85
Forgetting three_tasks() {
  Forgetting forgetting(0.5);
  const double scores[3][3] = {{0.90, 0.55, 0.45}, {0.70, 0.95, 0.60}, {0.75, 0.65, 0.85}};
  for (std::uint32_t round = 1; round <= 3; ++round) {
    forgetting.note_trained(round - 1, round);
    std::vector<SliceScore> row;
    for (std::uint32_t s = 0; s < 3; ++s) row.push_back({s, scores[round - 1][s]});
    forgetting.record(round, row);
  }
  return forgetting;
}

TEST(ForgettingTest, BeginsWithNothingToSay) {
  const ForgettingReport report = Forgetting().report();
  EXPECT_TRUE(report.slices.empty());
  EXPECT_FALSE(report.mean_forgetting.has_value());
  EXPECT_FALSE(report.backward_transfer.has_value());
  EXPECT_FALSE(report.forward_transfer.has_value());
}

TEST(ForgettingTest, ThreeTasksInTurn) {
  const ForgettingReport report = three_tasks().report();
  ASSERT_EQ(report.slices.size(), 3U);
  EXPECT_NEAR(report.slices[0].forgetting, 0.15, 1e-12);
  EXPECT_EQ(report.slices[0].best_round, 1U);
  EXPECT_NEAR(report.slices[1].forgetting, 0.30, 1e-12);
  EXPECT_EQ(report.slices[2].forgetting, 0);
  EXPECT_FALSE(report.slices[2].past);
  EXPECT_NEAR(*report.mean_score, (0.75 + 0.65 + 0.85) / 3, 1e-12);
  EXPECT_NEAR(*report.mean_forgetting, (0.15 + 0.30) / 2, 1e-12);  // of the past tasks
  EXPECT_NEAR(*report.max_forgetting, 0.30, 1e-12);
  EXPECT_NEAR(*report.backward_transfer, ((0.75 - 0.90) + (0.65 - 0.95)) / 2, 1e-12);
  EXPECT_NEAR(*report.forward_transfer, ((0.55 - 0.5) + (0.60 - 0.5)) / 2, 1e-12);
}

TEST(ForgettingTest, WhereEveryRoundTrainsOnEverythingTheMeanRunsOverAll) {
  Forgetting forgetting;
  for (std::uint64_t round = 1; round <= 2; ++round) {
    for (std::uint32_t s = 0; s < 2; ++s) forgetting.note_trained(s, round);
    const std::vector<SliceScore> row = {{0, round == 1 ? 0.8 : 0.6}, {1, round == 1 ? 0.5 : 0.9}};
    forgetting.record(round, row);
  }
  const ForgettingReport report = forgetting.report();
  EXPECT_NEAR(*report.mean_forgetting, 0.1, 1e-12);
  EXPECT_FALSE(report.backward_transfer.has_value());
  EXPECT_FALSE(report.forward_transfer.has_value());
}

// b of "Gradient Episodic Memory" is the score of a model that has learnt nothing, each task's own.
TEST(ForgettingTest, ForwardTransferIsCountedFromWhatAnUntrainedModelScores) {
  Forgetting forgetting;
  const std::vector<SliceScore> first = {{0, 0.9}};
  forgetting.note_trained(0, 1);  // nothing was known before it
  forgetting.record(1, first);
  EXPECT_FALSE(forgetting.report().forward_transfer.has_value());
  EXPECT_FALSE(forgetting.trained(1));
  forgetting.note_before(1, 0.7, 0.4);
  forgetting.note_trained(1, 2);
  EXPECT_TRUE(forgetting.trained(1));
  forgetting.note_before(2, 0.35, 0.45);
  forgetting.note_trained(2, 3);
  forgetting.note_before(2, 0.99, 0.01);  // too late: a round has trained on it
  forgetting.note_before(kSlicesMax, 1, 0);
  forgetting.note_before(3, std::nan(""), 0);
  const std::vector<SliceScore> last = {{0, 0.8}, {1, 0.9}, {2, 0.6}};
  forgetting.record(3, last);
  const ForgettingReport report = forgetting.report();
  EXPECT_NEAR(*report.forward_transfer, ((0.7 - 0.4) + (0.35 - 0.45)) / 2, 1e-12);
  EXPECT_EQ(report.slices[1].before, 0.7);
  EXPECT_EQ(report.slices[1].untrained, 0.4);
  EXPECT_FALSE(report.slices[0].untrained.has_value());

  ByteWriter out;
  forgetting.save(out);
  Forgetting restored;
  ByteReader in(out.buffer());
  ASSERT_TRUE(restored.load(in).is_ok());
  EXPECT_EQ(*restored.report().forward_transfer, *report.forward_transfer);
}

// A state of format 1: the same without the untrained model's scores. Its slices have no forward transfer to tell.
TEST(ForgettingTest, AnOlderStateIsReadWithoutTheUntrainedScores) {
  ByteWriter old;
  old.put<std::uint32_t>(1);
  old.put<std::uint32_t>(kSlicesMax);
  for (std::uint32_t slice = 0; slice < kSlicesMax; ++slice) {
    const bool there = slice == 4;
    old.put<std::uint64_t>(there ? 2 : 0);
    old.put(there ? 0.6 : 0.0);
    old.put(there ? 0.8 : 0.0);
    old.put<std::uint64_t>(there ? 1 : 0);
    old.put(there);
    old.put(false);
    old.put<std::uint64_t>(there ? 2 : 0);
    for (int optional = 0; optional < 2; ++optional) {
      old.put(there);
      old.put(there ? 0.5 : 0.0);
    }
  }
  old.put<std::uint64_t>(2);
  old.put<std::uint64_t>(1);
  old.put<std::uint64_t>(0);
  Forgetting forgetting;
  ByteReader in(old.buffer());
  ASSERT_TRUE(forgetting.load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  const ForgettingReport report = forgetting.report();
  ASSERT_EQ(report.slices.size(), 1U);
  EXPECT_NEAR(report.slices[0].forgetting, 0.2, 1e-12);
  EXPECT_EQ(report.slices[0].before, 0.5);
  EXPECT_FALSE(report.forward_transfer.has_value());
}

TEST(ForgettingTest, ScoresThatMeanNothingArePassedOver) {
  Forgetting forgetting;
  const std::vector<SliceScore> row = {{kSlicesMax, 1.0}, {3, std::nan("")}, {4, 0.5}};
  forgetting.record(1, row);
  ASSERT_EQ(forgetting.report().slices.size(), 1U);
  EXPECT_EQ(forgetting.report().slices[0].slice, 4U);
  EXPECT_TRUE(std::isnan(forgetting.history()[0].scores[3]));
}

TEST(ForgettingTest, TheHistoryIsBoundedAndEvenlyThinned) {
  Forgetting forgetting(0, 16);
  for (std::uint64_t round = 0; round < 1'000; ++round) {
    const std::vector<SliceScore> row = {{0, static_cast<double>(round)}};
    forgetting.record(round, row);
    ASSERT_LE(forgetting.history().size(), 16U);
  }
  const auto& history = forgetting.history();
  ASSERT_GE(history.size(), 8U);
  EXPECT_EQ(history[0].round, 0U);
  const std::uint64_t step = history[1].round;
  for (std::size_t i = 0; i < history.size(); ++i) {
    EXPECT_EQ(history[i].round, i * step);
    EXPECT_EQ(history[i].scores[0], static_cast<float>(i * step));
  }
  EXPECT_GE(history.back().round + step, 1'000U);
}

TEST(ForgettingTest, ALoadedRecordGoesOnTheSame) {
  Forgetting original = three_tasks();
  ByteWriter out;
  original.save(out);
  Forgetting restored(0.5);
  ByteReader in(out.buffer());
  ASSERT_TRUE(restored.load(in).is_ok());
  EXPECT_TRUE(in.at_end());
  const std::vector<SliceScore> row = {{0, 0.6}, {1, 0.7}, {2, 0.8}};
  original.note_trained(3, 4);
  restored.note_trained(3, 4);
  original.record(4, row);
  restored.record(4, row);
  ByteWriter a;
  ByteWriter b;
  original.save(a);
  restored.save(b);
  EXPECT_EQ(a.buffer(), b.buffer());
  EXPECT_EQ(*original.report().backward_transfer, *restored.report().backward_transfer);
  for (std::size_t size = 0; size < out.buffer().size(); size += 13) {
    ByteReader cut(std::string_view(out.buffer()).substr(0, size));
    EXPECT_EQ(Forgetting().load(cut).code(), Code::kDataLoss) << size;
  }
}

}  // namespace
}  // namespace freshet
