// A disk that fails the next few reads of tables.
//
// Threads: any.  Owns: nothing.  Failure: none.
#pragma once

#include <rocksdb/file_system.h>

#include <atomic>
#include <memory>
#include <string>

namespace freshet::test {

class FlakyReads final : public rocksdb::FileSystemWrapper {
 public:
  FlakyReads() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "FlakyReads"; }

  void fail_next(int reads) { left_ = reads; }
  int failed() const { return failed_; }

  rocksdb::IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override {
    auto status = FileSystemWrapper::NewRandomAccessFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<File>(std::move(*file), *this);
    return status;
  }

 private:
  class File final : public rocksdb::FSRandomAccessFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSRandomAccessFile> file, FlakyReads& disk)
        : FSRandomAccessFileOwnerWrapper(std::move(file)), disk_(disk) {}
    rocksdb::IOStatus Read(std::uint64_t offset, std::size_t bytes, const rocksdb::IOOptions& options,
                           rocksdb::Slice* result, char* scratch, rocksdb::IODebugContext* debug) const override {
      if (disk_.fails()) return rocksdb::IOStatus::IOError("the disk is not there for a moment");
      return FSRandomAccessFileOwnerWrapper::Read(offset, bytes, options, result, scratch, debug);
    }
    rocksdb::IOStatus MultiRead(rocksdb::FSReadRequest* requests, std::size_t count, const rocksdb::IOOptions& options,
                                rocksdb::IODebugContext* debug) override {
      if (disk_.fails()) return rocksdb::IOStatus::IOError("the disk is not there for a moment");
      return FSRandomAccessFileOwnerWrapper::MultiRead(requests, count, options, debug);
    }

   private:
    FlakyReads& disk_;
  };

  bool fails() {
    if (left_ <= 0 || left_-- <= 0) return false;
    ++failed_;
    return true;
  }

  std::atomic<int> left_{0};
  std::atomic<int> failed_{0};
};

}  // namespace freshet::test
