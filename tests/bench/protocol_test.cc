#include "bench/continual/protocol.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace freshet::bench {
namespace {

// Twenty images, two of each digit, in turn.
Mnist few_digits() {
  Mnist mnist;
  for (Digits* digits : {&mnist.train, &mnist.test}) {
    for (std::size_t i = 0; i < 20; ++i) {
      digits->labels.push_back(static_cast<std::uint8_t>(i % kDigits));
      for (std::size_t p = 0; p < kPixels; ++p) digits->pixels.push_back(static_cast<std::uint8_t>((p + i) % 256));
    }
  }
  return mnist;
}

TEST(SplitProtocol, GivesEachTaskItsTwoDigits) {
  const Mnist mnist = few_digits();
  const auto tasks = make_tasks("split", mnist, 3);
  ASSERT_TRUE(tasks.is_ok());
  ASSERT_EQ(tasks->size(), 5U);
  for (std::size_t t = 0; t < 5; ++t) {
    for (const auto* images : {&(*tasks)[t].train, &(*tasks)[t].test}) {
      EXPECT_EQ(images->size(), 4U);
      for (const auto image : *images) EXPECT_EQ(mnist.train.labels[image] / 2, t);
    }
    EXPECT_TRUE((*tasks)[t].pixels.empty());
  }
}

TEST(DomainProtocols, ShowEveryImageOnceInEachOfTwentyTasks) {
  const Mnist mnist = few_digits();
  for (const char* protocol : {"permuted", "rotated"}) {
    const auto tasks = make_tasks(protocol, mnist, 3);
    ASSERT_TRUE(tasks.is_ok());
    ASSERT_EQ(tasks->size(), 20U);
    std::set<PixelMap> maps;
    for (const auto& task : *tasks) {
      maps.insert(task.pixels);
      EXPECT_EQ(std::set<std::uint32_t>(task.train.begin(), task.train.end()).size(), 20U);
    }
    EXPECT_EQ(maps.size(), 20U) << protocol;
  }
}

TEST(Protocols, DependOnTheSeedAlone) {
  const Mnist mnist = few_digits();
  const auto same = make_tasks("rotated", mnist, 3);
  const auto again = make_tasks("rotated", mnist, 3);
  const auto other = make_tasks("rotated", mnist, 4);
  ASSERT_TRUE(same.is_ok() && again.is_ok() && other.is_ok());
  EXPECT_EQ((*same)[7].pixels, (*again)[7].pixels);
  EXPECT_EQ((*same)[7].train, (*again)[7].train);
  EXPECT_NE((*same)[7].pixels, (*other)[7].pixels);
  EXPECT_EQ(make_tasks("sorted", mnist, 3).status().code(), Code::kInvalidArgument);
}

TEST(Protocols, JoinAllTasksIntoOneShuffledStream) {
  const Mnist mnist = few_digits();
  const auto tasks = make_tasks("split", mnist, 3);
  ASSERT_TRUE(tasks.is_ok());
  auto apart = stream_of(*tasks, false, 3);
  auto joined = stream_of(*tasks, true, 3);
  EXPECT_TRUE(std::ranges::is_sorted(apart, {}, &StreamPlace::first));
  EXPECT_FALSE(std::ranges::is_sorted(joined, {}, &StreamPlace::first));
  std::ranges::sort(apart);
  std::ranges::sort(joined);
  EXPECT_EQ(apart, joined);
}

TEST(PixelMaps, PermuteEveryPixelOnce) {
  auto map = permuted_pixels(11);
  EXPECT_FALSE(std::ranges::is_sorted(map));
  std::ranges::sort(map);
  for (std::size_t p = 0; p < kPixels; ++p) ASSERT_EQ(map[p], p);
}

TEST(PixelMaps, TurnCounterClockwise) {
  const auto still = rotated_pixels(0);
  for (std::size_t p = 0; p < kPixels; ++p) ASSERT_EQ(still[p], p);
  // A quarter turn takes the upper right corner to the upper left one: what stands there comes from the right.
  const auto quarter = rotated_pixels(90);
  EXPECT_EQ(quarter[0], kImageSide - 1);
  EXPECT_EQ(quarter[kImageSide - 1], kPixels - 1);
  EXPECT_EQ(quarter[kPixels - kImageSide], 0);
  // Half a turn is the image backwards.
  const auto half = rotated_pixels(180);
  for (std::size_t p = 0; p < kPixels; ++p) ASSERT_EQ(half[p], kPixels - 1 - p);
  // An eighth turns the corners out of the image.
  EXPECT_EQ(rotated_pixels(45)[0], kPaper);
}

TEST(EncodedDigits, AreSharesOfBlackThroughTheMap) {
  const Mnist mnist = few_digits();
  EncodedBatch rows(kPixels, 0, 2);
  rows.resize(2);
  PixelMap map(kPixels, kPaper);
  map[5] = 51;
  encode_digit(mnist.train, 3, map, rows, 1);
  EXPECT_EQ(rows.labels[1], 3.0F);
  EXPECT_EQ(rows.weights[1], 1.0F);
  EXPECT_EQ(rows.dense_row(1)[5], static_cast<float>(51 + 3) / 255.0F);
  EXPECT_EQ(rows.dense_row(1)[6], 0.0F);
  encode_digit(mnist.train, 3, {}, rows, 0);
  EXPECT_EQ(rows.dense_row(0)[252], 1.0F);
}

}  // namespace
}  // namespace freshet::bench
