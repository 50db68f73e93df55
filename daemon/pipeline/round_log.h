// RoundLog: says in the log what rounds do: each one at level debug ("round_trained"), and at info, in words and with
// its numbers, one a second at most ("rounds_learnt"), which counts those that it leaves out.
//
// Threads: ingest thread only.  Owns: what it left out.  Failure: none.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/clock.h"
#include "core/log.h"
#include "daemon/pipeline/trainer_thread.h"

namespace freshet {

class RoundLog {
 public:
  RoundLog(Log& log, const Clock& clock) : log_(log), clock_(clock) {}

  // A round was collected. served_version: what is served from here on. redone: by a redo, of which debug alone hears.
  void note(const RoundResult& round, bool goes_live, std::uint64_t served_version, bool redone);

 private:
  Log& log_;
  const Clock& clock_;
  std::int64_t told_ns_ = 0;    // 0: never
  std::uint64_t left_out_ = 0;  // rounds since
};

}  // namespace freshet
