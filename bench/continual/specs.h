// The runs of the table: which strategies, memories and settings each protocol is gone through with.
//
// Threads: pure functions.  Owns: nothing.  Failure: none.
#pragma once

#include <string_view>
#include <vector>

#include "bench/continual/run.h"

namespace freshet::bench {

// What all runs of a protocol share: model, loss, optimizer, batch.
RunSpec base_spec(std::string_view protocol);

// In the order of the table. Strategies that this build does not have are left out.
std::vector<RunSpec> table_of(std::string_view protocol);

}  // namespace freshet::bench
