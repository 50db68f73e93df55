// infer_features: what `features: auto` means. Looks at the first events and gives each field the kind that fits every
// value seen: strings are categories, true and false booleans, numbers numbers, arrays of equally many numbers vectors.
// Left out are the label, the time, the key, fields that look like an identity of the event (integers that count,
// a text that never repeats), fields that are always null, and fields whose values do not agree.
//
// Threads: pure function: the same samples in the same order give the same features, in the order of their first sight.
// Failure: no sample is a JSON object, or no field can be a feature.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/feature_spec.h"

namespace freshet {

struct InferredFeatures {
  std::vector<FeatureSpec> features;
  std::vector<std::string> left_out;  // "id: looks like the identity of the event", for the log
};

// `spec` names label, time and key; its features are ignored. Samples that are not JSON objects are passed over.
Result<InferredFeatures> infer_features(std::span<const std::string_view> samples, const EventSpec& spec);

}  // namespace freshet
