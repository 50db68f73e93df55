#include "core/predictor.h"

#include <array>

namespace freshet {

std::string_view task_name(Task task) {
  static constexpr std::array<std::string_view, 3> kNames = {"binary", "multiclass", "regression"};
  return kNames.at(static_cast<std::size_t>(task));
}

}  // namespace freshet
