// FaultyDisk: a file system whose n-th operation fails, once, a few times or from then on; an append that fails may
// leave a part of itself behind, as on a disk that has just become full.
//
// Threads: any.  Owns: nothing on the disk.  Failure: that is what it is for.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/system_clock.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "core/rng.h"

namespace freshet::testing {

enum class Faults : std::uint8_t { kOnce, kAFew, kForEver };
enum class FaultyKind : std::uint8_t { kChanges, kReads };

struct FaultPlan {
  std::uint64_t at = UINT64_MAX;  // the first operation of the kind that fails, counted from 1
  Faults faults = Faults::kOnce;
  FaultyKind kind = FaultyKind::kChanges;
  bool full = false;  // no space instead of an I/O error
  std::uint64_t seed = 1;
};

class FaultyDisk final : public rocksdb::FileSystemWrapper {
 public:
  explicit FaultyDisk(const FaultPlan& plan)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), plan_(plan), rng_(plan.seed) {}
  const char* Name() const override { return "FaultyDisk"; }

  std::uint64_t operations() const { return operations_; }
  bool failed() const { return operations_ >= plan_.at; }
  // False only where failing for ever was asked for: then nothing will succeed any more.
  bool heals() const { return plan_.faults != Faults::kForEver; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (changing_fails()) return error();
    auto status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<Writable>(std::move(*file), *this);
    return status;
  }
  rocksdb::IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override {
    if (reading_fails()) return error();
    auto status = FileSystemWrapper::NewRandomAccessFile(name, options, file, debug);
    if (status.ok()) *file = std::make_unique<Readable>(std::move(*file), *this);
    return status;
  }
  rocksdb::IOStatus NewSequentialFile(const std::string& name, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* file,
                                      rocksdb::IODebugContext* debug) override {
    if (reading_fails()) return error();
    return FileSystemWrapper::NewSequentialFile(name, options, file, debug);
  }
  rocksdb::IOStatus NewDirectory(const std::string& name, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override {
    auto status = FileSystemWrapper::NewDirectory(name, options, directory, debug);
    if (status.ok()) *directory = std::make_unique<Directory>(std::move(*directory), *this);
    return status;
  }
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    if (changing_fails()) return error();
    return FileSystemWrapper::DeleteFile(name, options, debug);
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    if (changing_fails()) return error();
    return FileSystemWrapper::RenameFile(from, to, options, debug);
  }
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
    if (changing_fails()) return error();
    return FileSystemWrapper::LinkFile(from, to, options, debug);
  }
  rocksdb::IOStatus CreateDirIfMissing(const std::string& name, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* debug) override {
    if (changing_fails()) return error();
    return FileSystemWrapper::CreateDirIfMissing(name, options, debug);
  }

 private:
  class Writable final : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    Writable(std::unique_ptr<rocksdb::FSWritableFile>&& file, FaultyDisk& disk)
        : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk) {}
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
      if (!disk_.changing_fails()) return FSWritableFileOwnerWrapper::Append(data, options, debug);
      if (const auto part = disk_.part_of(data.size()); part > 0) {
        FSWritableFileOwnerWrapper::Append(rocksdb::Slice(data.data(), part), options, debug).PermitUncheckedError();
      }
      return disk_.error();
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* debug) override {
      return Append(data, options, debug);
    }
    // Nothing needs to reach the disk for these tests.
    rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override { return changed(); }
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override { return changed(); }
    rocksdb::IOStatus RangeSync(std::uint64_t, std::uint64_t, const rocksdb::IOOptions&,
                                rocksdb::IODebugContext*) override {
      return changed();
    }
    rocksdb::IOStatus Close(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
      auto status = FSWritableFileOwnerWrapper::Close(options, debug);
      return disk_.changing_fails() ? disk_.error() : status;
    }

   private:
    rocksdb::IOStatus changed() { return disk_.changing_fails() ? disk_.error() : rocksdb::IOStatus::OK(); }
    FaultyDisk& disk_;
  };

  class Readable final : public rocksdb::FSRandomAccessFileOwnerWrapper {
   public:
    Readable(std::unique_ptr<rocksdb::FSRandomAccessFile>&& file, FaultyDisk& disk)
        : FSRandomAccessFileOwnerWrapper(std::move(file)), disk_(disk) {}
    rocksdb::IOStatus Read(std::uint64_t offset, std::size_t bytes, const rocksdb::IOOptions& options,
                           rocksdb::Slice* result, char* scratch, rocksdb::IODebugContext* debug) const override {
      if (disk_.reading_fails()) return disk_.error();
      return FSRandomAccessFileOwnerWrapper::Read(offset, bytes, options, result, scratch, debug);
    }
    rocksdb::IOStatus MultiRead(rocksdb::FSReadRequest* requests, std::size_t count, const rocksdb::IOOptions& options,
                                rocksdb::IODebugContext* debug) override {
      if (disk_.reading_fails()) return disk_.error();
      return FSRandomAccessFileOwnerWrapper::MultiRead(requests, count, options, debug);
    }

   private:
    FaultyDisk& disk_;
  };

  class Directory final : public rocksdb::FSDirectoryWrapper {
   public:
    Directory(std::unique_ptr<rocksdb::FSDirectory>&& directory, FaultyDisk& disk)
        : FSDirectoryWrapper(std::move(directory)), disk_(disk) {}
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
      return disk_.changing_fails() ? disk_.error() : rocksdb::IOStatus::OK();
    }
    rocksdb::IOStatus FsyncWithDirOptions(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug,
                                          const rocksdb::DirFsyncOptions&) override {
      return Fsync(options, debug);
    }

   private:
    FaultyDisk& disk_;
  };

  bool changing_fails() { return plan_.kind == FaultyKind::kChanges && fails(); }
  bool reading_fails() { return plan_.kind == FaultyKind::kReads && fails(); }
  bool fails() {
    const std::uint64_t number = ++operations_;
    if (number < plan_.at) return false;
    switch (plan_.faults) {
      case Faults::kOnce:
        return number == plan_.at;
      case Faults::kAFew:
        return number < plan_.at + 8;
      case Faults::kForEver:
        return true;
    }
    return true;
  }
  rocksdb::IOStatus error() const {
    return plan_.full ? rocksdb::IOStatus::NoSpace("the test's disk is full")
                      : rocksdb::IOStatus::IOError("the test's disk is faulty");
  }
  std::size_t part_of(std::size_t size) {
    const std::lock_guard lock(mutex_);
    return rng_.below(size + 1);
  }

  FaultPlan plan_;
  std::atomic<std::uint64_t> operations_{0};
  std::mutex mutex_;
  Rng rng_;
};

// Runs on a FaultyDisk, and does not pause for the second that RocksDB takes after an error in the background.
class FaultyEnv final : public rocksdb::EnvWrapper {
 public:
  explicit FaultyEnv(std::shared_ptr<FaultyDisk> disk) : EnvWrapper(rocksdb::Env::Default()) {
    file_system_ = std::move(disk);
    system_clock_ = std::make_shared<HurriedClock>(rocksdb::SystemClock::Default());
  }

 private:
  class HurriedClock final : public rocksdb::SystemClockWrapper {
   public:
    using SystemClockWrapper::SystemClockWrapper;
    const char* Name() const override { return "HurriedClock"; }
    void SleepForMicroseconds(int micros) override { SystemClockWrapper::SleepForMicroseconds(std::min(micros, 2000)); }
  };
};

}  // namespace freshet::testing
