// freshet state backup, restore and compact.
#include "storage/backup.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <thread>

#include "daemon/commands/commands.h"
#include "daemon/commands/state_access.h"
#include "daemon/control/state_operations.h"

namespace freshet {
namespace {

constexpr std::chrono::milliseconds kLookEvery{200};

double megabytes(std::uint64_t bytes) { return static_cast<double>(bytes) * 1e-6; }

std::uint64_t number(const JsonObject& object, std::string_view name) {
  return std::strtoull(member(object, name).c_str(), nullptr, 10);
}

int failed(std::string_view command, const Status& status) {
  fmt::print(stderr, "freshet state {}: {}\n", command, status.message());
  return kExitFailed;
}

Result<std::string> back_up(const BackupArguments& arguments) {
  const std::string folder = TRY(state_folder(arguments.state));
  std::error_code error;
  const std::string to = std::filesystem::absolute(arguments.to, error).string();
  if (error) return invalid_argument(fmt::format("{}: {}", arguments.to, error.message()));
  CommandProgress progress("backup", "bytes", arguments.state.quiet);
  return work_on_state(folder, "backup", {{"to", to}, {"keep", std::to_string(arguments.keep)}}, progress,
                       control_options(arguments.state.control));
}

std::uint64_t size_of(const std::string& folder) {
  std::uint64_t total = 0;
  std::error_code error;
  for (auto file = std::filesystem::directory_iterator(folder, error);
       !error && file != std::filesystem::directory_iterator(); file.increment(error)) {
    std::error_code gone;
    const auto size = file->file_size(gone);
    if (!gone) total += size;
  }
  return total;
}

Result<BackupInfo> restore(const RestoreArguments& arguments) {
  const std::string folder = TRY(state_folder(arguments.state));
  CommandProgress progress("restore", "bytes", arguments.state.quiet);
  const auto backups = TRY(list_backups(arguments.from));
  std::uint64_t total = 0;
  for (const BackupInfo& backup : backups) {
    if (arguments.backup == 0 || arguments.backup == backup.id) total = backup.bytes;
  }
  Result<BackupInfo> restored = internal_error("not run");
  {
    const std::jthread watch([&](const std::stop_token& over) {
      std::mutex mutex;
      std::condition_variable_any wake;
      std::unique_lock lock(mutex);
      while (!over.stop_requested()) {
        progress.show(std::min(size_of(folder), total), total);
        wake.wait_for(lock, over, kLookEvery, [] { return false; });
      }
    });
    restored = restore_backup(arguments.from, arguments.backup, folder);
  }
  if (!restored.is_ok()) return restored;
  progress.show(total, total);
  progress.finish();
  // It must open, and be no newer than this build.
  NullLog log;
  LocalMetrics metrics;
  TRY(open_to_read(folder, log, metrics).with_context("the restored store"));
  return restored;
}

int list(const RestoreArguments& arguments) {
  const auto backups = list_backups(arguments.from);
  if (!backups.is_ok()) return failed("restore", backups.status());
  if (arguments.state.json) {
    std::string json = "[";
    for (const BackupInfo& backup : *backups) json += (json.size() > 1 ? "," : "") + to_json(backup);
    fmt::print("{}]\n", json);
    return kExitOk;
  }
  for (const BackupInfo& backup : *backups) {
    fmt::print("backup {}: {:%Y-%m-%d %H:%M:%S} UTC, up to event {} or later, {:.1f} MB in {} files\n", backup.id,
               fmt::gmtime(backup.wall_ms / 1000), backup.last_seq, megabytes(backup.bytes), backup.files);
  }
  return kExitOk;
}

}  // namespace

int run_backup(const BackupArguments& arguments) {
  const auto result = back_up(arguments);
  if (!result.is_ok()) return failed("backup", result.status());
  if (arguments.state.json) {
    fmt::print("{}\n", *result);
    return kExitOk;
  }
  const auto backup = parse_json_object(*result);
  if (!backup.is_ok()) return failed("backup", backup.status());
  fmt::print("backup {} in {}: up to event {} or later, {:.1f} MB in {} files\n", number(*backup, "id"), arguments.to,
             number(*backup, "last_seq"), megabytes(number(*backup, "bytes")), number(*backup, "files"));
  return kExitOk;
}

int run_restore(const RestoreArguments& arguments) {
  if (arguments.list) return list(arguments);
  const auto restored = restore(arguments);
  if (!restored.is_ok()) return failed("restore", restored.status());
  if (arguments.state.json) {
    fmt::print("{}\n", to_json(*restored));
  } else {
    fmt::print("restored backup {} ({:.1f} MB); a daemon started on it goes on after event {} or later\n", restored->id,
               megabytes(restored->bytes), restored->last_seq);
  }
  return kExitOk;
}

int run_compact(const StateArguments& arguments) {
  const auto folder = state_folder(arguments);
  if (!folder.is_ok()) return failed("compact", folder.status());
  CommandProgress progress("compacting", "bytes", arguments.quiet);
  const auto result = work_on_state(*folder, "compact", {}, progress, control_options(arguments.control));
  if (!result.is_ok()) return failed("compact", result.status());
  if (arguments.json) {
    fmt::print("{}\n", *result);
    return kExitOk;
  }
  const auto sizes = parse_json_object(*result);
  if (!sizes.is_ok()) return failed("compact", sizes.status());
  fmt::print("{:.1f} MB on disk before, {:.1f} MB after\n", megabytes(number(*sizes, "bytes_before")),
             megabytes(number(*sizes, "bytes_after")));
  return kExitOk;
}

}  // namespace freshet
