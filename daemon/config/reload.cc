#include "daemon/config/reload.h"

#include <fmt/format.h>

namespace freshet {

ReloadPlan plan_reload(const Config& running, const Config& wanted) {
  ReloadPlan plan;
  plan.next = running;
  for (const auto& option : option_table()) {
    const OptionValue from = option.get(running);
    const OptionValue to = option.get(wanted);
    if (format_option(option, from, true) == format_option(option, to, true)) continue;
    OptionChange change{option.name, format_option(option, from), format_option(option, to), option.change};
    if (option.change == Change::kLive) {
      option.set(plan.next, to);
      plan.applied.push_back(std::move(change));
    } else {
      plan.pending.push_back(std::move(change));
    }
  }
  return plan;
}

std::string describe(const OptionChange& change) {
  return fmt::format("{} {} -> {}", change.name, change.from, change.to);
}

std::string describe_waiting(const OptionChange& change) {
  return describe(change) + (change.change == Change::kNewState
                                 ? " waits for a fresh memory.path: what is stored depends on it"
                                 : " waits for a restart");
}

}  // namespace freshet
