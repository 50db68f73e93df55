// ByteWriter and ByteReader: the little-endian encoding of everything Freshet stores.
//
// Threads: one owner.  Owns: the writer its buffer; the reader borrows.
// Failure: a reader past its end stops for good (`ok()` turns false, values read as zero); callers check once, at the
// end. Lengths are checked against what is left before anything is allocated.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace freshet {

static_assert(std::endian::native == std::endian::little, "Freshet stores little-endian and runs on such machines");

class ByteWriter {
 public:
  template <typename T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  void put(T value) {
    append(&value, sizeof value);
  }
  void put_text(std::string_view text) {
    put<std::uint64_t>(text.size());
    append(text.data(), text.size());
  }
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  void put_span(std::span<const T> values) {
    put<std::uint64_t>(values.size());
    append(values.data(), values.size_bytes());
  }
  void append(const void* data, std::size_t size) {
    if (size != 0) buffer_.append(static_cast<const char*>(data), size);
  }
  const std::string& buffer() const { return buffer_; }
  std::string take() { return std::move(buffer_); }

 private:
  std::string buffer_;
};

class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
    requires(std::is_arithmetic_v<T> || std::is_enum_v<T>)
  T get() {
    T value{};
    read(&value, sizeof value);
    return value;
  }
  std::string get_text() {
    const auto size = get<std::uint64_t>();
    if (!has(size)) return {};
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
  }
  template <typename T>
    requires std::is_trivially_copyable_v<T>
  std::vector<T> get_vector() {
    const auto count = get<std::uint64_t>();
    if (count > rest_.size() / sizeof(T)) fail();
    std::vector<T> values(ok_ ? count : 0);
    read(values.data(), values.size() * sizeof(T));
    return values;
  }
  void read(void* target, std::size_t size) {
    if (!has(size) || size == 0) return;
    std::memcpy(target, rest_.data(), size);
    rest_.remove_prefix(size);
  }
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && rest_.empty(); }
  std::size_t remaining() const { return rest_.size(); }

 private:
  bool has(std::uint64_t size) {
    if (size > rest_.size()) fail();
    return ok_;
  }
  void fail() {
    ok_ = false;
    rest_ = {};
  }
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace freshet
