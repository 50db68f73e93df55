#include "storage/mapped_array.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/status.h"

namespace freshet {
namespace {

constexpr std::uint64_t kPlainStep = 4096;
constexpr std::uint64_t kMappedStep = std::uint64_t{64} << 20;

}  // namespace

MappedBytes::~MappedBytes() {
  if (file_ < 0) {
    std::free(data_);  // from realloc, which moves large arrays without a copy
    return;
  }
  if (data_ != nullptr) ::munmap(data_, capacity_);
  ::close(file_);
}

void MappedBytes::resize(std::uint64_t size) {
  if (size > capacity_) {
    if (file_ < 0 && size > plain_bytes_max_ && !folder_.empty() && !open_file()) folder_.clear();
    if (file_ >= 0 && !grow_mapping((size + kMappedStep - 1) / kMappedStep * kMappedStep)) leave_mapping();
    if (file_ < 0) grow_plain(size);
  }
  size_ = size;
}

// Makes the file and moves what is there into it; false: everything is as before.
bool MappedBytes::open_file() {
  std::string name = folder_ + "/replay-metadata.XXXXXX";
  const int file = ::mkostemp(name.data(), O_CLOEXEC);
  if (file < 0) return false;
  ::unlink(name.c_str());
  const std::uint64_t capacity = (size_ / kMappedStep + 1) * kMappedStep;
  void* place = MAP_FAILED;
  if (::posix_fallocate(file, 0, static_cast<off_t>(capacity)) == 0) {
    place = ::mmap(nullptr, capacity, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  }
  if (place == MAP_FAILED) {
    ::close(file);
    return false;
  }
  if (size_ != 0) std::memcpy(place, data_, size_);
  std::free(data_);
  data_ = static_cast<std::byte*>(place);
  capacity_ = capacity;
  file_ = file;
  return true;
}

bool MappedBytes::grow_mapping(std::uint64_t capacity) {
  if (capacity <= capacity_) return true;
  const auto begin = static_cast<off_t>(capacity_);
  if (::posix_fallocate(file_, begin, static_cast<off_t>(capacity) - begin) != 0) return false;
  void* place = ::mremap(data_, capacity_, capacity, MREMAP_MAYMOVE);
  if (place == MAP_FAILED) return false;
  data_ = static_cast<std::byte*>(place);
  capacity_ = capacity;
  return true;
}

void MappedBytes::grow_plain(std::uint64_t capacity) {
  if (capacity <= capacity_) return;
  const std::uint64_t wanted = std::max({capacity, capacity_ + capacity_ / 2, kPlainStep});
  void* place = std::realloc(data_, wanted);
  if (place == nullptr) abort_with("out of memory");
  data_ = static_cast<std::byte*>(place);
  capacity_ = wanted;
}

// Back to plain memory, for good.
void MappedBytes::leave_mapping() {
  void* place = std::malloc(std::max<std::uint64_t>(size_, 1));
  if (place == nullptr) abort_with("out of memory");
  if (size_ != 0) std::memcpy(place, data_, size_);
  ::munmap(data_, capacity_);
  ::close(file_);
  file_ = -1;
  folder_.clear();
  data_ = static_cast<std::byte*>(place);
  capacity_ = size_;
}

}  // namespace freshet
