// MappedBytes: an array of bytes that may become too large for memory. It stands in plain memory up to a size, and
// beyond it in a file that is mapped, so that the kernel can move to disk what is not in use. The file has no name:
// nobody else can open it and it goes with the process; what must outlive the process is written by checkpoints.
//
// Threads: one owner.  Owns: the memory, or the mapping and its file.
// Failure: where the folder takes no file, or has no room for more, the array stays in (or goes back to) plain memory:
// a full disk must not end learning. Room is reserved before it is written, so a full disk cannot kill the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace freshet {

class MappedBytes {
 public:
  // An empty folder: plain memory always.
  MappedBytes(std::string folder, std::uint64_t plain_bytes_max)
      : folder_(std::move(folder)), plain_bytes_max_(plain_bytes_max) {}
  ~MappedBytes();
  MappedBytes(const MappedBytes&) = delete;
  MappedBytes& operator=(const MappedBytes&) = delete;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::uint64_t size() const { return size_; }
  bool mapped() const { return file_ >= 0; }

  // New bytes are undefined until they are written.
  void resize(std::uint64_t size);

 private:
  bool open_file();
  bool grow_mapping(std::uint64_t capacity);
  void grow_plain(std::uint64_t capacity);
  void leave_mapping();

  std::string folder_;
  std::uint64_t plain_bytes_max_;
  std::byte* data_ = nullptr;
  std::uint64_t size_ = 0;
  std::uint64_t capacity_ = 0;
  int file_ = -1;
};

}  // namespace freshet
