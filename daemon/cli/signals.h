// Signals of the process, as values that a loop can look at. SIGTERM and SIGINT ask to stop, SIGHUP to read the
// configuration again; SIGPIPE is ignored (a client that goes away is no reason to end).
//
// Threads: install before other threads start; the flags may be read from any.
// Owns: the process's handlers until it goes out of scope.  Failure: none.
#pragma once

#include <atomic>

namespace freshet {

class StopOnSignal {
 public:
  StopOnSignal();
  ~StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  const std::atomic<bool>& flag() const;
  // True once for each SIGHUP (or several close together).
  bool take_reload();
};

}  // namespace freshet
