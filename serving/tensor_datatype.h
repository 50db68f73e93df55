// The datatypes of the Open Inference Protocol v2, by name.
//
// Threads: constants and pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace freshet {

enum class DatatypeKind : std::uint8_t { kBool, kSigned, kUnsigned, kFloat, kBytes };

struct Datatype {
  std::string_view name;
  DatatypeKind kind;
  std::size_t bytes = 0;  // of one item in binary form; 0: each item says its own length
  // Of integers: what they may hold. kFloat: the largest finite magnitude is `float_max`.
  std::int64_t min = 0;
  std::uint64_t max = 0;
  double float_max = 0;
};

inline constexpr std::array<Datatype, 13> kDatatypes = {{
    {"BOOL", DatatypeKind::kBool, 1},
    {"INT8", DatatypeKind::kSigned, 1, INT8_MIN, INT8_MAX},
    {"INT16", DatatypeKind::kSigned, 2, INT16_MIN, INT16_MAX},
    {"INT32", DatatypeKind::kSigned, 4, INT32_MIN, INT32_MAX},
    {"INT64", DatatypeKind::kSigned, 8, INT64_MIN, INT64_MAX},
    {"UINT8", DatatypeKind::kUnsigned, 1, 0, UINT8_MAX},
    {"UINT16", DatatypeKind::kUnsigned, 2, 0, UINT16_MAX},
    {"UINT32", DatatypeKind::kUnsigned, 4, 0, UINT32_MAX},
    {"UINT64", DatatypeKind::kUnsigned, 8, 0, UINT64_MAX},
    {"FP16", DatatypeKind::kFloat, 2, 0, 0, 65504.0},
    {"FP32", DatatypeKind::kFloat, 4, 0, 0, static_cast<double>(std::numeric_limits<float>::max())},
    {"FP64", DatatypeKind::kFloat, 8, 0, 0, std::numeric_limits<double>::max()},
    {"BYTES", DatatypeKind::kBytes},
}};

// Null when there is no such datatype.
inline const Datatype* find_datatype(std::string_view name) {
  for (const auto& datatype : kDatatypes) {
    if (datatype.name == name) return &datatype;
  }
  return nullptr;
}

}  // namespace freshet
