// DyingDisk: a file system that stops for good at its n-th change, as a process that is killed there leaves it: the
// change itself is half done, and nothing follows. After lose_unsynced() the files are as after a power cut besides.
//
// Threads: all methods from any; lose_unsynced once the database is closed.  Owns: nothing on the disk.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "core/rng.h"

namespace freshet::test {

class DyingDisk final : public rocksdb::FileSystemWrapper {
 public:
  DyingDisk(std::uint64_t seed, std::uint64_t dies_at, std::function<void()> on_death)
      : FileSystemWrapper(rocksdb::FileSystem::Default()), rng_(seed), left_(dies_at), on_death_(std::move(on_death)) {}
  const char* Name() const override { return "DyingDisk"; }
  bool dead() const { return dead_; }

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override {
    if (!may_change()) return gone();
    auto status = FileSystemWrapper::NewWritableFile(name, options, file, debug);
    if (!status.ok()) return status;
    forget(name);
    *file = std::make_unique<File>(std::move(*file), *this, name);
    return status;
  }
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    if (!may_change()) return gone();
    forget(name);
    return FileSystemWrapper::DeleteFile(name, options, debug);
  }
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override {
    if (!may_change()) return gone();
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = synced_.find(from); found != synced_.end()) {
        synced_[to] = found->second;
        synced_.erase(from);
      }
    }
    return FileSystemWrapper::RenameFile(from, to, options, debug);
  }

  // Each file loses a random part of what was not synced.
  void lose_unsynced() {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, synced] : synced_) {
      std::error_code error;
      const auto size = std::filesystem::file_size(name, error);
      if (error || size <= synced) continue;
      std::filesystem::resize_file(name, synced + rng_.below(size - synced + 1), error);
    }
  }

 private:
  class File final : public rocksdb::FSWritableFileOwnerWrapper {
   public:
    File(std::unique_ptr<rocksdb::FSWritableFile>&& file, DyingDisk& disk, std::string name)
        : FSWritableFileOwnerWrapper(std::move(file)), disk_(disk), name_(std::move(name)) {
      disk_.note_synced(name_, 0);
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override {
      if (disk_.may_change()) return add(data, options, debug);
      return torn(data, options, debug);
    }
    rocksdb::IOStatus Append(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                             const rocksdb::DataVerificationInfo&, rocksdb::IODebugContext* debug) override {
      return Append(data, options, debug);
    }
    // The page cache survives a kill, so that nothing needs to reach the disk for it; a power cut is our own doing.
    rocksdb::IOStatus Sync(const rocksdb::IOOptions&, rocksdb::IODebugContext*) override {
      if (!disk_.may_change()) return gone();
      disk_.note_synced(name_, size_);
      return rocksdb::IOStatus::OK();
    }
    rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override {
      return Sync(options, debug);
    }

   private:
    rocksdb::IOStatus add(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* debug) {
      auto status = FSWritableFileOwnerWrapper::Append(data, options, debug);
      if (status.ok()) size_ += data.size();
      return status;
    }
    rocksdb::IOStatus torn(const rocksdb::Slice& data, const rocksdb::IOOptions& options,
                           rocksdb::IODebugContext* debug) {
      if (const auto part = disk_.last_part(data.size()); part > 0) {
        static_cast<void>(add(rocksdb::Slice(data.data(), part), options, debug));
      }
      return gone();
    }

    DyingDisk& disk_;
    std::string name_;
    std::uint64_t size_ = 0;
  };

  static rocksdb::IOStatus gone() { return rocksdb::IOStatus::IOError("the test's disk has died"); }

  bool may_change() {
    if (dead_) return false;
    const std::lock_guard lock(mutex_);
    if (left_ > 1) {
      --left_;
      return true;
    }
    if (!dead_.exchange(true)) on_death_();
    return false;
  }
  // How much of the append at which it died reaches the disk; of later ones nothing.
  std::size_t last_part(std::size_t size) {
    const std::lock_guard lock(mutex_);
    if (parted_) return 0;
    parted_ = true;
    return rng_.below(size + 1);
  }
  void note_synced(const std::string& name, std::uint64_t size) {
    const std::lock_guard lock(mutex_);
    synced_[name] = size;
  }
  void forget(const std::string& name) {
    const std::lock_guard lock(mutex_);
    synced_.erase(name);
  }

  std::mutex mutex_;
  Rng rng_;
  std::uint64_t left_;
  std::function<void()> on_death_;
  std::atomic<bool> dead_{false};
  bool parted_ = false;
  std::map<std::string, std::uint64_t> synced_;  // bytes of each file written by this process that a power cut leaves
};

}  // namespace freshet::test
