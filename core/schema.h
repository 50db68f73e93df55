// Schema: the raw columns of an EventBatch, derived once from the EventSpec. Decoders fill these columns, the HTTP
// server fills them from a request, the feature encoder reads them.
//
// Threads: immutable after construction.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/feature_spec.h"

namespace freshet {

enum class ColumnKind : std::uint8_t { kNumber, kCategory, kVector };

struct Column {
  std::string name;
  ColumnKind kind = ColumnKind::kNumber;
  bool boolean = false;     // a kNumber that accepts true and false only
  std::uint32_t index = 0;  // among the columns of its kind; for kVector: first float within the vector part
  std::uint32_t width = 1;  // floats, for kVector
  std::uint64_t seed = 0;   // kCategory: hash seed of the field
};

class Schema {
 public:
  explicit Schema(const EventSpec& spec);

  const EventSpec& spec() const { return spec_; }
  const std::vector<Column>& columns() const { return columns_; }
  const Column* find(std::string_view name) const;  // null when unknown

  std::uint32_t numbers() const { return numbers_; }
  std::uint32_t categories() const { return categories_; }
  std::uint32_t vector_floats() const { return vector_floats_; }

  // Equal for equal specs; part of the stored state.
  std::uint64_t fingerprint() const { return fingerprint_; }

 private:
  EventSpec spec_;
  std::vector<Column> columns_;
  std::uint32_t numbers_ = 0;
  std::uint32_t categories_ = 0;
  std::uint32_t vector_floats_ = 0;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace freshet
