#include "storage/late_log_errors.h"

#include <rocksdb/file_system.h>

#include <string>
#include <utility>

namespace freshet {
namespace {

// Stands in for a log that could not be created.
class MissingLog final : public rocksdb::FSWritableFile {
 public:
  explicit MissingLog(rocksdb::IOStatus why) : why_(std::move(why)) {}
  using rocksdb::FSWritableFile::Append;
  rocksdb::IOStatus Append(const rocksdb::Slice&, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return why_;
  }
  rocksdb::IOStatus Flush(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
  rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();  // of nothing: no byte was taken
  }
  rocksdb::IOStatus Close(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
    return rocksdb::IOStatus::OK();
  }
  bool IsSyncThreadSafe() const override { return true; }
  std::uint64_t GetFileSize(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override { return 0; }

 private:
  rocksdb::IOStatus why_;
};

class LateLogErrors final : public rocksdb::FileSystemWrapper {
 public:
  explicit LateLogErrors(const std::shared_ptr<rocksdb::FileSystem>& below) : FileSystemWrapper(below) {}
  const char* Name() const override { return "LateLogErrors"; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (status.ok() || !name.ends_with(".log")) return status;
    *file = std::make_unique<MissingLog>(std::move(status));
    return rocksdb::IOStatus::OK();
  }
};

// Clock and threads stay those of the environment below.
class LateLogErrorsEnv final : public rocksdb::EnvWrapper {
 public:
  explicit LateLogErrorsEnv(rocksdb::Env* below) : EnvWrapper(below) {
    file_system_ = std::make_shared<LateLogErrors>(below->GetFileSystem());
    system_clock_ = below->GetSystemClock();
  }
};

}  // namespace

std::unique_ptr<rocksdb::Env> with_late_log_errors(rocksdb::Env* below) {
  return std::make_unique<LateLogErrorsEnv>(below);
}

}  // namespace freshet
