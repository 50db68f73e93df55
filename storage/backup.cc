#include "storage/backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/env.h>
#include <rocksdb/utilities/backup_engine.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/bytes.h"
#include "storage/store_impl.h"

namespace freshet {
namespace {

constexpr std::uint32_t kMetadataFormat = 1;
constexpr std::uint64_t kStepBytes = std::uint64_t{1} << 20;

// What a backup says about itself beside its files.
struct Metadata {
  std::uint64_t last_seq = 0;
  std::uint64_t checkpoint = 0;
  std::uint64_t fingerprint = 0;
};

std::string encode_metadata(const Metadata& metadata) {
  ByteWriter out;
  out.put(kMetadataFormat);
  out.put(metadata.last_seq);
  out.put(metadata.checkpoint);
  out.put(metadata.fingerprint);
  return out.take();
}

Metadata decode_metadata(std::string_view bytes) {
  ByteReader in(bytes);
  Metadata metadata;
  if (in.get<std::uint32_t>() != kMetadataFormat) return {};
  metadata.last_seq = in.get<std::uint64_t>();
  metadata.checkpoint = in.get<std::uint64_t>();
  metadata.fingerprint = in.get<std::uint64_t>();
  return in.at_end() ? metadata : Metadata{};
}

Status backup_status(const rocksdb::Status& status, std::string_view what, const std::string& folder) {
  if (status.ok()) return Status::ok();
  const std::string text = status.ToString();
  if (status.IsIncomplete()) return cancelled(fmt::format("{} {}: interrupted", what, folder));
  if (status.IsNoSpace()) {
    return resource_exhausted(fmt::format("{} {}: the disk is full ({}); make room and try again", what, folder, text));
  }
  if (status.IsCorruption()) return data_loss(fmt::format("{} {}: damaged ({})", what, folder, text));
  if (status.IsNotFound()) return not_found(fmt::format("{} {}: {}", what, folder, text));
  return unavailable(fmt::format("{} {}: {}", what, folder, text));
}

BackupInfo to_info(const rocksdb::BackupInfo& info) {
  const Metadata metadata = decode_metadata(info.app_metadata);
  return {info.backup_id, info.timestamp * 1000, info.size, info.number_files, metadata.last_seq, metadata.checkpoint};
}

bool inside(const std::filesystem::path& inner, const std::filesystem::path& outer) {
  std::error_code error;
  const auto inner_path = std::filesystem::weakly_canonical(inner, error);
  const auto outer_path = std::filesystem::weakly_canonical(outer, error);
  const auto differs = std::mismatch(outer_path.begin(), outer_path.end(), inner_path.begin(), inner_path.end());
  return differs.first == outer_path.end();
}

Result<std::unique_ptr<rocksdb::BackupEngineReadOnly>> open_for_reading(const std::string& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(std::filesystem::path(folder) / "meta", error)) {
    return not_found(fmt::format("there are no backups in {}", folder));
  }
  rocksdb::BackupEngineReadOnly* engine = nullptr;
  const rocksdb::BackupEngineOptions options(folder);
  TRY(backup_status(rocksdb::BackupEngineReadOnly::Open(options, rocksdb::Env::Default(), &engine),
                    "opening the backups in", folder));
  return std::unique_ptr<rocksdb::BackupEngineReadOnly>(engine);
}

// A file system's own folder does not count.
Result<bool> is_empty(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return true;
  auto entries = std::filesystem::directory_iterator(path, error);
  if (error) return unavailable(fmt::format("cannot look into {}: {}", path, error.message()));
  return std::all_of(begin(entries), end(entries),
                     [](const auto& entry) { return entry.path().filename() == "lost+found"; });
}

void remove_content(const std::string& path) {
  std::error_code ignored;
  std::vector<std::filesystem::path> entries;
  for (auto entry = std::filesystem::directory_iterator(path, ignored);
       !ignored && entry != std::filesystem::directory_iterator(); entry.increment(ignored)) {
    if (entry->path().filename() != "lost+found") entries.push_back(entry->path());
  }
  for (const auto& entry : entries) std::filesystem::remove_all(entry, ignored);
}

}  // namespace

Result<BackupLock> BackupLock::take(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return unavailable(fmt::format("cannot create {}: {}", folder, error.message()));
  const std::string path = folder + "/freshet.lock";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return unavailable(fmt::format("cannot write to {}: {}", folder, std::strerror(errno)));
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    ::close(file);
    return failed_precondition(fmt::format("another backup to {} is under way", folder));
  }
  return BackupLock(file);
}

BackupLock::~BackupLock() {
  if (file_ >= 0) ::close(file_);
}

Result<BackupInfo> Store::backup(const std::string& folder, std::uint32_t keep, const WorkStep& step) const {
  if (folder.empty()) return invalid_argument("a backup needs a folder");
  if (inside(folder, path())) {
    return invalid_argument(
        fmt::format("{} is inside the store; name a folder elsewhere, best on another disk", folder));
  }
  const BackupLock held = TRY(BackupLock::take(folder));
  const std::shared_lock shared(impl_->database_mutex);  // keeps a stopped database from being replaced meanwhile
  TRY(impl_->usable());
  Metadata metadata;
  {
    const std::lock_guard lock(impl_->mutex);
    metadata = {impl_->last_seq, impl_->kept.empty() ? 0 : impl_->kept.back().id,
                impl_->identity ? impl_->identity->fingerprint : 0};
  }
  rocksdb::BackupEngineOptions options(folder);
  options.callback_trigger_interval_size = kStepBytes;
  options.max_background_operations = 1;
  rocksdb::BackupEngine* opened = nullptr;
  TRY(backup_status(rocksdb::BackupEngine::Open(options, rocksdb::Env::Default(), &opened), "opening the backups in",
                    folder));
  const std::unique_ptr<rocksdb::BackupEngine> engine(opened);
  std::vector<rocksdb::BackupInfo> before;
  engine->GetBackupInfo(&before);
  if (!before.empty()) {
    const Metadata last = decode_metadata(before.back().app_metadata);
    if (last.fingerprint != 0 && last.fingerprint != metadata.fingerprint) {
      return failed_precondition(
          fmt::format("{} holds backups of a store with another event spec; name a folder of its own", folder));
    }
  }
  const std::uint64_t total = bytes_on_disk();
  std::uint64_t done = 0;
  rocksdb::CreateBackupOptions create;
  create.progress_callback = [&] {
    done += kStepBytes;
    if (step && !step(std::min(done, total), total)) engine->StopBackup();
  };
  // The log is copied as it stands, so nothing needs to be flushed and ingest does not wait.
  rocksdb::BackupID id = 0;
  const rocksdb::Status made =
      engine->CreateNewBackupWithMetadata(create, impl_->db.get(), encode_metadata(metadata), &id);
  if (!made.ok()) {
    engine->GarbageCollect().PermitUncheckedError();
    return backup_status(made, "writing a backup to", folder);
  }
  if (keep != 0) TRY(backup_status(engine->PurgeOldBackups(keep), "deleting old backups in", folder));
  if (step) step(total, total);
  rocksdb::BackupInfo info;
  TRY(backup_status(engine->GetBackupInfo(id, &info), "reading the new backup in", folder));
  return to_info(info);
}

Result<std::vector<BackupInfo>> list_backups(const std::string& folder) {
  const auto engine = TRY(open_for_reading(folder));
  std::vector<rocksdb::BackupInfo> found;
  engine->GetBackupInfo(&found);
  std::vector<BackupInfo> backups;
  backups.reserve(found.size());
  for (const rocksdb::BackupInfo& info : found) backups.push_back(to_info(info));
  return backups;
}

Result<BackupInfo> restore_backup(const std::string& folder, std::uint64_t id, const std::string& path) {
  if (path.empty()) return invalid_argument("restoring needs a folder for the store");
  if (!TRY(is_empty(path))) {
    return failed_precondition(
        fmt::format("{} is not empty; restore into an empty folder, or move what is there away first", path));
  }
  const auto backups = TRY(list_backups(folder));
  if (backups.empty()) return not_found(fmt::format("no backup in {} is whole", folder));
  const auto chosen = id == 0 ? std::prev(backups.end())
                              : std::find_if(backups.begin(), backups.end(),
                                             [id](const BackupInfo& backup) { return backup.id == id; });
  if (chosen == backups.end()) {
    return not_found(fmt::format("backup {} is not in {}, or not whole; there are {} to {}", id, folder,
                                 backups.front().id, backups.back().id));
  }
  auto engine = TRY(open_for_reading(folder));
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return unavailable(fmt::format("cannot create {}: {}", path, error.message()));
  const rocksdb::RestoreOptions options;
  const auto number = static_cast<rocksdb::BackupID>(chosen->id);
  if (const rocksdb::Status restored = engine->RestoreDBFromBackup(options, number, path, path); !restored.ok()) {
    engine.reset();  // which ends the copying of what was still queued
    remove_content(path);
    return backup_status(restored, fmt::format("restoring backup {} from", number), folder);
  }
  return *chosen;
}

}  // namespace freshet
