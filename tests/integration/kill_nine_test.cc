// 25 kills in all; the slow tests do it 200 times over the whole year of flights.
#include "tests/integration/kill_nine.h"

namespace freshet::test {
namespace {

TEST_F(KillNineTest, OnePartitionAndCountedRoundsEndAsTheUninterruptedRun) {
  run({.lines = flights(30'500), .partitions = 1, .kills = 13, .counted_rounds = true, .events_per_second = 1500});
}

// A change in the stream begins a study; the daemon dies in the middle of it and of what follows. Trials, rungs and the
// winner are part of the state that is compared.
TEST_F(KillNineTest, AStudyEndsAsTheUninterruptedOne) {
  constexpr std::size_t kEvents = 30'500;
  constexpr std::size_t kTurn = 12'000;
  const auto first = flights(kEvents);
  std::vector<std::string> lines(first.begin(), first.end());
  for (std::size_t i = kTurn; i < kEvents; ++i) {
    std::string& line = lines[i];
    const auto label = line.find("\"label\": ") + 9;
    ASSERT_TRUE(line[label] == '0' || line[label] == '1') << line;
    line[label] = line[label] == '0' ? '1' : '0';
  }
  run({.lines = lines,
       .partitions = 1,
       .kills = 14,
       .counted_rounds = true,
       .events_per_second = 1500,
       .settings = {"tuning.on_drift=true", "drift.detectors=[{kind: adwin, on: reference}]",
                    "drift.reference_events=6000", "tuning.wait_events=500", "tuning.max_trials=12", "tuning.pace=1",
                    "tuning.challenger.events=6000", "serving.gate.enabled=false"},
       .soon_after = "study 1"});
  if (HasFatalFailure()) return;
  EXPECT_EQ(last_.snapshot.tuning.studies, 1U);
  EXPECT_EQ(last_.snapshot.tuning.phase, StudyPhase::kIdle);
  EXPECT_NE(logs_.find("study 1 goes on where it was"), std::string::npos) << "no kill was in the middle of the study";
}

TEST_F(KillNineTest, FourPartitionsAndTimedRoundsLoseAndDoubleNothing) {
  run({.lines = flights(30'000), .partitions = 4, .kills = 12, .counted_rounds = false, .events_per_second = 1500});
}

}  // namespace
}  // namespace freshet::test
