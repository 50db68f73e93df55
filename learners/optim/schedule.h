// Schedule: the learning rate of each step.
//
// Threads: immutable once made.  Owns: its options.  Failure: create() refuses a rate that cannot be used.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/status.h"

namespace freshet {

enum class ScheduleKind : std::uint8_t { kConstant };

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kConstant;
  float learning_rate = 0.02F;
};

class Schedule {
 public:
  static Result<std::unique_ptr<const Schedule>> create(const ScheduleOptions& options);
  virtual ~Schedule() = default;
  // step: optimizer steps taken before this one.
  virtual float rate(std::uint64_t step) const = 0;
};

}  // namespace freshet
