// KillNine: the daemon is killed again and again, at random moments of a run over a live stream from a real broker:
// while it starts, while it redoes its log, while it learns, while checkpoints and tables are written. Afterwards its
// state must be the one of a run that nothing happened to.
//
// The moments come from a seed, which is printed; FRESHET_KILL_SEED=N chooses the same ones again.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/rng.h"
#include "tests/integration/freshet_process.h"
#include "tests/integration/stored_state.h"

namespace freshet::test {

struct KillPlan {
  std::span<const std::string> lines;
  std::int32_t partitions = 1;
  int kills = 1;
  bool counted_rounds = true;  // otherwise a timer cuts them, and a model goes live when it is ready
  double events_per_second = 1500;
  std::vector<std::string> settings = {};  // beside those that all have
  // In the log; every second life is killed soon after it says so, or else as any other.
  std::string soon_after = {};
};

class KillNineTest : public KafkaIntegrationTest {
 protected:
  // The whole of it: kills, the rest of the stream in peace, the accounts, the comparison.
  void run(const KillPlan& plan);

 private:
  // One life of the daemon, killed at a moment of the seed's choosing; fails when it ends by itself.
  void live_and_die(const KillPlan& plan, const std::vector<std::string>& sets, Rng& rng);
  // The rest of the stream, to an orderly end.
  void live(const std::vector<std::string>& sets, std::size_t events);
  std::vector<std::string> sets_for(const KillPlan& plan, const std::string& store) const;
  // `freshet state WORDS`, under way.
  std::unique_ptr<ChildProcess> state_command(std::vector<std::string> words) const;
  void expect_ok(std::vector<std::string> words) const;
  static void expect_equal(const FinalState& found, const FinalState& wanted);
  void expect_replayed(const FinalState& wanted) const;
  void compare_with_uninterrupted(const KillPlan& plan, const FinalState& killed);

 protected:
  std::string logs_;      // of all lives of the run that was killed
  FinalState last_ = {};  // what that run came to
};

}  // namespace freshet::test
