#include "serving/model_slot.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "tests/serving/fake_model.h"

namespace freshet {
namespace {

using test::FakePredictor;

std::shared_ptr<const Predictor> model(std::uint64_t version) { return std::make_shared<FakePredictor>(version); }

TEST(ModelSlot, IsEmptyUntilTheFirstPublication) {
  const ManualClock clock;
  const ModelSlot slot(clock);
  EXPECT_EQ(slot.current(), nullptr);
  EXPECT_TRUE(slot.loaded_versions().empty());
  EXPECT_TRUE(slot.history().empty());
}

TEST(ModelSlot, ServesTheNewestAndKeepsSomeBefore) {
  ManualClock clock(1000);
  ModelSlot slot(clock, 2);
  for (std::uint64_t version = 1; version <= 4; ++version) {
    slot.publish(model(version));
    clock.advance_ms(10);
  }
  EXPECT_EQ(slot.current()->version(), 4U);
  EXPECT_EQ(slot.loaded_versions(), (std::vector<std::uint64_t>{4, 3, 2}));
  EXPECT_EQ(slot.find(2)->version(), 2U);
  EXPECT_EQ(slot.find(1), nullptr);
  const auto history = slot.history();
  ASSERT_EQ(history.size(), 4U);
  EXPECT_EQ(history[0].version, 4U);
  EXPECT_EQ(history[0].wall_ms, 1030);
  EXPECT_EQ(history[3].wall_ms, 1000);
}

TEST(ModelSlot, RollsBackToAKeptVersionOnly) {
  const ManualClock clock;
  ModelSlot slot(clock, 2);
  for (std::uint64_t version = 1; version <= 4; ++version) slot.publish(model(version));
  EXPECT_EQ(slot.roll_back(1).code(), Code::kNotFound);
  EXPECT_EQ(slot.roll_back(4).code(), Code::kNotFound);  // is live already
  ASSERT_TRUE(slot.roll_back(2));
  EXPECT_EQ(slot.current()->version(), 2U);
  EXPECT_EQ(slot.loaded_versions(), (std::vector<std::uint64_t>{2, 4, 3}));
  EXPECT_TRUE(slot.history().front().rolled_back_to);
  slot.publish(model(5));
  EXPECT_EQ(slot.loaded_versions(), (std::vector<std::uint64_t>{5, 2, 4}));
}

TEST(ModelSlot, BoundsItsHistory) {
  const ManualClock clock;
  ModelSlot slot(clock);
  for (std::uint64_t version = 1; version <= 3 * ModelSlot::kHistoryMax; ++version) slot.publish(model(version));
  EXPECT_EQ(slot.history().size(), ModelSlot::kHistoryMax);
}

TEST(ModelSlot, FreesARetiredVersionOnlyOnceNobodyHoldsIt) {
  const ManualClock clock;
  std::set<std::uint64_t> destroyed;  // outlives the slot, whose end frees the last model
  ModelSlot slot(clock, 0);
  const auto publish = [&](std::uint64_t version) {
    slot.publish(std::make_shared<FakePredictor>(version, 1, FakePredictor::Answer{},
                                                 [&](std::uint64_t gone) { destroyed.insert(gone); }));
  };
  publish(1);
  auto held = slot.current();
  for (std::uint64_t version = 2; version <= 5; ++version) publish(version);
  EXPECT_EQ(slot.release_idle(), 1U);
  EXPECT_EQ(destroyed, (std::set<std::uint64_t>{2, 3, 4}));
  EXPECT_EQ(held->version(), 1U);
  held.reset();
  EXPECT_FALSE(destroyed.contains(1)) << "a reader freed a model";
  EXPECT_EQ(slot.release_idle(), 0U);
  EXPECT_TRUE(destroyed.contains(1));
}

TEST(ModelSlot, NeverFreesOnAReadersThread) {
  const ManualClock clock;
  constexpr std::uint64_t kVersions = 2000;
  std::mutex mutex;
  std::set<std::thread::id> freed_on;
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> went_back{0};
  {
    ModelSlot slot(clock, 1);
    slot.publish(model(1));
    std::vector<std::thread> readers;
    for (int i = 0; i < 4; ++i) {
      readers.emplace_back([&] {
        std::uint64_t last = 0;
        while (!done.load()) {
          const auto current = slot.current();
          if (current->version() < last) ++went_back;
          last = current->version();
        }
      });
    }
    for (std::uint64_t version = 2; version <= kVersions; ++version) {
      slot.publish(std::make_shared<FakePredictor>(version, 1, FakePredictor::Answer{}, [&](std::uint64_t) {
        const std::lock_guard lock(mutex);
        freed_on.insert(std::this_thread::get_id());
      }));
    }
    done = true;
    for (auto& reader : readers) reader.join();
  }
  EXPECT_EQ(went_back.load(), 0U);
  EXPECT_EQ(freed_on, std::set<std::thread::id>{std::this_thread::get_id()});
}

}  // namespace
}  // namespace freshet
