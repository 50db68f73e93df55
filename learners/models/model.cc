#include "learners/models/model.h"

#include <array>

#include <fmt/core.h>

namespace freshet {

namespace {
constexpr std::array<std::string_view, 3> kArchitectureNames = {"linear", "mlp", "wide_deep"};
}

std::string_view architecture_name(Architecture architecture) {
  return kArchitectureNames.at(static_cast<std::size_t>(architecture));
}

Result<Architecture> parse_architecture(std::string_view name) {
  for (std::size_t i = 0; i < kArchitectureNames.size(); ++i) {
    if (kArchitectureNames.at(i) == name) return static_cast<Architecture>(i);
  }
  return invalid_argument(fmt::format("no architecture \"{}\"; there are linear, mlp and wide_deep", name));
}

std::size_t row_count(std::span<const RowRange> rows) {
  std::size_t count = 0;
  for (const auto& range : rows) count += range.size();
  return count;
}

}  // namespace freshet
