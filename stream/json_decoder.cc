#include "stream/json_decoder.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <unordered_map>

#include "core/hash.h"
#include "core/iso_time.h"
#include "stream/field_table.h"
#include "stream/json_scanner.h"

namespace freshet {
namespace {

constexpr std::size_t kShownBytes = 48;  // of a value, in a detail

// What a field of the record is used for; one field may have several uses.
enum Role : std::uint8_t { kColumn = 1, kLabel = 2, kTime = 4, kKey = 8, kWeight = 16 };

struct Field {
  std::string name;
  std::uint8_t roles = 0;
  Column column;                // with kColumn
  std::uint64_t last_seen = 0;  // number of the last record that had it
};

std::string_view cut(std::string_view text) {
  if (text.size() <= kShownBytes) return text;
  std::size_t size = kShownBytes;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;  // not within a character
  return text.substr(0, size);
}

std::string show(const JsonValue& value) {
  if (value.type == JsonType::kNumber) return fmt::format("the number {}", cut(value.number.text));
  if (value.type == JsonType::kString) return fmt::format("the text \"{}\"", cut(value.text));
  return std::string(json_type_name(value.type));
}

bool fits_float(double value) { return std::abs(value) <= static_cast<double>(std::numeric_limits<float>::max()); }

// The canonical hash of a scalar (core/hash.h); false for null, arrays and objects.
bool hash_value(const JsonValue& value, std::uint64_t seed, std::uint64_t& out) {
  switch (value.type) {
    case JsonType::kString:
      out = hash_category(seed, value.text);
      return true;
    case JsonType::kTrue:
      out = hash_category(seed, std::string_view("true"));
      return true;
    case JsonType::kFalse:
      out = hash_category(seed, std::string_view("false"));
      return true;
    case JsonType::kNumber:
      if (value.number.integer) {
        // Integers are hashed as their decimal text, which is what the record holds.
        const bool negative_zero = value.number.negative && value.number.text == "-0";
        out = hash_category(seed, negative_zero ? std::string_view("0") : value.number.text);
      } else {
        out = hash_category(seed, json_number_value(value.number));
      }
      return true;
    case JsonType::kNull:
    case JsonType::kArray:
    case JsonType::kObject:
      return false;
  }
  return false;
}

}  // namespace

class JsonDecoder::Impl {
 public:
  Impl(const Schema& schema, DecoderOptions options)
      : options_(std::move(options)),
        scanner_(options_.record_bytes_max, options_.depth_max),
        classes_(schema.spec().label.classes) {
    const EventSpec& spec = schema.spec();
    for (const auto& column : schema.columns()) {
      Field& field = declare(column.name, kColumn);
      field.column = column;
    }
    if (!spec.label.field.empty()) declare(spec.label.field, kLabel);
    if (!spec.time_field.empty()) declare(spec.time_field, kTime);
    if (!spec.key_field.empty()) declare(spec.key_field, kKey);
    if (!options_.weight_field.empty()) declare(options_.weight_field, kWeight);
    for (std::size_t i = 0; i < spec.label.class_names.size(); ++i) {
      class_names_.try_emplace(spec.label.class_names[i], static_cast<float>(i));
    }
    // Absence matters for these alone; a column that is absent is missing.
    for (std::uint32_t i = 0; i < fields_.size(); ++i) {
      const Field& field = fields_[i];
      const bool vector = (field.roles & kColumn) != 0 && field.column.kind == ColumnKind::kVector;
      if (vector || (field.roles & kTime) != 0 || ((field.roles & kLabel) != 0 && options_.require_label)) {
        required_.push_back(i);
      }
    }
  }

  const DecoderOptions& options() const { return options_; }

  DecodeOutcome decode(std::string_view json, EventBatch& batch) {
    if (!scanner_.begin(json)) return scanner_failure();
    batch_ = &batch;
    row_ = batch.begin_row();
    ++record_;
    table_.begin_record();
    while (scanner_.at_key()) {
      std::uint32_t index = table_.guess(scanner_.key_begin(), scanner_.bytes_after_key_begin());
      if (index != FieldTable::kNotGuessed) {
        if (!scanner_.take_key()) return scanner_failure();
      } else {
        std::string_view key;
        if (!scanner_.read_key(key)) return scanner_failure();
        index = table_.find(key);
      }
      if (index == FieldTable::kUnknown) {
        if (!scanner_.skip()) return scanner_failure();
      } else if (!read(fields_[index])) {
        return scanner_.ok() ? DecodeOutcome{false, reason_, detail_} : scanner_failure();
      }
    }
    if (!scanner_.ok()) return scanner_failure();
    for (const std::uint32_t index : required_) {
      if (fields_[index].last_seen != record_ && !refuse_absent(fields_[index])) return {false, reason_, detail_};
    }
    return {true, SkipReason::kMalformed, {}};
  }

 private:
  Field& declare(const std::string& name, Role role) {
    const std::uint32_t index = table_.add(name);
    if (index == fields_.size()) fields_.push_back(Field{name, 0, {}, 0});
    fields_[index].roles |= role;
    return fields_[index];
  }

  DecodeOutcome scanner_failure() {
    const auto& error = scanner_.error();
    detail_ = fmt::format("{} (byte {})", error.what, error.byte);
    return {false, error.reason, detail_};
  }

  template <typename... Parts>
  bool refuse(SkipReason reason, fmt::format_string<Parts...> text, Parts&&... parts) {
    reason_ = reason;
    detail_.clear();
    fmt::format_to(std::back_inserter(detail_), text, std::forward<Parts>(parts)...);
    return false;
  }

  bool refuse_absent(const Field& field) {
    if ((field.roles & kLabel) != 0) return refuse(SkipReason::kMissingLabel, "label field '{}' is absent", field.name);
    if ((field.roles & kTime) != 0) return refuse(SkipReason::kBadTime, "time field '{}' is absent", field.name);
    return refuse(SkipReason::kBadFeature, "vector field '{}' is absent", field.name);
  }

  bool read(Field& field) {
    if (field.last_seen == record_) {
      return refuse(SkipReason::kDuplicateField, "field '{}' stands twice in the record", field.name);
    }
    field.last_seen = record_;
    if (!scanner_.value(value_)) return false;
    if ((field.roles & kColumn) != 0 && !read_column(field)) return false;
    if (field.roles != kColumn) {
      if ((field.roles & kLabel) != 0 && !read_label(field)) return false;
      if ((field.roles & kTime) != 0 && !read_time(field)) return false;
      if ((field.roles & kKey) != 0 && !read_key(field)) return false;
      if ((field.roles & kWeight) != 0 && !read_weight(field)) return false;
    }
    return true;
  }

  bool read_column(const Field& field) {
    switch (field.column.kind) {
      case ColumnKind::kNumber:
        return field.column.boolean ? read_boolean(field) : read_number(field);
      case ColumnKind::kCategory: {
        std::uint64_t& target = batch_->categories(field.column.index)[row_];
        if (hash_value(value_, field.column.seed, target) || value_.type == JsonType::kNull) return true;
        return refuse(SkipReason::kBadFeature, "category '{}' is {}", field.name, show(value_));
      }
      case ColumnKind::kVector:
        return read_vector(field);
    }
    return true;
  }

  bool read_number(const Field& field) {
    if (value_.type == JsonType::kNumber) {
      const double value = json_number_value(value_.number);
      if (!fits_float(value)) {
        return refuse(SkipReason::kNotFinite, "number '{}' is {}, too large for a 32-bit float", field.name,
                      show(value_));
      }
      batch_->numbers(field.column.index)[row_] = static_cast<float>(value);
      return true;
    }
    if (value_.type == JsonType::kNull) return true;
    return refuse(SkipReason::kBadFeature, "number '{}' is {}", field.name, show(value_));
  }

  bool read_boolean(const Field& field) {
    if (value_.type == JsonType::kTrue || value_.type == JsonType::kFalse) {
      batch_->numbers(field.column.index)[row_] = value_.type == JsonType::kTrue ? 1.0F : 0.0F;
      return true;
    }
    if (value_.type == JsonType::kNull) return true;
    return refuse(SkipReason::kBadFeature, "boolean '{}' is {}", field.name, show(value_));
  }

  bool read_vector(const Field& field) {
    if (value_.type != JsonType::kArray) {
      return refuse(SkipReason::kBadFeature, "vector '{}' is {}", field.name, show(value_));
    }
    float* const target = batch_->vectors(row_).data() + field.column.index;
    bool empty = false;
    if (!scanner_.enter_array(empty)) return false;
    std::uint32_t count = 0;
    for (bool more = !empty; more; ++count) {
      if (!scanner_.value(value_)) return false;
      if (value_.type != JsonType::kNumber) {
        return refuse(SkipReason::kBadFeature, "element {} of vector '{}' is {}", count, field.name, show(value_));
      }
      if (count == field.column.width) {
        return refuse(SkipReason::kBadFeature, "vector '{}' has more than {} elements", field.name, count);
      }
      const double value = json_number_value(value_.number);
      if (!fits_float(value)) {
        return refuse(SkipReason::kNotFinite, "element {} of vector '{}' is {}, too large for a 32-bit float", count,
                      field.name, show(value_));
      }
      target[count] = static_cast<float>(value);
      if (!scanner_.next_element(more)) return false;
    }
    value_.type = JsonType::kArray;  // what the field is, should it have another use
    if (count == field.column.width) return true;
    return refuse(SkipReason::kBadFeature, "vector '{}' has {} elements, not {}", field.name, count,
                  field.column.width);
  }

  bool read_label(const Field& field) {
    float& target = batch_->labels[row_];
    switch (value_.type) {
      case JsonType::kNull:
        if (!options_.require_label) return true;
        return refuse(SkipReason::kMissingLabel, "label '{}' is null", field.name);
      case JsonType::kNumber:
        return classes_ == 0 ? read_target(field, target) : read_class(field, target);
      case JsonType::kTrue:
      case JsonType::kFalse:
        if (classes_ != 2) break;
        target = value_.type == JsonType::kTrue ? 1.0F : 0.0F;
        return true;
      case JsonType::kString:
        if (const auto found = class_names_.find(value_.text); found != class_names_.end()) {
          target = found->second;
          return true;
        }
        break;
      case JsonType::kArray:
      case JsonType::kObject:
        break;
    }
    return refuse(SkipReason::kBadLabel, "label '{}' is {}", field.name, show(value_));
  }

  bool read_target(const Field& field, float& target) {
    const double value = json_number_value(value_.number);
    if (!fits_float(value)) {
      return refuse(SkipReason::kBadLabel, "label '{}' is {}, too large for a 32-bit float", field.name, show(value_));
    }
    target = static_cast<float>(value);
    return true;
  }

  bool read_class(const Field& field, float& target) {
    std::int64_t value = 0;
    if (!json_number_integer(value_.number, value) || value < 0 || value >= static_cast<std::int64_t>(classes_)) {
      return refuse(SkipReason::kBadLabel, "label '{}' is {}, not one of the classes 0 to {}", field.name, show(value_),
                    classes_ - 1);
    }
    target = static_cast<float>(value);
    return true;
  }

  bool read_time(const Field& field) {
    std::int64_t& target = batch_->time_ms[row_];
    if (value_.type == JsonType::kNumber) {
      if (!json_number_integer(value_.number, target)) {
        const double value = std::floor(json_number_value(value_.number));
        target = std::abs(value) <= static_cast<double>(kTimeMsMax) ? static_cast<std::int64_t>(value) : kTimeMsMax + 1;
      }
      if (target >= kTimeMsMin && target <= kTimeMsMax) return true;
      return refuse(SkipReason::kBadTime, "time '{}' is {}, beyond the year 9999; it must be in milliseconds",
                    field.name, show(value_));
    }
    if (value_.type == JsonType::kString) {
      if (const auto time = parse_iso_time(value_.text)) {
        target = *time;
        return true;
      }
    }
    return refuse(SkipReason::kBadTime, "time '{}' is {}, neither milliseconds nor an ISO 8601 text", field.name,
                  show(value_));
  }

  bool read_key(const Field& field) {
    if (hash_value(value_, 0, batch_->key_hashes[row_]) || value_.type == JsonType::kNull) return true;
    return refuse(SkipReason::kBadFeature, "key '{}' is {}", field.name, show(value_));
  }

  bool read_weight(const Field& field) {
    if (value_.type == JsonType::kNull) return true;
    if (value_.type == JsonType::kNumber) {
      const double value = json_number_value(value_.number);
      if (value >= 0 && fits_float(value)) {
        batch_->weights[row_] = static_cast<float>(value);
        return true;
      }
    }
    return refuse(SkipReason::kBadFeature, "weight '{}' is {}, not a number of 0 or more", field.name, show(value_));
  }

  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  DecoderOptions options_;
  JsonScanner scanner_;
  FieldTable table_;
  std::vector<Field> fields_;
  std::vector<std::uint32_t> required_;
  std::unordered_map<std::string, float, TextHash, std::equal_to<>> class_names_;
  std::uint32_t classes_;

  // While a record is decoded.
  EventBatch* batch_ = nullptr;
  std::size_t row_ = 0;
  std::uint64_t record_ = 0;
  JsonValue value_;
  SkipReason reason_ = SkipReason::kMalformed;
  std::string detail_;
};

JsonDecoder::JsonDecoder(const Schema& schema, DecoderOptions options)
    : impl_(std::make_unique<Impl>(schema, std::move(options))) {}
JsonDecoder::~JsonDecoder() = default;
JsonDecoder::JsonDecoder(JsonDecoder&&) noexcept = default;
JsonDecoder& JsonDecoder::operator=(JsonDecoder&&) noexcept = default;

DecodeOutcome JsonDecoder::decode(std::string_view json, EventBatch& batch) { return impl_->decode(json, batch); }
const DecoderOptions& JsonDecoder::options() const { return impl_->options(); }

}  // namespace freshet
