#include "learners/tuning/scheduler.h"

#include <array>

#include <fmt/core.h>

#include "learners/tuning/schedulers.h"

namespace freshet::tuning {

namespace {

struct Entry {
  std::string_view name;
  std::unique_ptr<Scheduler> (*make)(const SchedulerOptions& options);
};
constexpr std::array<Entry, 6> kTable = {{
    {"plain", make_plain},
    {"successive_halving", make_successive_halving},
    {"hyperband", make_hyperband},
    {"asha", make_asha},
    {"pasha", make_pasha},
    {"median", make_median},
}};
constexpr std::array<std::string_view, 6> kNames = {kTable[0].name, kTable[1].name, kTable[2].name,
                                                    kTable[3].name, kTable[4].name, kTable[5].name};
constexpr std::uint64_t kResourceMost = std::uint64_t{1} << 40;

}  // namespace

std::span<const std::string_view> scheduler_names() { return kNames; }

Result<std::unique_ptr<Scheduler>> make_scheduler(const SchedulerOptions& options) {
  if (options.grace == 0 || options.max_resource < options.grace || options.max_resource > kResourceMost) {
    return invalid_argument(
        fmt::format("a study's trials cannot be trained for {} to {} units: the least is at least 1 "
                    "and not above the most",
                    options.grace, options.max_resource));
  }
  if (options.eta < 2 || options.eta > 1000) {
    return invalid_argument(fmt::format("eta is {}: from 2 to 1000 trials of which one goes on", options.eta));
  }
  if (options.brackets == 0 || options.brackets > 32) {
    return invalid_argument(fmt::format("{} brackets: from 1 to 32", options.brackets));
  }
  if (!(options.epsilon_percentile >= 0.0 && options.epsilon_percentile <= 100.0)) {
    return invalid_argument(fmt::format("{} is no percentile", options.epsilon_percentile));
  }
  for (const auto& entry : kTable) {
    if (entry.name == options.kind) return entry.make(options);
  }
  return invalid_argument(fmt::format(
      "there is no scheduler \"{}\": plain, successive_halving, hyperband, asha, pasha or median", options.kind));
}

}  // namespace freshet::tuning
