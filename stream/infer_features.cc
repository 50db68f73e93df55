#include "stream/infer_features.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <unordered_set>

#include "core/hash.h"
#include "stream/json_scanner.h"

namespace freshet {
namespace {

constexpr std::size_t kBytesMax = std::size_t{1} << 24;
constexpr std::uint32_t kDepthMax = 64;
constexpr std::size_t kFieldsMax = 4096;
constexpr std::uint32_t kVectorSizeMax = 1U << 20;
constexpr std::size_t kSamplesForIdentity = 20;  // fewer prove nothing

struct Seen {
  std::string name;
  std::size_t strings = 0, numbers = 0, booleans = 0, vectors = 0, others = 0;
  std::uint32_t vector_size = 0;
  bool vector_sizes_differ = false;
  std::unordered_set<std::uint64_t> texts;  // hashes of the strings
  std::unordered_set<std::int64_t> integers;
  std::int64_t least = INT64_MAX, greatest = INT64_MIN;
};

void see_value(JsonScanner& scanner, Seen& field) {
  JsonValue value;
  if (!scanner.value(value)) return;
  switch (value.type) {
    case JsonType::kNull:
      return;
    case JsonType::kTrue:
    case JsonType::kFalse:
      ++field.booleans;
      return;
    case JsonType::kString:
      ++field.strings;
      field.texts.insert(hash_text(value.text));
      return;
    case JsonType::kNumber: {
      std::int64_t integer = 0;
      const bool whole = value.number.integer && json_number_integer(value.number, integer);
      ++field.numbers;
      if (!whole) return;
      field.integers.insert(integer);
      field.least = std::min(field.least, integer);
      field.greatest = std::max(field.greatest, integer);
      return;
    }
    case JsonType::kObject:
      ++field.others;
      static_cast<void>(scanner.skip());
      return;
    case JsonType::kArray:
      break;
  }
  bool empty = false;
  if (!scanner.enter_array(empty)) return;
  std::uint32_t size = 0;
  bool numbers = !empty;
  for (bool more = !empty; more; ++size) {
    if (!scanner.value(value)) return;
    if (value.type != JsonType::kNumber) numbers = false;
    if ((value.type == JsonType::kArray || value.type == JsonType::kObject) && !scanner.skip()) return;
    if (!scanner.next_element(more)) return;
  }
  if (!numbers || size > kVectorSizeMax) {
    ++field.others;
    return;
  }
  if (field.vectors != 0 && field.vector_size != size) field.vector_sizes_differ = true;
  field.vector_size = size;
  ++field.vectors;
}

// Integers that never repeat and lie side by side: a counter. Samples of several partitions leave holes in it.
bool counts(const Seen& field) {
  constexpr double kHoles = 2;
  const auto values = static_cast<double>(field.numbers);
  return field.numbers >= kSamplesForIdentity && field.integers.size() == field.numbers &&
         static_cast<double>(field.greatest) - static_cast<double>(field.least) < kHoles * values;
}

// Why the field is no feature, or nothing and `feature` is set.
std::string judge(const Seen& field, std::size_t samples, FeatureSpec& feature) {
  const std::size_t values = field.strings + field.numbers + field.booleans + field.vectors + field.others;
  feature.name = field.name;
  if (values == 0) return "always null";
  if (field.others > 0) return "holds objects or mixed arrays";
  if (field.strings == values) {
    if (values >= kSamplesForIdentity && field.texts.size() == values) return "a text that never repeats";
    feature.kind = FeatureKind::kCategory;
    return {};
  }
  if (field.booleans == values) {
    feature.kind = FeatureKind::kBoolean;
    return {};
  }
  if (field.numbers == values) {
    if (counts(field)) return "looks like the identity of the event";
    feature.kind = FeatureKind::kNumber;
    return {};
  }
  if (field.vectors == values) {
    if (field.vector_sizes_differ) return "arrays of different lengths";
    if (field.vectors != samples) return "an array that some events lack";
    feature.kind = FeatureKind::kVector;
    feature.size = field.vector_size;
    return {};
  }
  return "values of different types";
}

}  // namespace

Result<InferredFeatures> infer_features(std::span<const std::string_view> samples, const EventSpec& spec) {
  JsonScanner scanner(kBytesMax, kDepthMax);
  std::vector<Seen> fields;
  std::map<std::string, std::size_t, std::less<>> index;
  std::size_t objects = 0;
  for (const std::string_view sample : samples) {
    // Once to check all of it, so that half a record counts for nothing.
    std::string_view name;
    if (!scanner.begin(sample)) continue;
    while (scanner.next_key(name) && scanner.skip()) {
    }
    if (!scanner.ok() || !scanner.begin(sample)) continue;
    ++objects;
    while (scanner.next_key(name)) {
      auto found = index.find(name);
      if (found == index.end()) {
        if (fields.size() == kFieldsMax) {
          static_cast<void>(scanner.skip());
          continue;
        }
        found = index.emplace(std::string(name), fields.size()).first;
        fields.emplace_back().name = std::string(name);
      }
      see_value(scanner, fields[found->second]);
    }
  }
  if (objects == 0) {
    return failed_precondition(
        fmt::format("none of the first {} records is a JSON object, so no features can be "
                    "inferred; name them in stream.features",
                    samples.size()));
  }
  InferredFeatures inferred;
  for (const Seen& field : fields) {
    if (field.name.empty() || field.name == spec.label.field || field.name == spec.time_field ||
        field.name == spec.key_field) {
      continue;
    }
    FeatureSpec feature;
    if (const std::string why = judge(field, objects, feature); !why.empty()) {
      inferred.left_out.push_back(field.name + ": " + why);
    } else {
      inferred.features.push_back(std::move(feature));
    }
  }
  if (inferred.features.empty()) {
    return failed_precondition("no field of the first records can be a feature; name them in stream.features");
  }
  return inferred;
}

}  // namespace freshet
