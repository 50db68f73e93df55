// Parameter spaces and configurations as text, and back.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/core.h>

#include "core/hash.h"
#include "core/json_writer.h"
#include "learners/tuning/parameter_space.h"

namespace freshet::tuning {

namespace {

using Kind = SearchSpace::Kind;
constexpr double kNotActive = std::numeric_limits<double>::quiet_NaN();

bool whole(const SearchSpace& space) { return space.kind == Kind::kInteger || space.kind == Kind::kLogInteger; }

}  // namespace

std::optional<double> number_of(const std::string& text) {
  double value = 0.0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return fmt::format("{:.0f}", value);
  return fmt::format("{}", value);
}

std::uint64_t ParameterSpace::fingerprint() const {
  std::string text;
  for (const auto& setting : fixed_) text += fmt::format("{}={};", setting.option, setting.value);
  for (const auto& space : spaces_) {
    text += fmt::format("{}:{}:{}:{}", space.option, static_cast<int>(space.kind), space.lowest, space.highest);
    for (const auto& choice : space.choices) text += fmt::format("|{}", choice);
    for (const auto& condition : space.conditions) {
      text += fmt::format("?{}", condition.option);
      for (const auto& value : condition.values) text += fmt::format(",{}", value);
    }
    text += ';';
  }
  return hash_text(text);
}

std::string ParameterSpace::value_text(std::size_t i, double value) const {
  const auto& space = spaces_[i];
  if (space.kind == Kind::kChoice) return space.choices[static_cast<std::size_t>(value)];
  return number_text(value);
}

std::vector<Setting> ParameterSpace::settings(const Configuration& configuration) const {
  std::vector<Setting> settings;
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    const double value = configuration.values[i];
    if (!std::isnan(value)) settings.push_back({spaces_[i].option, value_text(i, value)});
  }
  return settings;
}

Result<double> ParameterSpace::parse_value(std::size_t i, const std::string& text) const {
  const auto& space = spaces_[i];
  if (space.kind == Kind::kChoice) {
    const auto found = std::find(space.choices.begin(), space.choices.end(), text);
    if (found != space.choices.end()) return static_cast<double>(found - space.choices.begin());
    return invalid_argument(fmt::format("{}: \"{}\" is none of the choices searched", space.option, text));
  }
  const auto value = number_of(text);
  if (!value) return invalid_argument(fmt::format("{}: \"{}\" is no number", space.option, text));
  if (!value_inside(i, *value)) {
    return out_of_range(fmt::format("{}: {} is outside of {} to {}", space.option, text, number_text(space.lowest),
                                    number_text(space.highest)));
  }
  return *value;
}

Result<Configuration> ParameterSpace::parse(std::span<const Setting> settings) const {
  Configuration made{std::vector<double>(spaces_.size(), kNotActive)};
  std::size_t used = 0;
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    if (!active(made, i)) continue;
    const auto setting = std::find_if(settings.begin(), settings.end(),
                                      [&](const Setting& other) { return other.option == spaces_[i].option; });
    if (setting == settings.end()) return invalid_argument(fmt::format("{} has no value", spaces_[i].option));
    made.values[i] = TRY(parse_value(i, setting->value));
    ++used;
  }
  if (used == settings.size()) return made;
  for (const auto& setting : settings) {
    bool known = false;
    for (std::size_t i = 0; i < spaces_.size(); ++i) {
      known = known || (spaces_[i].option == setting.option && !std::isnan(made.values[i]));
    }
    if (!known) return invalid_argument(fmt::format("{} is not searched here", setting.option));
  }
  return invalid_argument("an option is set twice");
}

Configuration ParameterSpace::nearest(std::span<const Setting> settings, Rng& rng) const {
  Configuration made{std::vector<double>(spaces_.size(), kNotActive)};
  std::vector<double> unit(spaces_.size());
  for (auto& coordinate : unit) coordinate = rng.uniform();
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    if (!active(made, i)) continue;
    const auto& space = spaces_[i];
    double value = value_at(i, unit[i]);
    for (const auto& setting : settings) {
      if (setting.option != space.option) continue;
      const auto exact = parse_value(i, setting.value);
      const auto number = number_of(setting.value);
      if (exact) {
        value = *exact;
      } else if (number && space.kind != Kind::kChoice) {
        value = std::clamp(whole(space) ? std::round(*number) : *number, space.lowest, space.highest);
      } else if (number && ordered_[i]) {
        double least = std::numeric_limits<double>::infinity();
        for (std::size_t choice = 0; choice < space.choices.size(); ++choice) {
          const double distance = std::abs(number_of(space.choices[choice]).value_or(0.0) - *number);
          if (distance < least) value = static_cast<double>(choice);
          least = std::min(least, distance);
        }
      }
    }
    made.values[i] = value;
  }
  return made;
}

std::string ParameterSpace::json(const Configuration& configuration) const {
  JsonWriter json(0);
  json.begin_object();
  for (std::size_t i = 0; i < spaces_.size(); ++i) {
    const double value = configuration.values[i];
    if (std::isnan(value)) continue;
    if (spaces_[i].kind == Kind::kChoice) {
      json.field(spaces_[i].option, value_text(i, value));
    } else {
      json.field(spaces_[i].option, value);
    }
  }
  json.end_object();
  return json.take();
}

}  // namespace freshet::tuning
