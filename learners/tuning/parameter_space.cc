#include "learners/tuning/parameter_space.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

#include <fmt/core.h>

namespace freshet::tuning {

namespace {

using Kind = SearchSpace::Kind;
constexpr double kNotActive = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kSpacesMost = 1024;

bool logarithmic(const SearchSpace& space) { return space.kind == Kind::kLogFloat || space.kind == Kind::kLogInteger; }
bool whole(const SearchSpace& space) { return space.kind == Kind::kInteger || space.kind == Kind::kLogInteger; }

bool rising_numbers(const std::vector<std::string>& choices) {
  double last = -std::numeric_limits<double>::infinity();
  for (const auto& choice : choices) {
    const auto value = number_of(choice);
    if (!value || *value <= last) return false;
    last = *value;
  }
  return choices.size() > 1;
}

// Whether both can hold at once: not where one option would need two values.
bool may_meet(const SearchSpace& a, const SearchSpace& b) {
  for (const auto& one : a.conditions) {
    for (const auto& other : b.conditions) {
      if (one.option != other.option) continue;
      const bool common = std::any_of(one.values.begin(), one.values.end(), [&](const std::string& value) {
        return std::find(other.values.begin(), other.values.end(), value) != other.values.end();
      });
      if (!common) return false;
    }
  }
  return true;
}

// The ends of a range as its coordinate runs; a half more on each side of integers, so that each gets an equal part.
struct Ends {
  double low, high;
};
Ends ends_of(const SearchSpace& space) {
  double low = space.lowest;
  double high = space.highest;
  if (whole(space)) {
    low -= 0.5;
    high += 0.5;
  }
  if (logarithmic(space)) return {std::log(low), std::log(high)};
  return {low, high};
}

}  // namespace

bool Configuration::operator==(const Configuration& other) const {
  return std::equal(values.begin(), values.end(), other.values.begin(), other.values.end(),
                    [](double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); });
}

double normal(Rng& rng) {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - rng.uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * rng.uniform());
}

Result<ParameterSpace> ParameterSpace::create(std::vector<SearchSpace> spaces, std::vector<Setting> fixed) {
  if (spaces.size() > kSpacesMost) return invalid_argument(fmt::format("{} search spaces", spaces.size()));
  ParameterSpace made;
  made.fixed_ = std::move(fixed);
  std::vector<std::string> left_out;
  for (auto& space : spaces) {
    TRY(check(space));
    const auto wrong = [&](const std::string& what) {
      return invalid_argument(fmt::format("the search space of {} {}", space.option, what));
    };
    bool never = false;
    std::vector<SearchSpace::Condition> open;
    for (auto& condition : space.conditions) {
      const auto setting = std::find_if(made.fixed_.begin(), made.fixed_.end(),
                                        [&](const Setting& other) { return other.option == condition.option; });
      const bool before = std::any_of(made.spaces_.begin(), made.spaces_.end(),
                                      [&](const SearchSpace& other) { return other.option == condition.option; });
      const auto listed = [&](const std::string& value) {
        return std::find(condition.values.begin(), condition.values.end(), value) != condition.values.end();
      };
      if (before) {
        for (const auto& other : made.spaces_) {
          if (other.option != condition.option || other.kind != Kind::kChoice) continue;
          if (std::none_of(other.choices.begin(), other.choices.end(), listed)) never = true;
        }
        open.push_back(std::move(condition));
      } else if (setting != made.fixed_.end()) {
        never = never || !listed(setting->value);
      } else if (std::find(left_out.begin(), left_out.end(), condition.option) != left_out.end()) {
        never = true;
      } else {
        return wrong(fmt::format("depends on {}, which is neither searched before it nor set", condition.option));
      }
    }
    if (never) {
      left_out.push_back(space.option);
      continue;
    }
    space.conditions = std::move(open);
    for (const auto& other : made.spaces_) {
      if (other.option == space.option && may_meet(other, space)) return wrong("stands there twice at once");
    }
    if (space.kind == Kind::kChoice) {
      auto sorted = space.choices;
      std::sort(sorted.begin(), sorted.end());
      if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return wrong("has a choice twice");
    }
    if (whole(space) && (space.lowest != std::floor(space.lowest) || space.highest != std::floor(space.highest))) {
      return wrong("is of whole numbers and its ends are none");
    }
    std::erase_if(made.fixed_, [&](const Setting& other) { return other.option == space.option; });
    made.spaces_.push_back(std::move(space));
  }
  if (made.spaces_.empty()) return invalid_argument("a study without anything to search");
  for (std::size_t i = 0; i < made.spaces_.size(); ++i) {
    const auto& space = made.spaces_[i];
    made.ordered_.push_back(space.kind != Kind::kChoice || rising_numbers(space.choices));
    const std::size_t width = made.ordered_.back() ? 1 : (space.choices.size() > 1 ? space.choices.size() : 0);
    made.groups_.insert(made.groups_.end(), width, static_cast<std::uint32_t>(i));
  }
  return made;
}

bool ParameterSpace::holds(const SearchSpace::Condition& condition, const Configuration& configuration,
                           std::size_t before) const {
  for (std::size_t i = 0; i < before; ++i) {
    if (spaces_[i].option != condition.option || std::isnan(configuration.values[i])) continue;
    const std::string text = value_text(i, configuration.values[i]);
    return std::find(condition.values.begin(), condition.values.end(), text) != condition.values.end();
  }
  return false;
}

bool ParameterSpace::active(const Configuration& configuration, std::size_t i) const {
  return std::all_of(spaces_[i].conditions.begin(), spaces_[i].conditions.end(),
                     [&](const auto& condition) { return holds(condition, configuration, i); });
}

bool ParameterSpace::value_inside(std::size_t i, double value) const {
  const auto& space = spaces_[i];
  if (space.kind == Kind::kChoice) {
    return value >= 0.0 && value < static_cast<double>(space.choices.size()) && value == std::floor(value);
  }
  return value >= space.lowest && value <= space.highest && (!whole(space) || value == std::floor(value));
}

Status ParameterSpace::check_inside(const Configuration& configuration) const {
  if (configuration.values.size() != spaces_.size()) {
    return invalid_argument(
        fmt::format("a configuration of {} values for {} spaces", configuration.values.size(), spaces_.size()));
  }
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    const double value = configuration.values[i];
    if (active(configuration, i) == std::isnan(value)) {
      return invalid_argument(fmt::format("{} {}", spaces_[i].option,
                                          std::isnan(value) ? "has no value" : "has a value and is not searched here"));
    }
    if (!std::isnan(value) && !value_inside(i, value)) {
      return out_of_range(fmt::format("{} is {}, outside of its search space", spaces_[i].option, value));
    }
  }
  return Status::ok();
}

double ParameterSpace::value_at(std::size_t i, double unit) const {
  const auto& space = spaces_[i];
  unit = std::clamp(unit, 0.0, 1.0);
  if (space.kind == Kind::kChoice) {
    const auto count = static_cast<double>(space.choices.size());
    return std::min(std::floor(unit * count), count - 1.0);
  }
  const auto [low, high] = ends_of(space);
  double value = low + unit * (high - low);
  if (logarithmic(space)) value = std::exp(value);
  if (whole(space)) value = std::floor(value + 0.5);
  return std::clamp(value, space.lowest, space.highest);
}

double ParameterSpace::unit_of(std::size_t i, double value) const {
  const auto& space = spaces_[i];
  if (space.kind == Kind::kChoice) return (value + 0.5) / static_cast<double>(space.choices.size());
  const auto [low, high] = ends_of(space);
  const double at = logarithmic(space) ? std::log(value) : value;
  return std::clamp((at - low) / (high - low), 0.0, 1.0);
}

void ParameterSpace::fill(Configuration& configuration, std::span<const double> unit) const {
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    if (!active(configuration, i)) {
      configuration.values[i] = kNotActive;
    } else if (std::isnan(configuration.values[i])) {
      configuration.values[i] = value_at(i, unit[i]);
    }
  }
}

Configuration ParameterSpace::from_unit(std::span<const double> unit) const {
  Configuration made{std::vector<double>(spaces_.size(), kNotActive)};
  fill(made, unit);
  return made;
}

Configuration ParameterSpace::sample(Rng& rng) const {
  std::vector<double> unit(spaces_.size());
  for (auto& coordinate : unit) coordinate = rng.uniform();
  return from_unit(unit);
}

Configuration ParameterSpace::neighbour(const Configuration& configuration, Rng& rng, double spread) const {
  std::vector<std::size_t> movable;
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    const bool one = spaces_[i].kind == Kind::kChoice && spaces_[i].choices.size() == 1;
    if (!std::isnan(configuration.values[i]) && !one) movable.push_back(i);
  }
  Configuration moved = configuration;
  std::vector<double> unit(spaces_.size());
  for (auto& coordinate : unit) coordinate = rng.uniform();
  if (!movable.empty()) {
    const std::size_t i = movable[rng.below(movable.size())];
    const auto& space = spaces_[i];
    const double value = configuration.values[i];
    if (space.kind == Kind::kChoice) {
      const auto count = static_cast<std::uint64_t>(space.choices.size());
      const auto other = rng.below(count - 1);
      moved.values[i] = static_cast<double>(other + (static_cast<double>(other) >= value ? 1 : 0));
    } else {
      double at = unit_of(i, value) + spread * normal(rng);
      at = std::abs(at);  // back in at the end that it left by
      if (at > 1.0) at = 2.0 - at;
      moved.values[i] = value_at(i, at);
    }
  }
  fill(moved, unit);
  return moved;
}

void ParameterSpace::encode(const Configuration& configuration, std::span<double> point) const {
  std::size_t at = 0;
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    const auto& space = spaces_[i];
    const double value = configuration.values[i];
    if (ordered_[i]) {
      double coordinate = 0.5;
      if (!std::isnan(value)) {
        coordinate =
            space.kind == Kind::kChoice ? value / static_cast<double>(space.choices.size() - 1) : unit_of(i, value);
      }
      point[at++] = coordinate;
    } else if (space.choices.size() > 1) {
      for (std::size_t choice = 0; choice < space.choices.size(); ++choice) {
        point[at++] = value == static_cast<double>(choice) ? 1.0 : 0.0;
      }
    }
  }
}

std::vector<double> ParameterSpace::grid_values(std::size_t i, std::size_t points) const {
  const auto& space = spaces_[i];
  std::vector<double> values;
  if (space.kind == Kind::kChoice) {
    for (std::size_t choice = 0; choice < space.choices.size(); ++choice) values.push_back(static_cast<double>(choice));
    return values;
  }
  for (std::size_t p = 0; p < points; ++p) {
    const double share = points == 1 ? 0.5 : static_cast<double>(p) / static_cast<double>(points - 1);
    double value = logarithmic(space) ? std::exp(std::log(space.lowest) * (1 - share) + std::log(space.highest) * share)
                                      : space.lowest * (1 - share) + space.highest * share;
    if (whole(space)) value = std::round(value);
    value = std::clamp(value, space.lowest, space.highest);
    if (values.empty() || value != values.back()) values.push_back(value);
  }
  return values;
}

std::vector<Configuration> ParameterSpace::grid(std::size_t points, std::size_t limit) const {
  std::vector<Configuration> made = {{std::vector<double>(spaces_.size(), kNotActive)}};
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    const auto values = grid_values(i, std::max<std::size_t>(points, 1));
    std::vector<Configuration> next;
    for (const auto& configuration : made) {
      if (!active(configuration, i)) {
        if (next.size() < limit) next.push_back(configuration);
        continue;
      }
      for (const double value : values) {
        if (next.size() >= limit) break;
        next.push_back(configuration);
        next.back().values[i] = value;
      }
    }
    made = std::move(next);
  }
  return made;
}

}  // namespace freshet::tuning
