#include "storage/spec_difference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <vector>

#include "core/feature_spec.h"

namespace freshet {
namespace {

constexpr std::size_t kDifferencesMax = 8;

// One feature, or the rest of the spec without its features, as comparable text.
std::string text_of(const FeatureSpec& feature) {
  EventSpec one;
  one.features.push_back(feature);
  return serialize_event_spec(one);
}

std::map<std::string, std::string> features_of(const EventSpec& spec) {
  std::map<std::string, std::string> features;
  for (const FeatureSpec& feature : spec.features) features[feature.name] = text_of(feature);
  return features;
}

}  // namespace

std::string describe_spec_difference(std::string_view stored, std::string_view given) {
  const auto before = parse_event_spec(stored);
  const auto after = parse_event_spec(given);
  if (!before.is_ok()) return "the stored spec cannot be read";
  if (!after.is_ok()) return "the given spec cannot be read";
  std::vector<std::string> differences;
  const auto old_features = features_of(*before);
  const auto new_features = features_of(*after);
  for (const auto& [name, text] : old_features) {
    const auto found = new_features.find(name);
    if (found == new_features.end()) {
      differences.push_back(fmt::format("feature {}: was there, is gone", name));
    } else if (found->second != text) {
      differences.push_back(fmt::format("feature {}: changed", name));
    }
  }
  for (const auto& [name, text] : new_features) {
    if (!old_features.contains(name)) differences.push_back(fmt::format("feature {}: is new", name));
  }
  const LabelSpec& old_label = before->label;
  const LabelSpec& new_label = after->label;
  if (old_label.field != new_label.field) {
    differences.push_back(fmt::format("label: was {}, is {}", old_label.field, new_label.field));
  } else if (old_label.classes != new_label.classes || old_label.class_names != new_label.class_names) {
    differences.push_back("label: its classes changed");
  }
  if (before->time_field != after->time_field) {
    differences.push_back(fmt::format("time: was \"{}\", is \"{}\"", before->time_field, after->time_field));
  }
  if (before->key_field != after->key_field) {
    differences.push_back(fmt::format("key: was \"{}\", is \"{}\"", before->key_field, after->key_field));
  }
  if (differences.empty()) return "the order of the features changed";
  const std::size_t total = differences.size();
  if (total > kDifferencesMax) {
    differences.resize(kDifferencesMax);
    differences.push_back(fmt::format("and {} more", total - kDifferencesMax));
  }
  return fmt::format("{}", fmt::join(differences, "; "));
}

}  // namespace freshet
