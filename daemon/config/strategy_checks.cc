#include "daemon/config/strategy_checks.h"

#include <cmath>

namespace freshet {

namespace {

using setting::Strategy;

// learning.NAME.* belongs to the strategy NAME.
void check_owners(const Config& config, Faults& faults) {
  constexpr std::string_view kSection = "learning.";
  const std::string strategy = option_text(config, "learning.strategy");
  const Option* strategies = find_option("learning.strategy");
  if (strategies == nullptr) return;
  for (const Option& option : option_table()) {
    const std::string_view name = option.name;
    if (!name.starts_with(kSection)) continue;
    const std::string_view owner = name.substr(kSection.size(), name.find('.', kSection.size()) - kSection.size());
    for (const std::string& choice : strategies->choices) {
      if (owner == choice) check_belongs(config, owner == strategy, name, fmt::format("`strategy: {}`", owner), faults);
    }
  }
}

void check_share(const Config& config, Faults& faults) {
  const auto& learning = config.learning;
  const auto replayed = std::lround(learning.replay_ratio * learning.batch_size);
  if (replayed > 0 && replayed < static_cast<long>(learning.batch_size)) return;
  faults.add("learning.batch_size",
             "a batch of {} at replay_ratio {} leaves {} fresh and {} replayed rows; each needs at least 1",
             learning.batch_size, learning.replay_ratio, static_cast<long>(learning.batch_size) - replayed, replayed);
}

}  // namespace

MemoryUse memory_use(Strategy strategy) {
  switch (strategy) {
    case Strategy::kFinetune:
    case Strategy::kLwf:
    case Strategy::kEwc:
      return MemoryUse::kNone;
    case Strategy::kGdumb:
    case Strategy::kJoint:
    case Strategy::kOfflineEr:
    case Strategy::kRepeatedDistillation:
      return MemoryUse::kWhole;
    case Strategy::kEr:
    case Strategy::kDer:
    case Strategy::kDerPp:
    case Strategy::kErAce:
    case Strategy::kPodEr:
    case Strategy::kClsEr:
    case Strategy::kMir:
    case Strategy::kSuperEr:
      break;
  }
  return MemoryUse::kShare;
}

bool replays_events(const LearningConfig& learning) {
  return memory_use(learning.strategy) == MemoryUse::kShare && learning.replay_ratio > 0;
}

void check_strategy(const Config& config, Faults& faults) {
  const auto& learning = config.learning;
  const auto is = [&](Strategy strategy) { return learning.strategy == strategy; };
  const std::string name = option_text(config, "learning.strategy");
  const bool regression = config.model.task == Task::kRegression;
  if (is(Strategy::kErAce) && regression) {
    faults.add("learning.strategy", "er_ace tells classes apart; a regression has none");
  }
  if (is(Strategy::kGdumb) && regression) {
    faults.add("learning.strategy", "gdumb keeps as many events of each class; a regression has none");
  } else if (is(Strategy::kGdumb) && config.memory.policy != setting::Policy::kClassBalanced) {
    faults.add("memory.policy", "gdumb trains on a memory balanced by class; say `policy: class_balanced`");
  }
  const auto architecture = config.model.architecture;
  const bool hidden = architecture != setting::Architecture::kLinear &&
                      architecture != setting::Architecture::kConvnet &&
                      architecture != setting::Architecture::kTorchscript && !config.model.hidden.empty();
  if (is(Strategy::kPodEr) && !hidden) {
    faults.add("learning.strategy", "pod_er stores hidden layers; this model has none");
  }
  if (is(Strategy::kRepeatedDistillation) && config.serving.weights == setting::Weights::kEma) {
    faults.add("serving.weights",
               "ema would average the experts of repeated_distillation in, which learn fresh events alone; take raw or "
               "average");
  }
  check_owners(config, faults);

  const bool draws = replays_events(learning);
  if (draws) check_share(config, faults);
  // Replay is all that these add to fine-tuning.
  const bool without_use = is(Strategy::kMir) || is(Strategy::kClsEr) || is(Strategy::kSuperEr);
  if (without_use && learning.replay_ratio <= 0) {
    faults.add("learning.replay_ratio", "is 0, but strategy {} is about replayed events; give a share, such as 0.5",
               name);
  }
  const bool no_room = config.memory.capacity_events == 0 && config.memory.policy != setting::Policy::kUnbounded;
  if (draws && no_room) {
    faults.add("memory.capacity_events",
               "is 0, but strategy {} with replay_ratio {} replays from the memory; "
               "give it room or say `strategy: finetune`",
               name, learning.replay_ratio);
  } else if (memory_use(learning.strategy) == MemoryUse::kWhole && no_room) {
    faults.add("memory.capacity_events",
               "is 0, but strategy {} trains on the whole memory; give it room or say `strategy: finetune`", name);
  }
}

}  // namespace freshet
