// Reads and writes `stream.features`: `auto`, or a map of feature names to what they are.
//
//   distance: number
//   tail:     {kind: category, input: false}
//   image:    {kind: vector, size: 784}
//   route:    {kind: cross, of: [origin, dest]}
//   hour:     {kind: time_part, part: hour_of_day}
//   recent:   {kind: target_mean, by: [origin, carrier], half_life_events: 50, prior_weight: 1, keys_max: 64k}
//
// Threads: pure functions.  Failure: every fault is collected with its place. What features say of each other is
// checked by core's validate_features.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/yaml_tree.h"

namespace freshet {

std::optional<FeatureList> parse_features(const YamlNode& node, std::vector<YamlFault>& faults);

// One feature as it stands behind its name: `number`, `{kind: vector, size: 784}`.
std::string format_feature(const FeatureSpec& feature);
// `auto` or a flow map of all features.
std::string format_features(const FeatureList& features);

// The Markdown section of the reference page.
std::string feature_reference();

}  // namespace freshet
