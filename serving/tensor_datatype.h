// The datatypes of the Open Inference Protocol v2, by name.
//
// Threads: constants and pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string_view>

namespace freshet {

enum class DatatypeKind : std::uint8_t { kBool, kSigned, kUnsigned, kFloat, kBytes };

struct Datatype {
  std::string_view name;
  DatatypeKind kind;
  // Of integers: what they may hold. kFloat: the largest finite magnitude is `float_max`.
  std::int64_t min = 0;
  std::uint64_t max = 0;
  double float_max = 0;
};

inline constexpr std::array<Datatype, 13> kDatatypes = {{
    {"BOOL", DatatypeKind::kBool},
    {"INT8", DatatypeKind::kSigned, INT8_MIN, INT8_MAX},
    {"INT16", DatatypeKind::kSigned, INT16_MIN, INT16_MAX},
    {"INT32", DatatypeKind::kSigned, INT32_MIN, INT32_MAX},
    {"INT64", DatatypeKind::kSigned, INT64_MIN, INT64_MAX},
    {"UINT8", DatatypeKind::kUnsigned, 0, UINT8_MAX},
    {"UINT16", DatatypeKind::kUnsigned, 0, UINT16_MAX},
    {"UINT32", DatatypeKind::kUnsigned, 0, UINT32_MAX},
    {"UINT64", DatatypeKind::kUnsigned, 0, UINT64_MAX},
    {"FP16", DatatypeKind::kFloat, 0, 0, 65504.0},
    {"FP32", DatatypeKind::kFloat, 0, 0, static_cast<double>(std::numeric_limits<float>::max())},
    {"FP64", DatatypeKind::kFloat, 0, 0, std::numeric_limits<double>::max()},
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
