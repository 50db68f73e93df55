// Backups of a store, as Store::backup makes them: a folder that holds several, each file once (RocksDB's backup
// engine, with files named by checksum and size). A backup is the store as it was at one moment, with all that was
// appended by then, so that a daemon started on the restored folder goes on exactly there.
//
// Threads: any; one process at a time works on a folder of backups (it is locked).  Owns: nothing.
// Failure: kNotFound without backups, kFailedPrecondition when the target holds something, kDataLoss on a damaged one.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "storage/store.h"

namespace freshet {

// By ascending id; damaged ones are left out.
Result<std::vector<BackupInfo>> list_backups(const std::string& folder);

// Puts backup `id` (0: the newest) into `path`, which must be an empty folder or none. Every file's checksum is
// compared on the way. When it fails, what had been put there is removed again.
Result<BackupInfo> restore_backup(const std::string& folder, std::uint64_t id, const std::string& path);

// Held while a folder of backups is written.
class BackupLock {
 public:
  static Result<BackupLock> take(const std::string& folder);
  BackupLock(BackupLock&& other) noexcept : file_(other.file_) { other.file_ = -1; }
  BackupLock& operator=(BackupLock&&) = delete;
  ~BackupLock();

 private:
  explicit BackupLock(int file) : file_(file) {}
  int file_;
};

}  // namespace freshet
