#include "serving/input_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "serving/tensor_values.h"

namespace freshet {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

const Datatype& Input::preferred_datatype() const {
  static const Datatype& boolean = *find_datatype("BOOL");
  static const Datatype& number = *find_datatype("FP32");
  static const Datatype& text = *find_datatype("BYTES");
  if (column == nullptr || column->kind == ColumnKind::kCategory) return text;
  return column->kind == ColumnKind::kNumber && column->boolean ? boolean : number;
}

InputTable::InputTable(const Schema& schema) {
  const auto& time_field = schema.spec().time_field;
  for (const auto& column : schema.columns()) inputs_.push_back({column.name, &column, column.name == time_field});
  if (!time_field.empty() && schema.find(time_field) == nullptr) inputs_.push_back({time_field, nullptr, true});
  for (std::size_t i = 0; i < inputs_.size(); ++i) by_name_.emplace(inputs_[i].name, i);
}

Status InputTable::find(std::string_view name, std::size_t expected, std::size_t& index) const {
  if (expected < inputs_.size() && inputs_[expected].name == name) {
    index = expected;
    return Status::ok();
  }
  if (const auto found = by_name_.find(name); found != by_name_.end()) {
    index = found->second;
    return Status::ok();
  }
  const std::string_view shown = cut_name(name);
  const auto nearest = std::min_element(inputs_.begin(), inputs_.end(), [&](const Input& a, const Input& b) {
    return edit_distance(shown, a.name) < edit_distance(shown, b.name);
  });
  if (nearest == inputs_.end()) return invalid_argument(fmt::format("there is no input '{}'", shown));
  return invalid_argument(fmt::format("there is no input '{}'; did you mean '{}'?", shown, nearest->name));
}

Status InputTable::check_datatype(const Input& input, const Datatype& datatype) {
  const auto refuse = [&](std::string_view what, std::string_view accepted) {
    return invalid_argument(
        fmt::format("input '{}' is {} and takes {}, not {}", input.name, what, accepted, datatype.name));
  };
  const bool numeric = datatype.kind != DatatypeKind::kBytes && datatype.kind != DatatypeKind::kBool;
  if (input.column != nullptr) {
    const Column& column = *input.column;
    if (column.kind == ColumnKind::kNumber && column.boolean) {
      if (datatype.kind != DatatypeKind::kBool) return refuse("a boolean", "BOOL");
    } else if (column.kind != ColumnKind::kCategory && !numeric) {
      return refuse(input.vector() ? "a vector" : "a number", "INT8 to INT64, UINT8 to UINT64, FP16, FP32 or FP64");
    }
  }
  if (input.time) {
    const bool good =
        datatype.name == "BYTES" || datatype.name == "INT64" || datatype.name == "UINT64" || datatype.name == "FP64";
    if (!good) return refuse("the event time", "BYTES (ISO 8601), or INT64, UINT64 or FP64 (milliseconds since 1970)");
  }
  return Status::ok();
}

Status InputTable::refuse_shape(const Input& input) {
  if (!input.vector())
    return invalid_argument(fmt::format("input '{}' must have the shape [rows] or [rows, 1]", input.name));
  return invalid_argument(fmt::format("input '{0}' must have the shape [rows, {1}], or [rows, …] with {1} items a row",
                                      input.name, input.width()));
}

Status InputTable::check_shape(const Input& input, std::span<const std::uint64_t> shape, std::size_t rows_max) {
  if (shape.empty() || (!input.vector() && shape.size() > 2)) return refuse_shape(input);
  std::uint64_t items = 1;  // a row; never above the width, so that nothing overflows
  for (const std::uint64_t size : shape.subspan(1)) {
    if (size == 0 || size > input.width() / items) return refuse_shape(input);
    items *= size;
  }
  if (items != input.width() || (input.vector() && shape.size() == 1 && input.width() != 1)) return refuse_shape(input);
  const std::uint64_t rows = shape.front();
  if (rows == 0) return invalid_argument(fmt::format("input '{}' has no rows", input.name));
  if (rows > rows_max) {
    return invalid_argument(
        fmt::format("input '{}' has {} rows; one request takes at most {}", input.name, rows, rows_max));
  }
  return Status::ok();
}

}  // namespace freshet
