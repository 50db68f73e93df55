#include "stream/input_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace freshet {
namespace {
constexpr std::size_t kCompressedBlock = std::size_t{128} << 10;
}  // namespace

// Pulls compressed bytes through `refill` and gives plain ones.
class InputFile::Decompressor {
 public:
  explicit Decompressor(InputFile& file) : file_(file), input_(kCompressedBlock) {}
  virtual ~Decompressor() = default;
  virtual Result<std::size_t> read(char* target, std::size_t size) = 0;

 protected:
  // False at the end of the file.
  Result<bool> refill() {
    filled_ = TRY(file_.read_raw(input_.data(), input_.size()));
    used_ = 0;
    return filled_ != 0;
  }
  Status cut_short() const {
    return data_loss(fmt::format("'{}' ends in the middle of its compressed data; the file is cut short", file_.path_));
  }
  Status broken(std::string_view why) const {
    return data_loss(fmt::format("'{}' has broken compressed data: {}", file_.path_, why));
  }
  InputFile& file_;
  std::vector<char> input_;
  std::size_t filled_ = 0;
  std::size_t used_ = 0;
};

class InputFile::Gzip final : public Decompressor {
 public:
  explicit Gzip(InputFile& file) : Decompressor(file) {
    constexpr int kGzipWindow = 15 + 16;
    if (inflateInit2(&stream_, kGzipWindow) != Z_OK) abort_with("no memory for zlib");
  }
  ~Gzip() override { inflateEnd(&stream_); }

  Result<std::size_t> read(char* target, std::size_t size) override {
    stream_.next_out = reinterpret_cast<Bytef*>(target);
    stream_.avail_out = static_cast<uInt>(std::min<std::size_t>(size, std::size_t{1} << 30));
    const auto wanted = stream_.avail_out;
    while (stream_.avail_out == wanted) {
      if (used_ == filled_) {
        if (!TRY(refill())) {
          if (within_member_) return cut_short();
          return std::size_t{0};
        }
      }
      if (!within_member_) {  // another member may follow: gzip files can be concatenated
        if (inflateReset(&stream_) != Z_OK) return broken("zlib cannot be reset");
        within_member_ = true;
      }
      stream_.next_in = reinterpret_cast<Bytef*>(input_.data() + used_);
      stream_.avail_in = static_cast<uInt>(filled_ - used_);
      const int code = inflate(&stream_, Z_NO_FLUSH);
      used_ = filled_ - stream_.avail_in;
      if (code == Z_STREAM_END) {
        within_member_ = false;
      } else if (code != Z_OK && code != Z_BUF_ERROR) {
        return broken(stream_.msg != nullptr ? stream_.msg : "not gzip");
      }
    }
    return static_cast<std::size_t>(wanted - stream_.avail_out);
  }

 private:
  z_stream stream_{};
  bool within_member_ = true;
};

class InputFile::Zstd final : public Decompressor {
 public:
  explicit Zstd(InputFile& file) : Decompressor(file), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) abort_with("no memory for zstd");
  }
  ~Zstd() override { ZSTD_freeDStream(stream_); }

  Result<std::size_t> read(char* target, std::size_t size) override {
    ZSTD_outBuffer out{target, size, 0};
    while (out.pos == 0) {
      if (used_ == filled_ && !flushing_) {
        if (!TRY(refill())) {
          if (within_frame_) return cut_short();
          return std::size_t{0};
        }
      }
      ZSTD_inBuffer in{input_.data(), filled_, used_};
      const std::size_t code = ZSTD_decompressStream(stream_, &out, &in);
      if (ZSTD_isError(code) != 0) return broken(ZSTD_getErrorName(code));
      used_ = in.pos;
      within_frame_ = code != 0;
      flushing_ = out.pos == out.size;  // there may be more plain bytes without new input
    }
    return out.pos;
  }

 private:
  ZSTD_DStream* stream_;
  bool within_frame_ = false;
  bool flushing_ = false;
};

InputFile::InputFile(int descriptor, std::string path) : descriptor_(descriptor), path_(std::move(path)) {}

InputFile::~InputFile() {
  if (descriptor_ > STDERR_FILENO) close(descriptor_);
}

Result<std::unique_ptr<InputFile>> InputFile::open(const std::string& path) {
  const int descriptor = path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return not_found(fmt::format("cannot open '{}': {}", path, std::strerror(errno)));
  std::unique_ptr<InputFile> file(new InputFile(descriptor, path));
  struct stat info {};
  if (fstat(descriptor, &info) == 0) {
    if (S_ISDIR(info.st_mode)) return invalid_argument(fmt::format("'{}' is a folder, not a file", path));
    if (S_ISREG(info.st_mode)) {
      file->bytes_total_ = static_cast<std::uint64_t>(info.st_size);
      posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL);
    }
  }
  if (auto status = file->detect(); !status.is_ok()) return status;
  return file;
}

Status InputFile::detect() {
  constexpr std::size_t kMagicBytes = 4;
  std::string head(kMagicBytes, '\0');
  std::size_t filled = 0;
  while (filled < kMagicBytes) {
    const std::size_t count = TRY(read_raw(head.data() + filled, kMagicBytes - filled));
    if (count == 0) break;
    filled += count;
  }
  head.resize(filled);
  head_ = head;
  if (head.substr(0, 2) == "\x1F\x8B") decompressor_ = std::make_unique<Gzip>(*this);
  if (head == "\x28\xB5\x2F\xFD") decompressor_ = std::make_unique<Zstd>(*this);
  return Status::ok();
}

Result<std::size_t> InputFile::read_raw(char* target, std::size_t size) {
  if (!head_.empty()) {
    const std::size_t count = std::min(size, head_.size());
    std::memcpy(target, head_.data(), count);
    head_.erase(0, count);
    return count;
  }
  for (;;) {
    const ssize_t count = ::read(descriptor_, target, size);
    if (count >= 0) {
      bytes_read_.fetch_add(static_cast<std::uint64_t>(count), std::memory_order_relaxed);
      return static_cast<std::size_t>(count);
    }
    if (errno != EINTR) return unavailable(fmt::format("cannot read '{}': {}", path_, std::strerror(errno)));
  }
}

Result<std::size_t> InputFile::read(char* target, std::size_t size) {
  return decompressor_ ? decompressor_->read(target, size) : read_raw(target, size);
}

}  // namespace freshet
