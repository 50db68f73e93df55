// 25 kills in all; the slow tests do it 200 times over the whole year of flights.
#include "tests/integration/kill_nine.h"

namespace freshet::test {
namespace {

TEST_F(KillNineTest, OnePartitionAndCountedRoundsEndAsTheUninterruptedRun) {
  run({.lines = flights(30'500), .partitions = 1, .kills = 13, .counted_rounds = true, .events_per_second = 1500});
}

TEST_F(KillNineTest, FourPartitionsAndTimedRoundsLoseAndDoubleNothing) {
  run({.lines = flights(30'000), .partitions = 4, .kills = 12, .counted_rounds = false, .events_per_second = 1500});
}

}  // namespace
}  // namespace freshet::test
