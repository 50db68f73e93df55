// What changes between the running configuration and one that was re-read on SIGHUP.
//
// Threads: pure functions.  Failure: none.
#pragma once

#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/option_table.h"

namespace freshet {

struct OptionChange {
  std::string name;
  std::string from;  // as `config show` prints it, secrets masked
  std::string to;
  Change change = Change::kRestart;
};

struct ReloadPlan {
  Config next;                        // the running configuration with the live changes in it
  std::vector<OptionChange> applied;  // live: in `next`
  std::vector<OptionChange> pending;  // not in `next`: they wait for a restart, or for a fresh memory.path
};

ReloadPlan plan_reload(const Config& running, const Config& wanted);

// "learning.learning_rate 0.02 -> 0.01"
std::string describe(const OptionChange& change);
// Of a pending one, with what it waits for.
std::string describe_waiting(const OptionChange& change);

}  // namespace freshet
