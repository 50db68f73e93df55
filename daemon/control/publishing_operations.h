// What an operator may ask of publishing beside a running daemon (`freshet model`), by name.
//
// Threads: `work` runs on one thread at a time.  Owns: nothing; borrows the pipeline.
// Failure: kInvalidArgument for arguments that are wrong or missing.
#pragma once

#include "daemon/control/state_operations.h"

namespace freshet {

// "publishing": {"action": see publishing.h, "version"} -> {"served_version", "paused", "pinned_version"}, once it is
// durable; "versions": {} -> {"served_version", "gate": {…}}, the newest versions with what became of them.
StateOperations publishing_operations(Pipeline& pipeline);

}  // namespace freshet
