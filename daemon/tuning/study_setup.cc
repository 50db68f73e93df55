#include "daemon/tuning/study_setup.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "daemon/config/option_table.h"
#include "daemon/config/value_text.h"

namespace freshet {
namespace {

constexpr std::string_view kOptimizerOption = "learning.optimizer";
constexpr std::array<std::string_view, 4> kGroups = {"optimizer", "schedule", "strategy", "model"};
// Metrics that a held-out set gives, by task.
constexpr std::array<std::string_view, 9> kBinaryMetrics = {
    "log_loss", "accuracy", "auc", "precision", "recall", "f1", "f1_macro", "f1_weighted", "brier"};
constexpr std::array<std::string_view, 4> kClassMetrics = {"log_loss", "accuracy", "f1_macro", "f1_weighted"};
constexpr std::array<std::string_view, 3> kValueMetrics = {"mae", "rmse", "r2"};

std::span<const std::string_view> metrics_of(Task task) {
  if (task == Task::kBinary) return kBinaryMetrics;
  return task == Task::kMulticlass ? std::span<const std::string_view>(kClassMetrics) : kValueMetrics;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::vector<SearchSpace> group(std::string_view name) {
  if (name == "optimizer") return optimizer_search_spaces();
  if (name == "schedule") return schedule_search_spaces();
  if (name == "strategy") return strategy_search_spaces();
  return model_search_spaces();
}

Status check_choices(const Option& option, const std::string& text) {
  YamlNode node;
  node.kind = YamlNode::Kind::kScalar;
  node.text = text;
  std::vector<YamlFault> faults;
  if (parse_option(option, node, faults)) return Status::ok();
  return invalid_argument(fmt::format("tuning.space: {}", faults.empty() ? "a value does not fit" : faults[0].what));
}

}  // namespace

Result<SearchSpace> parse_search_space(const std::string& option, std::string_view text) {
  const Option* declared = find_option(option);
  if (declared == nullptr) {
    const std::string hint = option_hint(option);
    return invalid_argument(
        fmt::format("tuning.space: there is no option {}{}{}", option, hint.empty() ? "" : "; ", hint));
  }
  const auto wrong = [&] {
    return invalid_argument(
        fmt::format("tuning.space: {}: expected a range (0.001..0.5 log), whole numbers (1..8) or "
                    "choices (16|32|64); got '{}'",
                    option, text));
  };
  std::string_view left = trimmed(text);
  const auto dots = left.find("..");
  if (dots == std::string_view::npos) {
    std::vector<std::string> choices;
    while (!left.empty()) {
      const auto bar = left.find('|');
      const std::string choice(trimmed(left.substr(0, bar)));
      left.remove_prefix(bar == std::string_view::npos ? left.size() : bar + 1);
      if (choice.empty()) return wrong();
      TRY(check_choices(*declared, choice));
      choices.push_back(choice);
    }
    if (choices.size() < 2) return wrong();
    return SearchSpace::choice(option, std::move(choices));
  }
  const bool logarithmic = left.ends_with(" log");
  if (logarithmic) left.remove_suffix(4);
  const std::string low(trimmed(left.substr(0, dots)));
  const std::string high(trimmed(left.substr(dots + 2)));
  const auto lowest = parse_real(low);
  const auto highest = parse_real(high);
  if (!lowest || !highest || *lowest >= *highest || (logarithmic && *lowest <= 0)) return wrong();
  TRY(check_choices(*declared, low));
  TRY(check_choices(*declared, high));
  if (declared->type == OptionType::kWhole) {
    const auto first = static_cast<std::int64_t>(*lowest);
    const auto last = static_cast<std::int64_t>(*highest);
    return logarithmic ? SearchSpace::log_integer(option, first, last) : SearchSpace::integer(option, first, last);
  }
  return logarithmic ? SearchSpace::logarithmic(option, *lowest, *highest)
                     : SearchSpace::linear(option, *lowest, *highest);
}

Result<tuning::ParameterSpace> study_space(const Config& config, bool in_place) {
  std::vector<SearchSpace> spaces;
  std::set<std::string> own;
  for (const auto& [option, text] : config.tuning.space) {
    spaces.push_back(TRY(parse_search_space(option, text)));
    own.insert(option);
  }
  for (const std::string& name : config.tuning.search) {
    if (std::ranges::find(kGroups, name) == kGroups.end()) {
      return invalid_argument(
          fmt::format("tuning.search: expected some of {}; got '{}'", fmt::join(kGroups, ", "), name));
    }
    for (SearchSpace& space : group(name)) {
      if (own.contains(space.option) || (in_place && space.option == kOptimizerOption)) continue;
      spaces.push_back(std::move(space));
    }
  }
  if (spaces.empty()) return invalid_argument("tuning: nothing is searched; name something in tuning.search or .space");
  // What conditions ask of options that are not searched.
  std::set<std::string> searched;
  std::set<std::string> asked;
  for (const SearchSpace& space : spaces) {
    searched.insert(space.option);
    for (const auto& condition : space.conditions) asked.insert(condition.option);
  }
  std::vector<tuning::Setting> fixed;
  for (const std::string& option : asked) {
    if (!searched.contains(option)) fixed.push_back({option, option_text(config, option)});
  }
  return tuning::ParameterSpace::create(std::move(spaces), std::move(fixed));
}

Result<tuning::StudyOptions> study_options(const Config& config) {
  tuning::StudyOptions options;
  options.searcher.kind = option_text(config, "tuning.searcher");
  options.searcher.seed = config.tuning.seed;
  options.scheduler.kind = option_text(config, "tuning.scheduler");
  options.scheduler.max_resource = config.tuning.max_resource;
  options.scheduler.grace = config.tuning.grace;
  options.scheduler.eta = config.tuning.eta;
  options.scheduler.brackets = config.tuning.brackets;
  options.max_trials = config.tuning.max_trials;
  options.max_compute_ratio = config.tuning.max_compute_ratio;
  if (config.tuning.grace > config.tuning.max_resource) {
    return invalid_argument(fmt::format("tuning.grace: is {}, more than the {} stretches of tuning.max_resource",
                                        config.tuning.grace, config.tuning.max_resource));
  }
  return options;
}

tuning::RunnerOptions runner_options(const Config& config) {
  tuning::RunnerOptions options;
  options.workers = config.tuning.workers;
  // Behind a daemon on the same machine, but not stopped by whatever else runs there: somebody waits for the result.
  options.priority = tuning::WorkerPriority::kNice;
  return options;
}

Result<TrialObjective> trial_objective(const Config& config) {
  TrialObjective objective;
  objective.forgetting_penalty = config.tuning.forgetting_penalty;
  objective.metric = config.tuning.metric;
  objective.is_loss = objective.metric == "auto" || objective.metric == "log_loss";
  if (objective.metric == "auto") objective.metric = config.model.task == Task::kRegression ? "rmse" : "log_loss";
  const auto known = metrics_of(config.model.task);
  if (std::ranges::find(known, objective.metric) != known.end()) return objective;
  return invalid_argument(fmt::format("tuning.metric: of a {} task expected one of auto, {}; got '{}'",
                                      task_name(config.model.task), fmt::join(known, ", "), config.tuning.metric));
}

}  // namespace freshet
