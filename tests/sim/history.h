// run_history: one random history of appends, rounds, checkpoints, erasures, faults, crashes and restarts, from a seed.
//
// Threads: any, a history at a time each.  Failure: `wrong` says what did not hold, `steps` how it came to that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace freshet::sim {

struct Tally {
  std::uint64_t events = 0, rounds = 0, checkpoints = 0, erasures = 0, kills = 0, power_cuts = 0, refused_writes = 0;
  std::uint64_t restarts = 0, failed_checkpoints = 0, crashes_in_recovery = 0;
  void add(const Tally& other);
  std::string text() const;
};

struct Outcome {
  std::string wrong;  // empty: all held
  std::vector<std::string> steps;
  Tally tally;
};

// `path`: an empty folder's name for the store; the files themselves are in memory.
Outcome run_history(std::uint64_t seed, const std::string& path);

}  // namespace freshet::sim
