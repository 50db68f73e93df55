// raise_open_files: lets the process open as many files as the system's hard limit allows; the usual soft limit of 1024
// is less than the connections that a server is asked to hold.
//
// Threads: main, at start.  Owns: nothing.
// Failure: a limit below what is needed is said in the log; the server then refuses connections when files run out.
#pragma once

#include <cstdint>

#include "core/log.h"

namespace freshet {

// `needed`: files that the configuration can make it open.
void raise_open_files(std::uint64_t needed, Log& log);

}  // namespace freshet
