// InputFile: the plain bytes of a file that may be compressed. What it is (gzip, zstd, plain) is told by its first
// bytes, not by its name. "-" is the standard input.
//
// Threads: one owner; bytes_read may be asked from any.  Owns: the file descriptor and the decompressor.
// Failure: a file that cannot be opened or read is not_found or unavailable; a compressed one that is cut short or
// broken is data_loss.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "core/status.h"

namespace freshet {

class InputFile {
 public:
  static Result<std::unique_ptr<InputFile>> open(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Reads up to `size` plain bytes; 0 only at the end.
  Result<std::size_t> read(char* target, std::size_t size);

  std::uint64_t bytes_read() const { return bytes_read_.load(std::memory_order_relaxed); }  // from disk, compressed
  std::uint64_t bytes_total() const { return bytes_total_; }                                // 0 when unknown (a pipe)

 private:
  class Decompressor;
  class Gzip;
  class Zstd;
  InputFile(int descriptor, std::string path);
  Status detect();
  Result<std::size_t> read_raw(char* target, std::size_t size);

  int descriptor_;
  std::string path_;
  std::uint64_t bytes_total_ = 0;
  std::atomic<std::uint64_t> bytes_read_{0};
  std::string head_;  // bytes read to tell the format, not yet handed on
  std::unique_ptr<Decompressor> decompressor_;
};

}  // namespace freshet
