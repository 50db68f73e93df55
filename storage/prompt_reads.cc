#include "storage/prompt_reads.h"

#include <fcntl.h>
#include <rocksdb/file_system.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <string>
#include <utility>

namespace freshet {
namespace {

enum class Cached : std::uint8_t { kRead, kMissing, kUnknown };

class PromptFile final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  PromptFile(std::unique_ptr<rocksdb::FSRandomAccessFile> below, int file)
      : FSRandomAccessFileOwnerWrapper(std::move(below)), file_(file) {}
  PromptFile(const PromptFile&) = delete;
  PromptFile& operator=(const PromptFile&) = delete;
  ~PromptFile() override { close(file_); }

  rocksdb::IOStatus Read(std::uint64_t offset, std::size_t size, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch, rocksdb::IODebugContext* debug) const override {
    if (options.timeout == kPrompt) {
      const Cached cached = read_cached(offset, size, scratch);
      if (cached == Cached::kRead) {
        *result = rocksdb::Slice(scratch, size);
        return rocksdb::IOStatus::OK();
      }
      if (cached == Cached::kMissing) {
        *result = rocksdb::Slice();
        return missing();
      }
    }
    return target()->Read(offset, size, options, result, scratch, debug);
  }

  rocksdb::IOStatus MultiRead(rocksdb::FSReadRequest* requests, std::size_t count, const rocksdb::IOOptions& options,
                              rocksdb::IODebugContext* debug) override {
    if (options.timeout != kPrompt) return target()->MultiRead(requests, count, options, debug);
    for (std::size_t i = 0; i < count; ++i) {
      rocksdb::FSReadRequest& request = requests[i];
      request.status = Read(request.offset, request.len, options, &request.result, request.scratch, debug);
    }
    return rocksdb::IOStatus::OK();
  }

 private:
  static rocksdb::IOStatus missing() {
    return rocksdb::status_to_io_status(rocksdb::Status::TryAgain("not in the page cache; on its way"));
  }

  // Reads all of it or, when some is not in the page cache, has the kernel fetch it.
  Cached read_cached(std::uint64_t offset, std::size_t size, char* target) const {
    if (!kernel_tells_.load(std::memory_order_relaxed)) return Cached::kUnknown;
    const iovec part{target, size};
    const auto at = static_cast<off_t>(offset);
    const ssize_t got = preadv2(file_, &part, 1, at, RWF_NOWAIT);
    if (got == static_cast<ssize_t>(size)) return Cached::kRead;
    if (got < 0 && errno != EAGAIN) {
      if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL) kernel_tells_ = false;
      return Cached::kUnknown;  // the read that waits says what is wrong, if something is
    }
    const off_t have = got < 0 ? 0 : static_cast<off_t>(got);
    posix_fadvise(file_, at + have, static_cast<off_t>(size) - have, POSIX_FADV_WILLNEED);  // a wish
    return Cached::kMissing;
  }

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
    rocksdb::IOStatus status = FileSystemWrapper::NewRandomAccessFile(name, options, file, debug);
    if (!status.ok() || (*file)->use_direct_io() || options.use_mmap_reads) return status;
    const int own = open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (own < 0) return status;
    posix_fadvise(own, 0, 0, POSIX_FADV_RANDOM);  // what is fetched is what was asked for, and no more
    *file = std::make_unique<PromptFile>(std::move(*file), own);
    return status;
  }
};

// Clock and threads stay those of the environment below.
class PromptReadsEnv final : public rocksdb::EnvWrapper {
 public:
  explicit PromptReadsEnv(rocksdb::Env* below) : EnvWrapper(below) {
    file_system_ = std::make_shared<PromptReads>(below->GetFileSystem());
    system_clock_ = below->GetSystemClock();
  }
};

}  // namespace

std::unique_ptr<rocksdb::Env> with_prompt_reads(rocksdb::Env* below) { return std::make_unique<PromptReadsEnv>(below); }

}  // namespace freshet
