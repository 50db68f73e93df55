#include "learners/tuning/search_space.h"

#include <cmath>

#include <fmt/core.h>

namespace freshet {

namespace {

constexpr const char* kOptimizer = "learning.optimizer";
constexpr const char* kStrategy = "learning.strategy";
constexpr const char* kSchedule = "learning.schedule.kind";

SearchSpace range(std::string option, SearchSpace::Kind kind, double lowest, double highest) {
  return {std::move(option), kind, lowest, highest, {}, {}};
}

std::vector<SearchSpace> lwf_spaces() {
  return {SearchSpace::logarithmic("learning.lwf.alpha", 0.1, 10).when(kStrategy, {"lwf"}),
          SearchSpace::linear("learning.lwf.temperature", 1, 4).when(kStrategy, {"lwf"}),
          SearchSpace::log_integer("learning.lwf.every_rounds", 1, 256).when(kStrategy, {"lwf"})};
}
std::vector<SearchSpace> ewc_spaces() {
  return {SearchSpace::logarithmic("learning.ewc.lambda", 0.01, 1000).when(kStrategy, {"ewc"}),
          SearchSpace::linear("learning.ewc.decay", 0.5, 1).when(kStrategy, {"ewc"}),
          SearchSpace::log_integer("learning.ewc.every_rounds", 1, 256).when(kStrategy, {"ewc"})};
}
std::vector<SearchSpace> cls_er_spaces() {
  return {SearchSpace::logarithmic("learning.cls_er.alpha", 0.1, 2).when(kStrategy, {"cls_er"}),
          SearchSpace::logarithmic("learning.cls_er.beta", 0.01, 2).when(kStrategy, {"cls_er"}),
          SearchSpace::linear("learning.cls_er.stable_probability", 0.01, 0.8).when(kStrategy, {"cls_er"}),
          SearchSpace::linear("learning.cls_er.plastic_probability", 0.5, 1).when(kStrategy, {"cls_er"})};
}
std::vector<SearchSpace> mir_spaces() {
  return {SearchSpace::integer("learning.mir.candidates", 2, 10).when(kStrategy, {"mir"})};
}
std::vector<SearchSpace> super_er_spaces() {
  return {SearchSpace::logarithmic("learning.super_er.alpha", 0.1, 2).when(kStrategy, {"super_er"}),
          SearchSpace::logarithmic("learning.super_er.beta", 0.1, 2).when(kStrategy, {"super_er"}),
          SearchSpace::logarithmic("learning.super_er.cls_beta", 0.01, 2).when(kStrategy, {"super_er"}),
          SearchSpace::linear("learning.super_er.shrink", 0.5, 1).when(kStrategy, {"super_er"}),
          SearchSpace::log_integer("learning.super_er.shrink_every_rounds", 1, 1024).when(kStrategy, {"super_er"})};
}
std::vector<SearchSpace> gdumb_spaces() {
  return {SearchSpace::log_integer("learning.gdumb.passes", 1, 256).when(kStrategy, {"gdumb"})};
}
std::vector<SearchSpace> joint_spaces() {
  return {SearchSpace::log_integer("learning.joint.passes", 1, 16).when(kStrategy, {"joint"})};
}
std::vector<SearchSpace> offline_er_spaces() {
  return {SearchSpace::log_integer("learning.offline_er.passes", 1, 16).when(kStrategy, {"offline_er"}),
          SearchSpace::linear("learning.offline_er.fresh_weight", 0.1, 0.9).when(kStrategy, {"offline_er"})};
}
std::vector<SearchSpace> repeated_distillation_spaces() {
  const std::vector<std::string> own = {"repeated_distillation"};
  return {SearchSpace::log_integer("learning.repeated_distillation.expert_passes", 1, 16).when(kStrategy, own),
          SearchSpace::log_integer("learning.repeated_distillation.passes", 1, 16).when(kStrategy, own),
          SearchSpace::linear("learning.repeated_distillation.temperature", 1, 4).when(kStrategy, own)};
}

}  // namespace

SearchSpace SearchSpace::linear(std::string option, double lowest, double highest) {
  return range(std::move(option), Kind::kFloat, lowest, highest);
}
SearchSpace SearchSpace::logarithmic(std::string option, double lowest, double highest) {
  return range(std::move(option), Kind::kLogFloat, lowest, highest);
}
SearchSpace SearchSpace::integer(std::string option, std::int64_t lowest, std::int64_t highest) {
  return range(std::move(option), Kind::kInteger, static_cast<double>(lowest), static_cast<double>(highest));
}
SearchSpace SearchSpace::log_integer(std::string option, std::int64_t lowest, std::int64_t highest) {
  return range(std::move(option), Kind::kLogInteger, static_cast<double>(lowest), static_cast<double>(highest));
}
SearchSpace SearchSpace::choice(std::string option, std::vector<std::string> choices) {
  return {std::move(option), Kind::kChoice, 0.0, 0.0, std::move(choices), {}};
}

SearchSpace&& SearchSpace::when(std::string other, std::vector<std::string> values) && {
  conditions.push_back({std::move(other), std::move(values)});
  return std::move(*this);
}

Status check(const SearchSpace& space) {
  const auto wrong = [&](std::string_view what) {
    return invalid_argument(fmt::format("the search space of {} {}", space.option, what));
  };
  if (space.option.empty()) return invalid_argument("a search space names no option");
  for (const auto& condition : space.conditions) {
    if (condition.option == space.option) return wrong("depends on itself");
    if (condition.option.empty() || condition.values.empty()) return wrong("has an empty condition");
  }
  if (space.kind == SearchSpace::Kind::kChoice) return space.choices.empty() ? wrong("has no choice") : Status::ok();
  if (!std::isfinite(space.lowest) || !std::isfinite(space.highest) || space.lowest >= space.highest) {
    return wrong("is no range");
  }
  const bool logarithmic = space.kind == SearchSpace::Kind::kLogFloat || space.kind == SearchSpace::Kind::kLogInteger;
  if (logarithmic && space.lowest <= 0.0) return wrong("is logarithmic and must begin above 0");
  return Status::ok();
}

std::vector<SearchSpace> optimizer_search_spaces() {
  const std::vector<std::string> by_rate = {"constant", "inverse_sqrt", "cosine_restarts", "exponential"};
  const auto rate = [&](double lowest, double highest, std::vector<std::string> optimizers) {
    return SearchSpace::logarithmic("learning.learning_rate", lowest, highest)
        .when(kOptimizer, std::move(optimizers))
        .when(kSchedule, by_rate);
  };
  return {
      SearchSpace::choice(kOptimizer, {"sgd", "adam", "adamw", "adagrad"}),
      rate(1e-3, 0.5, {"sgd", "adagrad"}),
      rate(1e-5, 0.05, {"adam", "adamw"}),
      SearchSpace::choice("learning.momentum", {"0", "0.9", "0.99"}).when(kOptimizer, {"sgd"}),
      SearchSpace::choice("learning.nesterov", {"false", "true"})
          .when(kOptimizer, {"sgd"})
          .when("learning.momentum", {"0.9", "0.99"}),
      SearchSpace::logarithmic("learning.weight_decay", 1e-6, 1e-2),
  };
}

std::vector<SearchSpace> model_search_spaces() {
  constexpr const char* kArchitecture = "model.architecture";
  return {
      SearchSpace::choice(kArchitecture, {"linear", "mlp", "wide_deep", "dcn"}),
      SearchSpace::integer("model.cross_layers", 1, 4).when(kArchitecture, {"dcn"}),
      SearchSpace::choice("model.cross", {"stacked", "parallel"}).when(kArchitecture, {"dcn"}),
      SearchSpace::choice("model.cross_rank", {"0", "8", "16"}).when(kArchitecture, {"dcn"}),
      SearchSpace::choice("model.embedding_dim", {"4", "8", "16"}).when(kArchitecture, {"mlp", "wide_deep", "dcn"}),
  };
}

std::vector<SearchSpace> strategy_search_spaces() {
  std::vector<SearchSpace> spaces = {
      SearchSpace::linear("learning.replay_ratio", 0.1, 0.9)
          .when(kStrategy, {"er", "der", "der_pp", "er_ace", "pod_er", "cls_er", "mir", "super_er"}),
      SearchSpace::logarithmic("learning.der.alpha", 0.1, 2).when(kStrategy, {"der"}),
      SearchSpace::logarithmic("learning.der_pp.alpha", 0.1, 2).when(kStrategy, {"der_pp"}),
      SearchSpace::logarithmic("learning.der_pp.beta", 0.1, 2).when(kStrategy, {"der_pp"}),
      SearchSpace::logarithmic("learning.pod_er.alpha", 0.1, 10).when(kStrategy, {"pod_er"}),
  };
  for (const auto& of_one : {lwf_spaces(), ewc_spaces(), cls_er_spaces(), mir_spaces(), super_er_spaces(),
                             gdumb_spaces(), joint_spaces(), offline_er_spaces(), repeated_distillation_spaces()}) {
    spaces.insert(spaces.end(), of_one.begin(), of_one.end());
  }
  return spaces;
}

std::vector<SearchSpace> schedule_search_spaces() {
  return {
      SearchSpace::choice(kSchedule, {"constant", "noam", "inverse_sqrt", "cosine_restarts", "exponential"}),
      SearchSpace::logarithmic("learning.schedule.scale", 0.1, 10).when(kSchedule, {"noam"}),
      SearchSpace::log_integer("learning.schedule.warmup_steps", 100, 10'000).when(kSchedule, {"noam", "inverse_sqrt"}),
      SearchSpace::log_integer("learning.schedule.first_period", 100, 100'000).when(kSchedule, {"cosine_restarts"}),
      SearchSpace::choice("learning.schedule.t_mult", {"1", "2"}).when(kSchedule, {"cosine_restarts"}),
      SearchSpace::linear("learning.schedule.decay_rate", 0.5, 0.99).when(kSchedule, {"exponential"}),
      SearchSpace::log_integer("learning.schedule.decay_steps", 100, 100'000).when(kSchedule, {"exponential"}),
  };
}

}  // namespace freshet
