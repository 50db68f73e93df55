#include "learners/drift/detector_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

namespace freshet {
namespace {

std::optional<double> read_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool within(const DetectorOption& option, double value) {
  if (option.above_lowest ? value <= option.lowest : value < option.lowest) return false;
  return option.below_highest ? value < option.highest : value <= option.highest;
}

std::optional<double> read_value(const DetectorOption& option, std::string_view text) {
  if (option.type == DetectorOptionType::kFlag) {
    if (text == "true" || text == "1") return 1;
    if (text == "false" || text == "0") return 0;
    return std::nullopt;
  }
  if (option.type == DetectorOptionType::kChoice) {
    const auto found = std::ranges::find(option.choices, text);
    if (found == option.choices.end()) return std::nullopt;
    return static_cast<double>(found - option.choices.begin());
  }
  const auto value = read_number(text);
  if (!value || !within(option, *value)) return std::nullopt;
  if (option.type == DetectorOptionType::kWhole && *value != std::floor(*value)) return std::nullopt;
  return value;
}

}  // namespace

std::string detector_option_text(const DetectorOption& option, double value) {
  if (option.type == DetectorOptionType::kFlag) return value != 0 ? "true" : "false";
  if (option.type == DetectorOptionType::kChoice) return std::string(option.choices[static_cast<std::size_t>(value)]);
  return fmt::format("{}", value);
}

std::string detector_option_bounds(const DetectorOption& option) {
  if (option.type == DetectorOptionType::kFlag) return "true or false";
  if (option.type == DetectorOptionType::kChoice) return fmt::format("{}", fmt::join(option.choices, ", "));
  return fmt::format("{}{}, {} {}", option.above_lowest ? "above " : "at least ", option.lowest,
                     option.below_highest ? "below" : "at most", option.highest);
}

DetectorSettings::DetectorSettings(const DetectorKind& kind) : kind_(&kind) {
  values_.reserve(kind.options.size());
  for (const DetectorOption& option : kind.options) values_.push_back(option.standard);
}

std::size_t DetectorSettings::place_of(std::string_view name) const {
  const auto found = std::ranges::find(kind_->options, name, &DetectorOption::name);
  return static_cast<std::size_t>(found - kind_->options.begin());
}

Status DetectorSettings::set(std::string_view name, std::string_view text) {
  const std::size_t place = place_of(name);
  if (place == kind_->options.size()) {
    std::vector<std::string_view> names;
    for (const DetectorOption& option : kind_->options) names.push_back(option.name);
    return invalid_argument(fmt::format("{} has no option '{}'; it has {}", kind_->name, name, fmt::join(names, ", ")));
  }
  const DetectorOption& option = kind_->options[place];
  const auto value = read_value(option, text);
  if (!value) {
    return invalid_argument(fmt::format("{} of {} is {}{}, not '{}'", name, kind_->name,
                                        option.type == DetectorOptionType::kWhole ? "a whole number, " : "",
                                        detector_option_bounds(option), text));
  }
  values_[place] = *value;
  return Status::ok();
}

Status DetectorSettings::assign(std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    return invalid_argument(fmt::format("'{}' is not of the form name=value", assignment));
  }
  return set(assignment.substr(0, equals), assignment.substr(equals + 1));
}

double DetectorSettings::real(std::string_view name) const {
  const std::size_t place = place_of(name);
  if (place == values_.size()) abort_with(fmt::format("{} has no option {}", kind_->name, name));
  return values_[place];
}

std::uint64_t DetectorSettings::whole(std::string_view name) const { return static_cast<std::uint64_t>(real(name)); }

bool DetectorSettings::flag(std::string_view name) const { return real(name) != 0; }

std::size_t DetectorSettings::choice(std::string_view name) const { return static_cast<std::size_t>(real(name)); }

std::string DetectorSettings::text() const {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < values_.size(); ++i) {
    words.push_back(fmt::format("{}={}", kind_->options[i].name, detector_option_text(kind_->options[i], values_[i])));
  }
  return fmt::format("{}", fmt::join(words, " "));
}

}  // namespace freshet
