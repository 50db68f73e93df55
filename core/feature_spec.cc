#include "core/feature_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "core/bytes.h"

namespace freshet {
namespace {

constexpr std::uint32_t kSpecFormat = 1;
constexpr std::uint32_t kVectorSizeMax = 1U << 20;
constexpr std::uint32_t kKeysMax = 1U << 26;

void check_keys(const EventSpec& spec, const FeatureSpec& feature, std::string& errors) {
  for (const auto& key : feature.of) {
    const auto found = std::find_if(spec.features.begin(), spec.features.end(),
                                    [&](const FeatureSpec& other) { return other.name == key; });
    if (found == spec.features.end()) {
      errors += fmt::format(
          "feature '{}' refers to '{}', which is not a feature; declare it as a category "
          "(with input: false if it shall have no embedding)\n",
          feature.name, key);
    } else if (found->kind != FeatureKind::kCategory && found->kind != FeatureKind::kTimePart) {
      errors += fmt::format("feature '{}' refers to '{}', which is a {}; keys must be categories or time parts\n",
                            feature.name, key, feature_kind_name(found->kind));
    }
  }
}

void check_feature(const EventSpec& spec, const FeatureSpec& feature, std::string& errors) {
  switch (feature.kind) {
    case FeatureKind::kVector:
      if (feature.size == 0 || feature.size > kVectorSizeMax) {
        errors += fmt::format("feature '{}': a vector needs a size from 1 to {}\n", feature.name, kVectorSizeMax);
      }
      break;
    case FeatureKind::kCross:
      if (feature.of.size() < 2) errors += fmt::format("feature '{}': a cross needs two or more keys\n", feature.name);
      check_keys(spec, feature, errors);
      break;
    case FeatureKind::kTargetMean: {
      check_keys(spec, feature, errors);
      const bool events = feature.half_life_events > 0;
      const bool time = feature.half_life_ms > 0;
      if (events == time || !std::isfinite(feature.half_life_events) || !std::isfinite(feature.half_life_ms)) {
        errors +=
            fmt::format("feature '{}': give either half_life_events or half_life, greater than 0\n", feature.name);
      }
      if (!(feature.prior_weight >= 0) || !std::isfinite(feature.prior_weight)) {
        errors += fmt::format("feature '{}': prior_weight must be 0 or more\n", feature.name);
      }
      if (feature.keys_max == 0 || feature.keys_max > kKeysMax) {
        errors += fmt::format("feature '{}': keys_max must be from 1 to {}\n", feature.name, kKeysMax);
      }
      break;
    }
    case FeatureKind::kNumber:
    case FeatureKind::kCategory:
    case FeatureKind::kBoolean:
    case FeatureKind::kTimePart:
      break;
  }
}

}  // namespace

std::string_view feature_kind_name(FeatureKind kind) {
  static constexpr std::array<std::string_view, 7> kNames = {"number", "category",  "boolean",    "vector",
                                                             "cross",  "time_part", "target_mean"};
  return kNames.at(static_cast<std::size_t>(kind));
}

std::string_view time_part_name(TimePart part) {
  static constexpr std::array<std::string_view, 5> kNames = {"hour_of_day", "day_of_week", "day_of_month", "month",
                                                             "minute_of_day"};
  return kNames.at(static_cast<std::size_t>(part));
}

Status validate_features(const EventSpec& spec) {
  std::string errors;
  std::set<std::string_view> names;
  if (spec.features.empty()) errors += "no features: name at least one, or say `features: auto`\n";
  for (const auto& feature : spec.features) {
    if (feature.name.empty()) errors += "a feature has an empty name\n";
    if (!names.insert(feature.name).second) errors += fmt::format("feature '{}' is declared twice\n", feature.name);
    if (feature.name == spec.label.field && feature.kind <= FeatureKind::kVector) {
      errors += fmt::format("feature '{}' is the label; a model that sees the label learns nothing\n", feature.name);
    }
    check_feature(spec, feature, errors);
  }
  if (errors.empty()) return Status::ok();
  errors.pop_back();
  return invalid_argument(std::move(errors));
}

std::string serialize_event_spec(const EventSpec& spec) {
  ByteWriter out;
  out.put(kSpecFormat);
  out.put_text(spec.label.field);
  out.put(spec.label.classes);
  out.put<std::uint64_t>(spec.label.class_names.size());
  for (const auto& name : spec.label.class_names) out.put_text(name);
  out.put_text(spec.time_field);
  out.put_text(spec.key_field);
  out.put<std::uint64_t>(spec.features.size());
  for (const auto& feature : spec.features) {
    out.put_text(feature.name);
    out.put(feature.kind);
    out.put(feature.size);
    out.put(feature.input);
    out.put<std::uint64_t>(feature.of.size());
    for (const auto& key : feature.of) out.put_text(key);
    out.put(feature.part);
    out.put(feature.half_life_events);
    out.put(feature.half_life_ms);
    out.put(feature.prior_weight);
    out.put(feature.keys_max);
  }
  return out.take();
}

Result<EventSpec> parse_event_spec(std::string_view bytes) {
  ByteReader in(bytes);
  if (const auto format = in.get<std::uint32_t>(); format != kSpecFormat) {
    return data_loss(fmt::format("event spec has format {}, this build reads {}", format, kSpecFormat));
  }
  EventSpec spec;
  spec.label.field = in.get_text();
  spec.label.classes = in.get<std::uint32_t>();
  for (auto left = in.get<std::uint64_t>(); left > 0 && in.ok(); --left)
    spec.label.class_names.push_back(in.get_text());
  spec.time_field = in.get_text();
  spec.key_field = in.get_text();
  for (auto left = in.get<std::uint64_t>(); left > 0 && in.ok(); --left) {
    FeatureSpec feature;
    feature.name = in.get_text();
    feature.kind = in.get<FeatureKind>();
    feature.size = in.get<std::uint32_t>();
    feature.input = in.get<std::uint8_t>() != 0;  // any byte: a bool of another value is undefined
    for (auto keys = in.get<std::uint64_t>(); keys > 0 && in.ok(); --keys) feature.of.push_back(in.get_text());
    feature.part = in.get<TimePart>();
    feature.half_life_events = in.get<double>();
    feature.half_life_ms = in.get<double>();
    feature.prior_weight = in.get<double>();
    feature.keys_max = in.get<std::uint32_t>();
    if (feature.kind > FeatureKind::kTargetMean || feature.part > TimePart::kMinuteOfDay) {
      return data_loss("event spec names an unknown feature kind");
    }
    spec.features.push_back(std::move(feature));
  }
  if (!in.at_end()) return data_loss("event spec is cut short or has bytes too many");
  return spec;
}

}  // namespace freshet
