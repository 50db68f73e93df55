// What an operator may change of a running daemon's log (`freshet log-level`).
//
// Threads: `work` runs on one thread at a time.  Owns: nothing but the function that it is given.
// Failure: kInvalidArgument for a level that there is not.
#pragma once

#include <functional>

#include "core/log.h"
#include "daemon/control/state_operations.h"

namespace freshet {

// "log_level": {"level": "debug"|"info"|"warning"|"error"} -> {"level"}. Until the next one, or a reload.
StateOperations log_operations(std::function<void(LogLevel)> set_level);

}  // namespace freshet
