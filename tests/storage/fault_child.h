// The process of store_disk_faults_test: this test program, started again with "--fault-child PATH PLAN...". It lives a
// short life of a store on a FaultyDisk and compares what the disk then holds with what was acknowledged.
#pragma once

#include <string>
#include <vector>

#include "tests/storage/faulty_disk.h"

namespace freshet::testing {

inline constexpr const char* kFaultChildFlag = "--fault-child";

std::vector<std::string> fault_child_arguments(const std::string& path, const FaultPlan& plan);

// 0: all is as it should be. The number of operations of the plan's kind goes to standard output, what is wrong to
// standard error.
int run_fault_child(const std::vector<std::string>& arguments);

}  // namespace freshet::testing
