#include "storage/late_errors.h"

#include <rocksdb/file_system.h>

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "storage/file_system_env.h"

namespace freshet {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

// The first error of several; any thread.
class FirstError {
 public:
  IOStatus note(IOStatus status) {
    if (status.ok()) return status;
    const std::lock_guard lock(mutex_);
    if (!seen_) error_ = status;
    seen_ = true;
    return status;
  }
  IOStatus get() const {
    if (!seen_) return IOStatus::OK();
    const std::lock_guard lock(mutex_);
    return error_;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    seen_ = false;
    error_ = IOStatus::OK();
  }

 private:
  std::atomic<bool> seen_{false};
  mutable std::mutex mutex_;
  IOStatus error_;
};

// A write-ahead log: an error is told by an append alone.
class Log final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  Log(std::unique_ptr<rocksdb::FSWritableFile>&& file, FirstError& error)
      : FSWritableFileOwnerWrapper(std::move(file)), error_(error) {}
  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    IOStatus before = error_.get();
    if (!before.ok()) return before;
    return error_.note(FSWritableFileOwnerWrapper::Append(data, options, debug));
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& info,
                  IODebugContext* debug) override {
    IOStatus before = error_.get();
    if (!before.ok()) return before;
    return error_.note(FSWritableFileOwnerWrapper::Append(data, options, info, debug));
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return later(FSWritableFileOwnerWrapper::Flush(options, debug));
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return later(FSWritableFileOwnerWrapper::Sync(options, debug));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return later(FSWritableFileOwnerWrapper::Fsync(options, debug));
  }
  IOStatus RangeSync(std::uint64_t offset, std::uint64_t bytes, const IOOptions& options,
                     IODebugContext* debug) override {
    return later(FSWritableFileOwnerWrapper::RangeSync(offset, bytes, options, debug));
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    return later(FSWritableFileOwnerWrapper::Close(options, debug));
  }

 private:
  IOStatus later(IOStatus status) {
    error_.note(std::move(status)).PermitUncheckedError();
    return IOStatus::OK();
  }
  FirstError& error_;
};

// Stands in for a log that could not be created.
class MissingLog final : public rocksdb::FSWritableFile {
 public:
  MissingLog(IOStatus why, FirstError& error) : why_(std::move(why)), error_(error) {}
  using rocksdb::FSWritableFile::Append;
  IOStatus Append(const Slice&, const IOOptions&, IODebugContext*) override { return error_.note(why_); }
  IOStatus Flush(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }  // of nothing: no byte was taken
  IOStatus Close(const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }
  bool IsSyncThreadSafe() const override { return true; }
  std::uint64_t GetFileSize(const IOOptions&, IODebugContext*) override { return 0; }

 private:
  IOStatus why_;
  FirstError& error_;
};

// The tables that could not be written, by name.
class FailedTables {
 public:
  void note(const std::string& name, const IOStatus& error) {
    const std::lock_guard lock(mutex_);
    errors_.emplace(name, error);
    any_ = true;
  }
  IOStatus of(const std::string& name) const {
    if (!any_) return IOStatus::OK();
    const std::lock_guard lock(mutex_);
    const auto found = errors_.find(name);
    return found == errors_.end() ? IOStatus::OK() : found->second;
  }
  // Of any one; a compaction that has lost a table need not write the next.
  IOStatus first() const {
    if (!any_) return IOStatus::OK();
    const std::lock_guard lock(mutex_);
    return errors_.empty() ? IOStatus::OK() : errors_.begin()->second;
  }
  void forget(const std::string& name) {
    if (!any_) return;
    const std::lock_guard lock(mutex_);
    errors_.erase(name);
    any_ = !errors_.empty();
  }
  void forget_all() {
    const std::lock_guard lock(mutex_);
    errors_.clear();
    any_ = false;
  }

 private:
  std::atomic<bool> any_{false};
  mutable std::mutex mutex_;
  std::map<std::string, IOStatus> errors_;
};

// A table that is being written: after an error it takes everything and keeps nothing.
class Table final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  Table(std::unique_ptr<rocksdb::FSWritableFile>&& file, std::string name, FailedTables& failed)
      : FSWritableFileOwnerWrapper(std::move(file)), name_(std::move(name)), failed_(failed) {}
  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return lost_ ? IOStatus::OK() : later(FSWritableFileOwnerWrapper::Append(data, options, debug));
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& info,
                  IODebugContext* debug) override {
    return lost_ ? IOStatus::OK() : later(FSWritableFileOwnerWrapper::Append(data, options, info, debug));
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return lost_ ? IOStatus::OK() : later(FSWritableFileOwnerWrapper::Flush(options, debug));
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return lost_ ? IOStatus::OK() : later(FSWritableFileOwnerWrapper::Sync(options, debug));
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return lost_ ? IOStatus::OK() : later(FSWritableFileOwnerWrapper::Fsync(options, debug));
  }
  IOStatus RangeSync(std::uint64_t offset, std::uint64_t bytes, const IOOptions& options,
                     IODebugContext* debug) override {
    return lost_ ? IOStatus::OK() : later(FSWritableFileOwnerWrapper::RangeSync(offset, bytes, options, debug));
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    return later(FSWritableFileOwnerWrapper::Close(options, debug));
  }

 private:
  IOStatus later(const IOStatus& status) {
    if (!status.ok()) {
      lost_ = true;
      failed_.note(name_, status);
    }
    return IOStatus::OK();
  }
  std::string name_;
  FailedTables& failed_;
  bool lost_ = false;  // one thread writes a table
};

}  // namespace

class LateErrors::Files final : public rocksdb::FileSystemWrapper {
 public:
  explicit Files(const std::shared_ptr<rocksdb::FileSystem>& below) : FileSystemWrapper(below) {}
  const char* Name() const override { return "LateErrors"; }

  IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* file, IODebugContext* debug) override {
    const bool is_log = name.ends_with(".log");
    const bool is_table = name.ends_with(".sst");
    if (is_table) {
      IOStatus before = tables_.first();
      if (!before.ok()) return before;
    }
    IOStatus status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (is_log && status.ok()) {
      *file = std::make_unique<Log>(std::move(*file), log_);
    } else if (is_log) {
      *file = std::make_unique<MissingLog>(std::move(status), log_);
      return IOStatus::OK();
    } else if (is_table && status.ok()) {
      *file = std::make_unique<Table>(std::move(*file), name, tables_);
    }
    return status;
  }
  IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file, IODebugContext* debug) override {
    IOStatus error = tables_.of(name);
    if (!error.ok()) return error;
    return FileSystemWrapper::NewRandomAccessFile(name, options, file, debug);
  }
  IOStatus DeleteFile(const std::string& name, const IOOptions& options, IODebugContext* debug) override {
    tables_.forget(name);  // the attempt is enough: it was given up
    return FileSystemWrapper::DeleteFile(name, options, debug);
  }

  IOStatus log_error() const { return log_.get(); }
  void forget() {
    log_.forget();
    tables_.forget_all();
  }

 private:
  FirstError log_;
  FailedTables tables_;
};

LateErrors::LateErrors(rocksdb::Env* below)
    : files_(std::make_shared<Files>(below->GetFileSystem())), env_(env_with_files(below, files_)) {}
LateErrors::~LateErrors() = default;

rocksdb::Env* LateErrors::env() const { return env_.get(); }
rocksdb::Status LateErrors::log_error() const { return files_->log_error(); }
void LateErrors::forget() { files_->forget(); }

}  // namespace freshet
