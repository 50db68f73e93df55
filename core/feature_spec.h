// FeatureSpec: one entry of `stream.features`, as configured (or inferred by `features: auto`).
//
// Raw features (number, category, boolean, vector) name a field of the event. Derived ones (cross, time_part,
// target_mean) are made from raw ones by the encoder in learners/features/.
//
// Threads: values.  Failure: `validate_features` reports every error at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"

namespace freshet {

enum class FeatureKind : std::uint8_t { kNumber, kCategory, kBoolean, kVector, kCross, kTimePart, kTargetMean };

enum class TimePart : std::uint8_t { kHourOfDay, kDayOfWeek, kDayOfMonth, kMonth, kMinuteOfDay };

struct FeatureSpec {
  std::string name;
  FeatureKind kind = FeatureKind::kNumber;

  // kVector: number of floats in the field (a JSON array of that many numbers).
  std::uint32_t size = 0;

  // kCategory: false for a category that only serves as a key of target means or crosses and gets no embedding.
  bool input = true;

  // kCross: two or more category features. kTargetMean: the keys; empty means one mean over all events.
  std::vector<std::string> of{};

  // kTimePart (UTC). Encoded as a category.
  TimePart part = TimePart::kHourOfDay;

  // kTargetMean: after `half_life_events` events of the same key, or `half_life_ms` of event time, an old label counts
  // half; exactly one of the two is > 0. The mean is shrunk to the mean over all events with the weight of
  // `prior_weight` events, and encoded as its log-odds for binary tasks, as the mean otherwise.
  double half_life_events = 0;
  double half_life_ms = 0;
  double prior_weight = 1;
  // kTargetMean: bound on the number of keys held; the least recently updated of a bucket makes room.
  std::uint32_t keys_max = 65536;
};

struct LabelSpec {
  std::string field = "label";
  std::uint32_t classes = 0;               // 0: a number (regression); 2: binary; more: multiclass
  std::vector<std::string> class_names{};  // labels that are strings; empty: labels are 0 .. classes-1, or booleans
};

// How an event is read: which fields matter and what they mean.
struct EventSpec {
  std::vector<FeatureSpec> features;
  LabelSpec label;
  std::string time_field;  // milliseconds since 1970 or an ISO 8601 text; empty: the record's Kafka timestamp
  std::string key_field;   // identity of the event (held-out choice, erasure, joins); empty: the record's Kafka key
};

// Names unique and not empty; crosses and target means refer to category features; sizes and half-lives in bounds.
Status validate_features(const EventSpec& spec);

// A text form that `parse_event_spec` reads back exactly: stored with the state, so that inferred features stay frozen.
std::string serialize_event_spec(const EventSpec& spec);
Result<EventSpec> parse_event_spec(std::string_view bytes);

std::string_view feature_kind_name(FeatureKind kind);
std::string_view time_part_name(TimePart part);

}  // namespace freshet
