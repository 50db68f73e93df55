// InputTable: what an inference request may name as inputs, and which datatype and shape each takes: internal to
// serving/, for infer_request.cc. One input a raw feature, and the event time when it is no feature itself.
//
// Threads: immutable after construction.  Owns: its names.  Failure: kInvalidArgument in words for the client.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/schema.h"
#include "core/status.h"
#include "serving/tensor_datatype.h"

namespace freshet {

struct Input {
  std::string name;
  const Column* column = nullptr;  // null: event time only
  bool time = false;

  bool vector() const { return column != nullptr && column->kind == ColumnKind::kVector; }
  std::uint64_t width() const { return vector() ? column->width : 1; }
  // As the model's metadata tells it.
  const Datatype& preferred_datatype() const;
};

class InputTable {
 public:
  explicit InputTable(const Schema& schema);  // which outlives it

  std::size_t size() const { return inputs_.size(); }
  const Input& operator[](std::size_t index) const { return inputs_[index]; }

  // `expected`: where to look first. An unknown name is answered with the nearest known one.
  Status find(std::string_view name, std::size_t expected, std::size_t& index) const;

  static Status check_datatype(const Input& input, const Datatype& datatype);

  // [rows] or [rows, 1]; of a vector [rows, width], or [rows, …] whose rest multiplies to the width.
  static Status check_shape(const Input& input, std::span<const std::uint64_t> shape, std::size_t rows_max);
  static Status refuse_shape(const Input& input);

 private:
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::vector<Input> inputs_;
  std::unordered_map<std::string, std::size_t, TextHash, std::equal_to<>> by_name_;
};

}  // namespace freshet
