// Counts this thread's allocations: a prediction and a training round must make none once they are warm.
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include "learners/training/learner.h"
#include "learners/training/strategy.h"
#include "tests/learners/training/synthetic_events.h"

#if !defined(FRESHET_SANITIZED)  // the sanitizers bring their own operator new

// gcc sees malloc() inside one replaced operator and free() inside the other, and takes them for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace {
thread_local std::size_t allocations = 0;

void* counted(std::size_t size, std::size_t alignment) {
  ++allocations;
  void* memory = alignment > alignof(std::max_align_t)
                     ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
                     : std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(std::size_t size) { return counted(size, 1); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace freshet {
namespace {

TEST(Allocations, AreNoneInWarmPredictionsAndSteps) {
  const auto layout = synthetic_layout(6, 3);
  LearnerOptions options;
  options.model.embedding_rows = 1024;
  auto learner = Learner::create(options, layout, Device{}).value();
  const auto events = synthetic_events(layout, 200, 1, Task::kBinary);
  ASSERT_TRUE(learner->train_round({&events, &events, 0}).is_ok());
  const auto predictor = learner->publish(1);
  Predictions out;
  ASSERT_TRUE(predictor->predict(events, 0, 200, out).is_ok());

  std::size_t before = allocations;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(predictor->predict(events, 0, 200, out).is_ok());
    ASSERT_TRUE(predictor->predict(events, 7, 8, out).is_ok());
  }
  EXPECT_EQ(allocations, before) << "predict";

  before = allocations;
  ASSERT_TRUE(learner->train_round({&events, &events, 1}).is_ok());
  EXPECT_EQ(allocations, before) << "train_round";
}

// What a strategy keeps to work with, and what it stores, lies in room that is there.
TEST(Allocations, AreNoneInWarmStepsOfStrategies) {
  const auto layout = synthetic_layout(6, 3);
  for (const char* strategy : {"er", "finetune", "der", "der_pp", "er_ace", "pod_er"}) {
    LearnerOptions options;
    options.strategy = strategy;
    options.model.embedding_rows = 1024;
    auto learner = Learner::create(options, layout, Device{}).value();
    auto events = synthetic_events(layout, 200, 1, Task::kBinary);
    for (std::size_t i = 0; i < events.size(); ++i) events.seqs[i] = i + 1;
    std::vector<std::vector<float>> stored, to_store;
    for (const StoredColumn& column : learner->stored_columns()) {
      stored.emplace_back(200 * column.width, 0.25F);
      to_store.emplace_back(200 * column.width);
    }
    const std::vector<std::span<float>> stored_views(stored.begin(), stored.end());
    const std::vector<std::span<float>> to_store_views(to_store.begin(), to_store.end());
    ASSERT_TRUE(learner->train_round({&events, &events, 0, {}, stored_views, to_store_views}).is_ok());
    const std::size_t before = allocations;
    const bool trained = learner->train_round({&events, &events, 1, {}, stored_views, to_store_views}).is_ok();
    EXPECT_EQ(allocations, before) << strategy;
    EXPECT_TRUE(trained);
  }
}

}  // namespace
}  // namespace freshet

#endif
