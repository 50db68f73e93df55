#include "learners/optim/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include <fmt/core.h>

namespace freshet {

namespace {

constexpr std::array<std::string_view, 5> kScheduleNames = {"constant", "noam", "inverse_sqrt", "cosine_restarts",
                                                            "exponential"};

class ConstantRate final : public Schedule {
 public:
  explicit ConstantRate(float rate) : rate_(rate) {}
  float rate(std::uint64_t /*step*/) const override { return rate_; }

 private:
  float rate_;
};

double noam(const ScheduleOptions& options, double s) {
  const auto warmup = static_cast<double>(options.warmup_steps);
  return options.scale / std::sqrt(static_cast<double>(options.dim)) *
         std::min(1.0 / std::sqrt(s), s / (warmup * std::sqrt(warmup)));
}

double inverse_sqrt(const ScheduleOptions& options, double s) {
  const auto warmup = static_cast<double>(options.warmup_steps);
  return static_cast<double>(options.learning_rate) * std::min(s / warmup, std::sqrt(warmup / s));
}

double cosine_restarts(const ScheduleOptions& options, std::uint64_t d) {
  std::uint64_t period = options.first_period;
  if (options.t_mult == 1) {
    d %= period;
  } else {
    // At least doubled each time: at most 64 rounds.
    while (d >= period) {
      d -= period;
      const bool fits = period <= std::numeric_limits<std::uint64_t>::max() / options.t_mult;
      period = fits ? period * options.t_mult : std::numeric_limits<std::uint64_t>::max();
    }
  }
  const double share = static_cast<double>(d) / static_cast<double>(period);
  const double above = static_cast<double>(options.learning_rate) - options.minimum_rate;
  return options.minimum_rate + 0.5 * above * (1.0 + std::cos(std::numbers::pi * share));
}

double exponential(const ScheduleOptions& options, std::uint64_t d) {
  const std::uint64_t stairs = d / options.decay_steps;
  const double exponent = options.staircase ? static_cast<double>(stairs)
                                            : static_cast<double>(d) / static_cast<double>(options.decay_steps);
  return static_cast<double>(options.learning_rate) * std::pow(options.decay_rate, exponent);
}

class MovingRate final : public Schedule {
 public:
  explicit MovingRate(const ScheduleOptions& options) : options_(options) {}
  float rate(std::uint64_t step) const override {
    const std::uint64_t after = step > options_.start_step ? step - options_.start_step : 0;
    const std::uint64_t d = after / options_.step_duration;
    return static_cast<float>(std::max(of_kind(d), options_.minimum_rate));
  }

 private:
  double of_kind(std::uint64_t d) const {
    const double s = static_cast<double>(d) + 1.0;
    switch (options_.kind) {
      case ScheduleKind::kConstant:
        break;
      case ScheduleKind::kNoam:
        return noam(options_, s);
      case ScheduleKind::kInverseSqrt:
        return inverse_sqrt(options_, s);
      case ScheduleKind::kCosineRestarts:
        return cosine_restarts(options_, d);
      case ScheduleKind::kExponential:
        return exponential(options_, d);
    }
    return static_cast<double>(options_.learning_rate);
  }

  ScheduleOptions options_;
};

bool positive(double value) { return value > 0.0 && std::isfinite(value); }

Status check(const ScheduleOptions& options) {
  if (static_cast<std::size_t>(options.kind) >= kScheduleNames.size()) {
    return invalid_argument("no such learning rate schedule");
  }
  if (!positive(static_cast<double>(options.learning_rate))) {
    return invalid_argument(fmt::format("the learning rate is {}; it must be above 0", options.learning_rate));
  }
  if (options.step_duration == 0) return invalid_argument("a schedule's step lasts at least one step of training");
  if (!(options.minimum_rate >= 0.0) || !std::isfinite(options.minimum_rate)) {
    return invalid_argument(fmt::format("the minimum rate is {}; it must be 0 or more", options.minimum_rate));
  }
  switch (options.kind) {
    case ScheduleKind::kConstant:
      break;
    case ScheduleKind::kNoam:
      if (options.dim == 0) return invalid_argument("the noam schedule needs a dim: this model has no hidden layer");
      if (!positive(options.scale)) return invalid_argument("the noam schedule needs a scale above 0");
      [[fallthrough]];
    case ScheduleKind::kInverseSqrt:
      if (options.warmup_steps == 0) return invalid_argument("the schedule's warm-up takes at least 1 step");
      break;
    case ScheduleKind::kCosineRestarts:
      if (options.first_period == 0 || options.t_mult == 0) {
        return invalid_argument("a cosine needs a first period of at least 1 step, and t_mult of at least 1");
      }
      if (options.minimum_rate >= static_cast<double>(options.learning_rate)) {
        return invalid_argument("a cosine needs a minimum rate below the learning rate");
      }
      break;
    case ScheduleKind::kExponential:
      if (!(options.decay_rate > 0.0 && options.decay_rate < 1.0) || options.decay_steps == 0) {
        return invalid_argument("exponential decay needs a rate between 0 and 1, over at least 1 step");
      }
      break;
  }
  return Status::ok();
}

}  // namespace

std::string_view schedule_name(ScheduleKind kind) { return kScheduleNames.at(static_cast<std::size_t>(kind)); }

Result<ScheduleKind> parse_schedule(std::string_view name) {
  for (std::size_t i = 0; i < kScheduleNames.size(); ++i) {
    if (kScheduleNames.at(i) == name) return static_cast<ScheduleKind>(i);
  }
  return invalid_argument(fmt::format(
      "no learning rate schedule \"{}\"; there are constant, noam, inverse_sqrt, cosine_restarts and exponential",
      name));
}

Result<std::unique_ptr<const Schedule>> Schedule::create(const ScheduleOptions& options) {
  TRY(check(options));
  std::unique_ptr<const Schedule> schedule;
  const bool moves = options.kind != ScheduleKind::kConstant;
  if (moves) {
    schedule = std::make_unique<MovingRate>(options);
  } else {
    schedule =
        std::make_unique<ConstantRate>(std::max(options.learning_rate, static_cast<float>(options.minimum_rate)));
  }
  return schedule;
}

double peak_rate(const ScheduleOptions& options) {
  if (options.kind == ScheduleKind::kNoam) return noam(options, static_cast<double>(options.warmup_steps));
  return static_cast<double>(options.learning_rate);
}

}  // namespace freshet
