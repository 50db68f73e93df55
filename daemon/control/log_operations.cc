#include "daemon/control/log_operations.h"

#include <fmt/format.h>

#include <array>

#include "core/json_writer.h"
#include "daemon/adapters/spdlog_log.h"

namespace freshet {
namespace {

constexpr std::array<LogLevel, 4> kLevels = {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError};

Result<std::string> change(const std::function<void(LogLevel)>& set_level, const JsonObject& arguments) {
  const std::string wanted = member(arguments, "level");
  for (const LogLevel level : kLevels) {
    if (log_level_name(level) != wanted) continue;
    set_level(level);
    JsonWriter json(0);
    json.begin_object();
    json.field("level", wanted);
    json.end_object();
    return json.take();
  }
  return invalid_argument(fmt::format("'level' must be debug, info, warning or error, not '{}'", wanted));
}

}  // namespace

StateOperations log_operations(std::function<void(LogLevel)> set_level) {
  StateOperations operations;
  operations["log_level"] = {"levels", [set_level = std::move(set_level)](const JsonObject& arguments, Progress&) {
                               return change(set_level, arguments);
                             }};
  return operations;
}

}  // namespace freshet
