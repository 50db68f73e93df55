#include "daemon/config/feature_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "daemon/config/value_text.h"

namespace freshet {
namespace {

constexpr std::array kKinds = {FeatureKind::kNumber, FeatureKind::kCategory, FeatureKind::kBoolean,   FeatureKind::kVector,
                               FeatureKind::kCross,  FeatureKind::kTimePart, FeatureKind::kTargetMean};
constexpr std::array kParts = {TimePart::kHourOfDay, TimePart::kDayOfWeek, TimePart::kDayOfMonth, TimePart::kMonth,
                               TimePart::kMinuteOfDay};
constexpr double kCountMax = 4294967295.0;

// One key of a feature's map: which kinds take it, and what it says.
struct FeatureKey {
  std::string_view name;
  std::vector<FeatureKind> kinds;
  std::string_view example;
  std::string_view help;
};

const std::vector<FeatureKey>& feature_keys() {
  static const std::vector<FeatureKey> keys = {
      {"input", {FeatureKind::kCategory}, "false",
       "`false`: the category only serves as a key of crosses and target means and gets no embedding; default `true`"},
      {"size", {FeatureKind::kVector}, "784", "how many numbers the field's list holds"},
      {"of", {FeatureKind::kCross}, "[origin, dest]", "two or more categories or time parts"},
      {"part", {FeatureKind::kTimePart}, "hour_of_day",
       "`hour_of_day`, `day_of_week`, `day_of_month`, `month` or `minute_of_day` of the event time, UTC"},
      {"by", {FeatureKind::kTargetMean}, "[origin, carrier]",
       "the categories or time parts that make the key; left out or `[]`: one mean over all events"},
      {"half_life_events", {FeatureKind::kTargetMean}, "50", "after so many events of its key an old label counts half"},
      {"half_life", {FeatureKind::kTargetMean}, "2h", "the same in event time; give one of the two"},
      {"prior_weight", {FeatureKind::kTargetMean}, "1",
       "the mean is drawn to the mean over all events with the weight of so many events; default `1`"},
      {"keys_max", {FeatureKind::kTargetMean}, "65536",
       "bound on the keys held; the least recently seen makes room; default `65536`"},
  };
  return keys;
}

template <typename Values, typename Name>
std::vector<std::string> names_of(const Values& values, Name name) {
  std::vector<std::string> names;
  for (const auto& value : values) names.emplace_back(name(value));
  return names;
}

class FeatureReader {
 public:
  FeatureReader(const std::string& name, std::vector<YamlFault>& faults) : name_(name), faults_(faults) {}

  FeatureSpec read(const YamlNode& node) {
    FeatureSpec feature;
    feature.name = name_;
    if (node.kind == YamlNode::Kind::kScalar) {
      if (read_kind(node, feature) && feature.kind == FeatureKind::kTimePart) {
        fault(node.origin, "is a time_part without `part`; write {kind: time_part, part: hour_of_day}");
      }
      return feature;
    }
    if (node.kind != YamlNode::Kind::kMap) {
      fault(node.origin, fmt::format("expected a kind, such as `number`, or a map, such as `{{kind: vector, size: 784}}`; "
                                     "got {}", node.kind_words()));
      return feature;
    }
    const auto kind = std::find_if(node.entries.begin(), node.entries.end(), [](const auto& e) { return e.key == "kind"; });
    if (kind == node.entries.end()) {
      fault(node.origin, fmt::format("has no `kind`; the kinds are {}", kind_list()));
      return feature;
    }
    if (!read_kind(kind->value, feature)) return feature;
    for (const auto& entry : node.entries) {
      if (entry.key != "kind") read_entry(entry, feature);
    }
    const bool has_part = std::any_of(node.entries.begin(), node.entries.end(), [](const auto& e) { return e.key == "part"; });
    if (feature.kind == FeatureKind::kTimePart && !has_part) {
      fault(node.origin, "is a time_part without `part`, such as `part: hour_of_day`");
    }
    return feature;
  }

 private:
  static std::string kind_list() { return fmt::format("{}", fmt::join(names_of(kKinds, feature_kind_name), ", ")); }

  void fault(const Origin& origin, std::string_view what) {
    faults_.push_back({origin, fmt::format("feature '{}' {}", name_, what)});
  }
  void expected(const YamlNode& node, std::string_view key, std::string_view what, std::string_view example) {
    const std::string got = node.kind == YamlNode::Kind::kScalar ? fmt::format("'{}'", node.text) : std::string(node.kind_words());
    fault(node.origin, fmt::format("{}: expected {}, such as {}; got {}", key, what, example, got));
  }

  bool read_kind(const YamlNode& node, FeatureSpec& feature) {
    const auto found = std::find_if(kKinds.begin(), kKinds.end(), [&](FeatureKind k) { return feature_kind_name(k) == node.text; });
    if (node.kind == YamlNode::Kind::kScalar && found != kKinds.end()) {
      feature.kind = *found;
      return true;
    }
    const auto near = nearest_name(node.text, names_of(kKinds, feature_kind_name));
    const std::string got = node.kind == YamlNode::Kind::kScalar ? "'" + node.text + "'" : std::string(node.kind_words());
    fault(node.origin, fmt::format("has {} for a kind; the kinds are {}{}", got, kind_list(),
                                   near ? fmt::format("; did you mean '{}'?", *near) : ""));
    return false;
  }

  void read_entry(const YamlEntry& entry, FeatureSpec& feature) {
    const auto& keys = feature_keys();
    const auto known = std::find_if(keys.begin(), keys.end(), [&](const FeatureKey& k) { return k.name == entry.key; });
    const auto kind = feature_kind_name(feature.kind);
    if (known == keys.end()) {
      const auto near = nearest_name(entry.key, names_of(keys, [](const FeatureKey& k) { return k.name; }));
      fault(entry.key_origin, fmt::format("has an unknown key '{}'{}", entry.key,
                                          near ? fmt::format("; did you mean '{}'?", *near) : ""));
      return;
    }
    if (std::find(known->kinds.begin(), known->kinds.end(), feature.kind) == known->kinds.end()) {
      fault(entry.key_origin, fmt::format("is a {}, which takes no '{}'; that belongs to {}", kind, entry.key,
                                          fmt::join(names_of(known->kinds, feature_kind_name), ", ")));
      return;
    }
    read_value(entry.key, entry.value, known->example, feature);
  }

  void read_value(std::string_view key, const YamlNode& node, std::string_view example, FeatureSpec& feature) {
    if (key == "of" || key == "by") {
      read_names(key, node, example, feature);
    } else if (key == "input") {
      const auto value = parse_bool(node.text);
      if (value) feature.input = *value;
      if (!value) expected(node, key, "true or false", example);
    } else if (key == "size" || key == "keys_max") {
      const auto value = parse_whole(node.text);
      const bool fits = value && *value >= 0 && static_cast<double>(*value) <= kCountMax;
      if (fits) (key == "size" ? feature.size : feature.keys_max) = static_cast<std::uint32_t>(*value);
      if (!fits) expected(node, key, "a whole number", example);
    } else if (key == "half_life") {
      const auto value = parse_duration_ms(node.text);
      if (value) feature.half_life_ms = static_cast<double>(*value);
      if (!value) expected(node, key, "a duration", example);
    } else if (key == "part") {
      const auto part = std::find_if(kParts.begin(), kParts.end(), [&](TimePart p) { return time_part_name(p) == node.text; });
      if (part != kParts.end()) feature.part = *part;
      if (part == kParts.end()) expected(node, key, fmt::format("one of {}", fmt::join(names_of(kParts, time_part_name), ", ")), example);
    } else {
      const auto value = parse_real(node.text);
      if (value) (key == "prior_weight" ? feature.prior_weight : feature.half_life_events) = *value;
      if (!value) expected(node, key, "a number", example);
    }
  }

  void read_names(std::string_view key, const YamlNode& node, std::string_view example, FeatureSpec& feature) {
    if (node.kind == YamlNode::Kind::kScalar) {
      feature.of = {node.text};
      return;
    }
    if (node.kind != YamlNode::Kind::kList) {
      expected(node, key, "a list of feature names", example);
      return;
    }
    for (const auto& item : node.items) {
      if (item.kind != YamlNode::Kind::kScalar) {
        expected(item, key, "feature names", example);
      } else {
        feature.of.push_back(item.text);
      }
    }
  }

  const std::string& name_;
  std::vector<YamlFault>& faults_;
};

std::string list_text(const std::vector<std::string>& names) {
  std::vector<std::string> quoted;
  quoted.reserve(names.size());
  for (const auto& name : names) quoted.push_back(quote_yaml(name));
  return fmt::format("[{}]", fmt::join(quoted, ", "));
}

}  // namespace

std::optional<FeatureList> parse_features(const YamlNode& node, std::vector<YamlFault>& faults) {
  FeatureList features;
  if (node.kind == YamlNode::Kind::kScalar && node.text == "auto") return features;
  if (node.kind != YamlNode::Kind::kMap) {
    const std::string got = node.kind == YamlNode::Kind::kScalar ? "'" + node.text + "'" : std::string(node.kind_words());
    faults.push_back({node.origin, fmt::format("expected `auto` or a map of features, such as {{distance: number, "
                                               "carrier: category}}; got {}", got)});
    return std::nullopt;
  }
  const std::size_t before = faults.size();
  features.infer = false;
  for (const auto& entry : node.entries) features.specs.push_back(FeatureReader(entry.key, faults).read(entry.value));
  if (faults.size() > before) return std::nullopt;
  return features;
}

std::string format_feature(const FeatureSpec& feature) {
  const auto kind = feature_kind_name(feature.kind);
  const FeatureSpec standard;
  switch (feature.kind) {
    case FeatureKind::kNumber:
    case FeatureKind::kBoolean:
      return std::string(kind);
    case FeatureKind::kCategory:
      return feature.input ? std::string(kind) : fmt::format("{{kind: {}, input: false}}", kind);
    case FeatureKind::kVector:
      return fmt::format("{{kind: {}, size: {}}}", kind, feature.size);
    case FeatureKind::kCross:
      return fmt::format("{{kind: {}, of: {}}}", kind, list_text(feature.of));
    case FeatureKind::kTimePart:
      return fmt::format("{{kind: {}, part: {}}}", kind, time_part_name(feature.part));
    case FeatureKind::kTargetMean:
      break;
  }
  std::string text = fmt::format("{{kind: {}, by: {}", kind, list_text(feature.of));
  if (feature.half_life_events != 0) text += fmt::format(", half_life_events: {}", format_real(feature.half_life_events));
  if (feature.half_life_ms != 0) {
    text += fmt::format(", half_life: {}", format_duration_ms(static_cast<std::int64_t>(feature.half_life_ms)));
  }
  if (feature.prior_weight != standard.prior_weight) text += fmt::format(", prior_weight: {}", format_real(feature.prior_weight));
  if (feature.keys_max != standard.keys_max) text += fmt::format(", keys_max: {}", feature.keys_max);
  return text + "}";
}

std::string format_features(const FeatureList& features) {
  if (features.infer) return "auto";
  std::vector<std::string> texts;
  texts.reserve(features.specs.size());
  for (const auto& spec : features.specs) texts.push_back(fmt::format("{}: {}", quote_yaml(spec.name), format_feature(spec)));
  return fmt::format("{{{}}}", fmt::join(texts, ", "));
}

std::string feature_reference() {
  std::string page =
      "## Features\n\n"
      "`stream.features` is `auto` (inferred from the first events, then frozen and stored with the state) or a map of names "
      "to what they are.\nA name with a bare kind is the short form of a map: `distance: number` is "
      "`distance: {kind: number}`.\n\n"
      "| kind | reads | becomes |\n|---|---|---|\n"
      "| `number` | a number | standardised as it streams; a missing one becomes the mean, with an indicator |\n"
      "| `category` | a text, number or boolean | a 64-bit hash of name and value, into the embedding rows |\n"
      "| `boolean` | `true` or `false` | 0 or 1 |\n"
      "| `vector` | a list of `size` numbers | as it is |\n"
      "| `cross` | the categories `of` | one category for each combination |\n"
      "| `time_part` | the event time | a category: hour, day or month |\n"
      "| `target_mean` | the labels of earlier events with the same key `by` | a decayed mean that follows the stream |\n\n"
      "| key | for | example | what it says |\n|---|---|---|---|\n";
  for (const auto& key : feature_keys()) {
    page += fmt::format("| `{}` | {} | `{}` | {} |\n", key.name, fmt::join(names_of(key.kinds, feature_kind_name), ", "),
                        key.example, key.help);
  }
  page +=
      "\n```yaml\nstream:\n  features:\n    distance: number\n    carrier:  category\n"
      "    tail:     {kind: category, input: false}\n    image:    {kind: vector, size: 784}\n"
      "    hour:     {kind: time_part, part: hour_of_day}\n    route:    {kind: cross, of: [carrier, hour]}\n"
      "    recent:   {kind: target_mean, by: [carrier, tail], half_life_events: 50}\n```\n";
  return page;
}

}  // namespace freshet
