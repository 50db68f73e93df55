#include "learners/optim/schedule.h"

#include <cmath>

#include <fmt/core.h>

namespace freshet {

namespace {

class ConstantRate final : public Schedule {
 public:
  explicit ConstantRate(float rate) : rate_(rate) {}
  float rate(std::uint64_t /*step*/) const override { return rate_; }

 private:
  float rate_;
};

}  // namespace

Result<std::unique_ptr<const Schedule>> Schedule::create(const ScheduleOptions& options) {
  if (!(options.learning_rate > 0.0F) || !std::isfinite(options.learning_rate)) {
    return invalid_argument(fmt::format("the learning rate is {}; it must be above 0", options.learning_rate));
  }
  std::unique_ptr<const Schedule> schedule;
  switch (options.kind) {
    case ScheduleKind::kConstant:
      schedule = std::make_unique<ConstantRate>(options.learning_rate);
      break;
  }
  if (schedule == nullptr) return invalid_argument("no such learning rate schedule");
  return schedule;
}

}  // namespace freshet
