#include "stream/line_reader.h"

#include <algorithm>
#include <cstring>

namespace freshet {
namespace {
constexpr std::size_t kBlockBytes = std::size_t{256} << 10;  // stays in the second-level cache
constexpr std::size_t kKeptOfLongLine = std::size_t{64} << 10;
}  // namespace

LineReader::LineReader(std::unique_ptr<InputFile> file, std::size_t line_bytes_max)
    : file_(std::move(file)),
      line_bytes_max_(line_bytes_max),
      block_(std::max(kBlockBytes, line_bytes_max + kBlockBytes / 2)) {}

Result<std::unique_ptr<LineReader>> LineReader::open(const std::string& path, std::size_t line_bytes_max) {
  return std::make_unique<LineReader>(TRY(InputFile::open(path)), line_bytes_max);
}

Result<bool> LineReader::fill() {
  if (at_end_) return false;
  if (begin_ != 0) {
    std::memmove(block_.data(), block_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  const std::size_t room = block_.size() - end_;
  const std::size_t count = TRY(file_->read(block_.data() + end_, std::min(room, kBlockBytes)));
  end_ += count;
  at_end_ = count == 0;
  return !at_end_;
}

Result<bool> LineReader::at_end() { return begin_ == end_ && !TRY(fill()); }

Result<bool> LineReader::next(Line& line) {
  std::size_t searched = 0;  // bytes from begin_ on that hold no line end
  for (;;) {
    const char* const begin = block_.data() + begin_;
    const std::size_t available = end_ - begin_;
    const auto* const found = available == searched
                                  ? nullptr
                                  : static_cast<const char*>(std::memchr(begin + searched, '\n', available - searched));
    if (found != nullptr) {
      auto size = static_cast<std::size_t>(found - begin);
      begin_ += size + 1;
      if (size > 0 && begin[size - 1] == '\r') --size;
      line = {std::string_view(begin, size), size, number_++};
      if (size > line_bytes_max_) line.text = line.text.substr(0, kKeptOfLongLine);
      return true;
    }
    searched = available;
    if (available > line_bytes_max_ + 1) return finish_long_line(line);
    if (TRY(fill())) continue;
    if (available == 0) return false;
    line = {std::string_view(block_.data() + begin_, available), available, number_++};
    if (available > line_bytes_max_) line.text = line.text.substr(0, kKeptOfLongLine);
    begin_ = end_;
    return true;
  }
}

Result<bool> LineReader::finish_long_line(Line& line) {
  long_line_.assign(block_.data() + begin_, std::min(end_ - begin_, kKeptOfLongLine));
  std::uint64_t size = 0;
  for (;;) {
    const char* const begin = block_.data() + begin_;
    const auto* const found = static_cast<const char*>(std::memchr(begin, '\n', end_ - begin_));
    if (found != nullptr) {
      size += static_cast<std::uint64_t>(found - begin);
      begin_ += static_cast<std::size_t>(found - begin) + 1;
      break;
    }
    size += end_ - begin_;
    begin_ = end_;
    if (!TRY(fill())) break;
  }
  line = {long_line_, size, number_++};
  return true;
}

Result<bool> LineReader::skip(std::int64_t count) {
  while (count > 0) {
    const char* const begin = block_.data() + begin_;
    const auto* const found =
        begin_ == end_ ? nullptr : static_cast<const char*>(std::memchr(begin, '\n', end_ - begin_));
    if (found != nullptr) {
      begin_ += static_cast<std::size_t>(found - begin) + 1;
      ++number_;
      --count;
      continue;
    }
    const bool partial = begin_ != end_;
    begin_ = end_;
    if (TRY(fill())) {
      // The bytes thrown away belong to the line that goes on in the new block: its end counts it once.
      continue;
    }
    if (partial) {  // the last line has no line end
      ++number_;
      --count;
    }
    return count == 0;
  }
  return true;
}

}  // namespace freshet
