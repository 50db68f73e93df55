// Schedule: the learning rate of each step, a function of the step's number alone, so that nothing of it is saved.
//
// With d = max(step - start_step, 0) / step_duration, rounded down, and s = d + 1, the rate is the larger of
// minimum_rate and what the kind makes of d; before start_step it does not move (the wrapper of OpenNMT-tf):
//   constant         learning_rate
//   noam             scale * dim^-0.5 * min(s^-0.5, s * warmup_steps^-1.5) (Vaswani et al., 2017)
//   inverse_sqrt     learning_rate * min(s / warmup_steps, (warmup_steps / s)^0.5): up in a line, then down, as fairseq
//   cosine_restarts  from learning_rate down to minimum_rate along half a cosine within first_period, then from the top
//                    again with each period t_mult times as long (SGDR: Loshchilov and Hutter, 2017)
//   exponential      learning_rate * decay_rate^(d / decay_steps); staircase: the exponent is rounded down
//
// Threads: immutable once made.  Owns: its options.  Failure: create() refuses options that give no usable rate.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "core/status.h"

namespace freshet {

enum class ScheduleKind : std::uint8_t { kConstant, kNoam, kInverseSqrt, kCosineRestarts, kExponential };
Result<ScheduleKind> parse_schedule(std::string_view name);
std::string_view schedule_name(ScheduleKind kind);

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kConstant;
  float learning_rate = 0.02F;         // all but noam
  double scale = 2.0;                  // noam
  std::uint32_t dim = 0;               // noam; 0: Learner takes the model's first hidden width
  std::uint64_t warmup_steps = 8000;   // noam, inverse_sqrt
  std::uint64_t first_period = 10000;  // cosine_restarts
  std::uint32_t t_mult = 1;            // cosine_restarts
  double decay_rate = 0.9;             // exponential
  std::uint64_t decay_steps = 1000;    // exponential
  bool staircase = false;              // exponential
  std::uint64_t start_step = 0;
  std::uint64_t step_duration = 1;
  double minimum_rate = 0.0;
};

class Schedule {
 public:
  static Result<std::unique_ptr<const Schedule>> create(const ScheduleOptions& options);
  virtual ~Schedule() = default;
  // step: optimizer steps taken before this one.
  virtual float rate(std::uint64_t step) const = 0;
};

// The highest rate that any step gets, minimum_rate aside.
double peak_rate(const ScheduleOptions& options);

}  // namespace freshet
