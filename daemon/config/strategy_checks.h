// What a strategy asks of the other options.
//
// Threads: pure functions.  Owns: nothing.  Failure: in words, to the list of faults.
#pragma once

#include "daemon/config/config.h"
#include "daemon/config/config_faults.h"

namespace freshet {

// What a strategy takes from the memory: nothing, a share of each batch, or whole passes over it.
enum class MemoryUse : std::uint8_t { kNone, kShare, kWhole };
MemoryUse memory_use(setting::Strategy strategy);

// Whether any batch has events drawn from the memory.
bool replays_events(const LearningConfig& learning);

void check_strategy(const Config& config, Faults& faults);

}  // namespace freshet
