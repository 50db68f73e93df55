#include "storage/ordered_logs.h"

#include <rocksdb/file_system.h>

#include <atomic>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "storage/file_system_env.h"

namespace freshet {
namespace {

class LogFile;

// The logs that are open.
struct OpenLogs {
  std::mutex mutex;
  std::set<LogFile*> files;
};

class LogFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  LogFile(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::shared_ptr<OpenLogs> open)
      : FSWritableFileOwnerWrapper(std::move(file)), open_(std::move(open)) {
    const std::lock_guard lock(open_->mutex);
    open_->files.insert(this);
  }
  ~LogFile() override { forget(); }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) override {
    unsynced_ = true;
    return FSWritableFileOwnerWrapper::Append(data, options, debug);
  }
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           const rocksdb::DataVerificationInfo& verification, rocksdb::IODebugContext* debug) override {
    unsynced_ = true;
    return FSWritableFileOwnerWrapper::Append(data, options, verification, debug);
  }
  rocksdb::IOStatus Close(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
    forget();
    return FSWritableFileOwnerWrapper::Close(options, debug);
  }
  // Nobody appends meanwhile: RocksDB has one writer, and it is the one who begins the next log.
  rocksdb::IOStatus sync_if_written(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) {
    if (!unsynced_) return rocksdb::IOStatus::OK();
    rocksdb::IOStatus status = Sync(options, debug);
    if (status.ok()) unsynced_ = false;
    return status;
  }

 private:
  void forget() {
    const std::lock_guard lock(open_->mutex);
    open_->files.erase(this);
  }
  std::shared_ptr<OpenLogs> open_;
  std::atomic<bool> unsynced_{false};
};

class OrderedLogs final : public rocksdb::FileSystemWrapper {
 public:
  explicit OrderedLogs(const std::shared_ptr<rocksdb::FileSystem>& below) : FileSystemWrapper(below) {}
  const char* Name() const override { return "OrderedLogs"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (!name.ends_with(".log")) return FileSystemWrapper::NewWritableFile(name, options, file, debug);
    {
      const std::lock_guard lock(open_->mutex);
      for (LogFile* log : open_->files) {
        rocksdb::IOStatus status = log->sync_if_written(options.io_options, debug);
        if (!status.ok()) return status;
      }
    }
    rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<LogFile>(std::move(*file), open_);
    return status;
  }

 private:
  std::shared_ptr<OpenLogs> open_ = std::make_shared<OpenLogs>();
};

}  // namespace

std::unique_ptr<rocksdb::Env> with_ordered_logs(rocksdb::Env* below) {
  return env_with_files(below, std::make_shared<OrderedLogs>(below->GetFileSystem()));
}

}  // namespace freshet
