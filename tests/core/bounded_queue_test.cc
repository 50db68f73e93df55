#include "core/bounded_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace freshet {
namespace {

TEST(BoundedQueueTest, GivesItemsInOrder) {
  BoundedQueue<int> queue(3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(queue.push(int{i}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(queue.pop(), i);
}

TEST(BoundedQueueTest, TryPushRefusesWhenFullAndLeavesTheItem) {
  BoundedQueue<std::unique_ptr<int>> queue(1);
  EXPECT_TRUE(queue.try_push(std::make_unique<int>(1)));
  auto second = std::make_unique<int>(2);
  // Not std::move: a refused item stays the caller's, which is what is looked at below.
  EXPECT_FALSE(queue.try_push(static_cast<std::unique_ptr<int>&&>(second)));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(*second, 2);
  EXPECT_EQ(queue.size(), 1U);
}

TEST(BoundedQueueTest, CapacityOfZeroCountsAsOne) {
  BoundedQueue<int> queue(0);
  EXPECT_EQ(queue.capacity(), 1U);
  EXPECT_TRUE(queue.try_push(1));
}

TEST(BoundedQueueTest, PopForGivesUpAndPopDrainsAClosedQueue) {
  BoundedQueue<int> queue(2);
  EXPECT_EQ(queue.pop_for(std::chrono::milliseconds(1)), std::nullopt);
  EXPECT_TRUE(queue.push(5));
  queue.close();
  EXPECT_TRUE(queue.closed());
  EXPECT_FALSE(queue.push(6));
  EXPECT_FALSE(queue.try_push(7));
  EXPECT_EQ(queue.pop(), 5);
  EXPECT_EQ(queue.pop(), std::nullopt);
}

TEST(BoundedQueueTest, CloseWakesAWaitingProducerAndAWaitingConsumer) {
  BoundedQueue<int> full(1);
  BoundedQueue<int> empty(1);
  EXPECT_TRUE(full.push(1));
  std::atomic<bool> refused{false};
  std::thread producer([&] { refused = !full.push(2); });
  std::thread consumer([&] { EXPECT_EQ(empty.pop(), std::nullopt); });
  full.close();
  empty.close();
  producer.join();
  consumer.join();
  EXPECT_TRUE(refused);
}

TEST(BoundedQueueTest, NothingIsLostOrDoubledAmongManyThreads) {
  constexpr int kProducers = 3;
  constexpr int kEach = 2'000;
  BoundedQueue<int> queue(16);
  std::vector<std::thread> producers;
  std::vector<std::vector<int>> taken(2);
  std::vector<std::thread> consumers;
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&queue, p] {
      for (int i = 0; i < kEach; ++i) ASSERT_TRUE(queue.push(p * kEach + i));
    });
  }
  for (auto& mine : taken) {
    consumers.emplace_back([&queue, &mine] {
      while (const auto item = queue.pop()) mine.push_back(*item);
    });
  }
  for (auto& thread : producers) thread.join();
  queue.close();
  for (auto& thread : consumers) thread.join();
  std::vector<int> all = taken[0];
  all.insert(all.end(), taken[1].begin(), taken[1].end());
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), static_cast<std::size_t>(kProducers * kEach));
  for (int i = 0; i < kProducers * kEach; ++i) EXPECT_EQ(all[static_cast<std::size_t>(i)], i);
}

}  // namespace
}  // namespace freshet
