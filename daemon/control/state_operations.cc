#include "daemon/control/state_operations.h"

#include <fmt/format.h>

#include <charconv>
#include <filesystem>

#include "core/json_writer.h"

namespace freshet {
namespace {

WorkStep step_of(Progress& progress) {
  return [&progress](std::uint64_t done, std::uint64_t total) {
    progress.set(done, total);
    return !progress.cancelled();
  };
}

Result<std::uint32_t> count_of(const JsonObject& arguments, std::string_view name) {
  const std::string text = member(arguments, name);
  std::uint32_t value = 0;
  if (text.empty()) return value;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) {
    return invalid_argument(fmt::format("'{}' must be a number, not '{}'", name, text));
  }
  return value;
}

Result<std::string> back_up(const Store& store, const JsonObject& arguments, Progress& progress) {
  const std::string to = member(arguments, "to");
  if (!std::filesystem::path(to).is_absolute()) {
    return invalid_argument(fmt::format("'to' must be the absolute path of a folder, not '{}'", to));
  }
  const std::uint32_t keep = TRY(count_of(arguments, "keep"));
  return to_json(TRY(store.backup(to, keep, step_of(progress))));
}

Result<std::string> compact(const Store& store, Progress& progress) {
  const Compaction done = TRY(store.compact(step_of(progress)));
  JsonWriter json(0);
  json.begin_object();
  json.field("bytes_before", done.bytes_before);
  json.field("bytes_after", done.bytes_after);
  json.end_object();
  return json.take();
}

}  // namespace

StateOperations store_operations(const Store& store) {
  StateOperations operations;
  operations["backup"] = {"bytes", [&store](const JsonObject& arguments, Progress& progress) {
                            return back_up(store, arguments, progress);
                          }};
  operations["compact"] = {"bytes",
                           [&store](const JsonObject&, Progress& progress) { return compact(store, progress); }};
  return operations;
}

std::string to_json(const BackupInfo& backup) {
  JsonWriter json(0);
  json.begin_object();
  json.field("id", backup.id);
  json.field("time_ms", backup.wall_ms);
  json.field("bytes", backup.bytes);
  json.field("files", backup.files);
  json.field("last_seq", backup.last_seq);
  json.field("checkpoint", backup.checkpoint);
  json.end_object();
  return json.take();
}

}  // namespace freshet
