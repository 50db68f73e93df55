// Clock, log and metrics: the doubles that other tests stand on must be right themselves.
#include <gtest/gtest.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/metrics.h"

namespace freshet {
namespace {

TEST(ClockTest, TheManualClockMovesOnlyWhenTold) {
  ManualClock clock(1'000);
  const std::int64_t before = clock.monotonic_ns();
  EXPECT_EQ(clock.wall_ms(), 1'000);
  clock.advance_ms(250);
  EXPECT_EQ(clock.wall_ms(), 1'250);
  EXPECT_EQ(clock.monotonic_ns() - before, 250'000'000);
  clock.set_wall_ms(0);
  EXPECT_EQ(clock.monotonic_ns() - before, 250'000'000);
}

TEST(ClockTest, TheSystemClockNeverGoesBack) {
  const SystemClock clock;
  const std::int64_t first = clock.monotonic_ns();
  EXPECT_GE(clock.monotonic_ns(), first);
  EXPECT_GT(clock.wall_ms(), 1'600'000'000'000);
}

TEST(LogTest, TheMemoryLogKeepsEventsAndMessages) {
  MemoryLog log;
  log.warning("round_slow", "the round took long", {{"seconds", 2.5}, {"round", std::uint64_t{7}}});
  EXPECT_EQ(log.lines().size(), 1U);
  EXPECT_TRUE(log.contains("round_slow"));
  EXPECT_TRUE(log.contains("took long"));
  EXPECT_FALSE(log.contains("absent"));
}

TEST(MetricsTest, TheSameNameAndLabelsAreTheSameSeries) {
  LocalMetrics metrics;
  Counter& counter = metrics.counter("freshet_x_total", "x", {{"reason", "a"}});
  counter.increment();
  metrics.counter("freshet_x_total", "x", {{"reason", "a"}}).add(2);
  metrics.counter("freshet_x_total", "x", {{"reason", "b"}}).add(10);
  EXPECT_EQ(counter.value(), 3);
  Gauge& gauge = metrics.gauge("freshet_y", "y");
  gauge.set(4);
  gauge.add(-1);
  EXPECT_EQ(metrics.gauge("freshet_y", "y").value(), 3);
}

}  // namespace
}  // namespace freshet
