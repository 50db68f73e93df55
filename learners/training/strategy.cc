#include "learners/training/strategy.h"

#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "learners/training/strategies/strategies.h"

namespace freshet {

namespace {

struct Entry {
  std::string_view name;
  Result<std::unique_ptr<Strategy>> (*make)(const StrategyOptions& options);
};

constexpr std::array kStrategies = {
    Entry{"er", strategies::make_experience_replay},
    Entry{"finetune", strategies::make_fine_tune},
    Entry{"der", strategies::make_der},
    Entry{"der_pp", strategies::make_der_pp},
    Entry{"er_ace", strategies::make_er_ace},
    Entry{"pod_er", strategies::make_pod_er},
};

}  // namespace

std::vector<std::string_view> Strategy::names() {
  std::vector<std::string_view> names;
  for (const Entry& entry : kStrategies) names.push_back(entry.name);
  return names;
}

Result<std::unique_ptr<Strategy>> Strategy::create(const StrategyOptions& options) {
  if (!(options.replay_ratio >= 0.0F && options.replay_ratio < 1.0F)) {
    return invalid_argument(fmt::format("the replay ratio is {}; it must be in [0, 1)", options.replay_ratio));
  }
  for (const Entry& entry : kStrategies) {
    if (options.kind == entry.name) return entry.make(options);
  }
  return invalid_argument(fmt::format("no strategy \"{}\"; there are {}", options.kind, fmt::join(names(), ", ")));
}

}  // namespace freshet
