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
    Entry{"lwf", strategies::make_lwf},
    Entry{"ewc", strategies::make_ewc},
    Entry{"cls_er", strategies::make_cls_er},
    Entry{"mir", strategies::make_mir},
    Entry{"super_er", strategies::make_super_er},
    Entry{"gdumb", strategies::make_gdumb},
    Entry{"joint", strategies::make_joint},
    Entry{"offline_er", strategies::make_offline_er},
    Entry{"repeated_distillation", strategies::make_repeated_distillation},
};

}  // namespace

std::span<const RoundPhase> Strategy::plan(std::uint64_t /*round*/) const {
  static constexpr RoundPhase kStream;
  return {&kStream, 1};
}

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
