#include "storage/prompt_reads.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <rocksdb/file_system.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "storage/file_system_env.h"

namespace freshet {
namespace {

enum class Cached : std::uint8_t { kRead, kMissing, kUnknown };

// Why not RocksDB's own file: it does not tell its descriptor, and a second one of each table would be a thousand more.
class PromptFile final : public rocksdb::FSRandomAccessFile {
 public:
  PromptFile(std::string name, int file) : name_(std::move(name)), file_(file) {}
  PromptFile(const PromptFile&) = delete;
  PromptFile& operator=(const PromptFile&) = delete;
  ~PromptFile() override { close(file_); }

  rocksdb::IOStatus Read(std::uint64_t offset, std::size_t size, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch, rocksdb::IODebugContext*) const override {
    *result = rocksdb::Slice();
    if (options.timeout == kPrompt) {
      const Cached cached = read_cached(offset, size, scratch);
      if (cached == Cached::kMissing) {
        return rocksdb::status_to_io_status(rocksdb::Status::TryAgain("not in the page cache; on its way"));
      }
      if (cached == Cached::kRead) *result = rocksdb::Slice(scratch, size);
      if (cached == Cached::kRead) return rocksdb::IOStatus::OK();
    }
    std::size_t done = 0;
    while (done < size) {
      const ssize_t got = pread(file_, scratch + done, size - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) {
        return rocksdb::IOStatus::IOError(fmt::format("reading {} bytes at {} of {}", size, offset, name_),
                                          std::strerror(errno));
      }
      if (got == 0) break;  // the end of the file: what there is, as the caller can tell
      done += static_cast<std::size_t>(got);
    }
    *result = rocksdb::Slice(scratch, done);
    return rocksdb::IOStatus::OK();
  }

  rocksdb::IOStatus Prefetch(std::uint64_t offset, std::size_t size, const rocksdb::IOOptions&,
                             rocksdb::IODebugContext*) override {
    fetch(offset, size);
    return rocksdb::IOStatus::OK();
  }

  void Hint(AccessPattern pattern) override {
    switch (pattern) {
      case kNormal:
        posix_fadvise(file_, 0, 0, POSIX_FADV_NORMAL);
        break;
      case kRandom:
        posix_fadvise(file_, 0, 0, POSIX_FADV_RANDOM);
        break;
      case kSequential:
        posix_fadvise(file_, 0, 0, POSIX_FADV_SEQUENTIAL);
        break;
      case kWillNeed:
      case kWontNeed:
        break;
    }
  }

  rocksdb::IOStatus InvalidateCache(std::size_t offset, std::size_t size) override {
    posix_fadvise(file_, static_cast<off_t>(offset), static_cast<off_t>(size), POSIX_FADV_DONTNEED);
    return rocksdb::IOStatus::OK();
  }

 private:
  void fetch(std::uint64_t offset, std::size_t size) const {  // a wish: its refusal changes nothing
    posix_fadvise(file_, static_cast<off_t>(offset), static_cast<off_t>(size), POSIX_FADV_WILLNEED);
  }

  // Reads all of it or, when some is not in the page cache, has the kernel fetch it.
  Cached read_cached(std::uint64_t offset, std::size_t size, char* target) const {
    if (!kernel_tells_.load(std::memory_order_relaxed)) return Cached::kUnknown;
    const iovec part{target, size};
    const ssize_t got = preadv2(file_, &part, 1, static_cast<off_t>(offset), RWF_NOWAIT);
    if (got == static_cast<ssize_t>(size)) return Cached::kRead;
    if (got < 0 && errno != EAGAIN) {
      if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) kernel_tells_ = false;
      return Cached::kUnknown;  // the read that waits says what is wrong, if something is
    }
    const std::size_t have = got < 0 ? 0 : static_cast<std::size_t>(got);
    fetch(offset + have, size - have);
    return Cached::kMissing;
  }

  std::string name_;
  int file_;
  mutable std::atomic<bool> kernel_tells_{true};
};

class PromptReads final : public rocksdb::FileSystemWrapper {
 public:
  explicit PromptReads(const std::shared_ptr<rocksdb::FileSystem>& below) : FileSystemWrapper(below) {}
  const char* Name() const override { return "PromptReads"; }

  rocksdb::IOStatus NewRandomAccessFile(const std::string& name, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override {
    if (options.use_direct_reads || options.use_mmap_reads || !name.ends_with(".sst")) {
      return FileSystemWrapper::NewRandomAccessFile(name, options, file, debug);
    }
    const int opened = open(name.c_str(), O_RDONLY | O_CLOEXEC);
    // The file system below says why not, in RocksDB's words.
    if (opened < 0) return FileSystemWrapper::NewRandomAccessFile(name, options, file, debug);
    *file = std::make_unique<PromptFile>(name, opened);
    return rocksdb::IOStatus::OK();
  }
};

}  // namespace

std::unique_ptr<rocksdb::Env> with_prompt_reads(rocksdb::Env* below) {
  return env_with_files(below, std::make_shared<PromptReads>(below->GetFileSystem()));
}

}  // namespace freshet
