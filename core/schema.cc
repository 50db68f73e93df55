#include "core/schema.h"

#include "core/hash.h"

namespace freshet {

Schema::Schema(const EventSpec& spec) : spec_(spec) {
  for (const auto& feature : spec_.features) {
    Column column;
    column.name = feature.name;
    switch (feature.kind) {
      case FeatureKind::kNumber:
      case FeatureKind::kBoolean:
        column.kind = ColumnKind::kNumber;
        column.boolean = feature.kind == FeatureKind::kBoolean;
        column.index = numbers_++;
        break;
      case FeatureKind::kCategory:
        column.kind = ColumnKind::kCategory;
        column.index = categories_++;
        column.seed = field_seed(feature.name);
        break;
      case FeatureKind::kVector:
        column.kind = ColumnKind::kVector;
        column.index = vector_floats_;
        column.width = feature.size;
        vector_floats_ += feature.size;
        break;
      case FeatureKind::kCross:
      case FeatureKind::kTimePart:
      case FeatureKind::kTargetMean:
        continue;
    }
    columns_.push_back(std::move(column));
  }
  fingerprint_ = hash_text(serialize_event_spec(spec_));
}

const Column* Schema::find(std::string_view name) const {
  for (const auto& column : columns_) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

}  // namespace freshet
