// The process that store_fault_test kills: this test program, started again with "--crash-child PATH SEED".
#pragma once

#include <string>

namespace freshet::testing {

inline constexpr const char* kCrashChildFlag = "--crash-child";

// Appends and checkpoints until it is killed; a byte to standard output after every append that returned.
int run_crash_child(const std::string& path, std::uint64_t seed);

// What the child's checkpoint at `seq` holds.
std::string crash_blob(std::uint64_t seq);

}  // namespace freshet::testing
