// AlignedBuffer: float storage on 64-byte boundaries, zeroed, for weights, gradients and activations.
//
// Threads: one owner at a time.  Owns: its memory.  Failure: out of memory throws std::bad_alloc.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>
#include <span>

namespace freshet {

class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size) { reset(size); }

  float* data() { return data_.get(); }
  const float* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  std::span<float> span() { return {data_.get(), size_}; }
  std::span<const float> span() const { return {data_.get(), size_}; }

  // New zeroed storage; what it held is gone.
  void reset(std::size_t size) {
    data_.reset(size == 0 ? nullptr
                          : static_cast<float*>(::operator new(size * sizeof(float), std::align_val_t{kAlignment})));
    size_ = size;
    zero();
  }
  // At least `size` floats; keeps the contents only when it need not grow.
  void reserve(std::size_t size) {
    if (size > size_) reset(size);
  }
  // At least `size` floats; keeps the contents.
  void grow(std::size_t size) {
    if (size <= size_) return;
    AlignedBuffer larger(size);
    if (size_ != 0) std::memcpy(larger.data(), data(), size_ * sizeof(float));
    *this = std::move(larger);
  }
  void zero() {
    if (size_ != 0) std::memset(data_.get(), 0, size_ * sizeof(float));
  }

 private:
  struct Free {
    void operator()(float* data) const { ::operator delete(data, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<float, Free> data_;
  std::size_t size_ = 0;
};

}  // namespace freshet
