// What a daemon's own studies may change, and what they ask of the other options.
//
// Threads: pure functions.  Owns: nothing.  Failure: in words, to the list of faults.
#pragma once

#include <string_view>

#include "daemon/config/config.h"
#include "daemon/config/config_faults.h"

namespace freshet {

// Whether another value of the option can be taken over while the stream goes on: what the memory stores with events,
// how rounds are cut, what a loss means and the shape of the model, of which versions are kept, stay as they are.
bool adoptable(std::string_view option);

void check_tuning(const Config& config, Faults& faults);

}  // namespace freshet
