// LineReader: the lines of a file, from large blocks, in bounded memory. A line is handed out where it lies in the
// block, without its line end ("\n" or "\r\n"); the last line needs none.
//
// Threads: one owner.  Owns: the file and one block.
// Failure: a line longer than the limit is handed out as its first bytes and its true size; reading goes on after it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "stream/input_file.h"

namespace freshet {

struct Line {
  std::string_view text;    // valid until the next call
  std::uint64_t size = 0;   // of the whole line; larger than text.size() when it was cut at the limit
  std::int64_t number = 0;  // zero-based
};

class LineReader {
 public:
  LineReader(std::unique_ptr<InputFile> file, std::size_t line_bytes_max);
  static Result<std::unique_ptr<LineReader>> open(const std::string& path, std::size_t line_bytes_max);

  // False at the end.
  Result<bool> next(Line& line);

  // Steps over the next `count` lines; false when the file has fewer.
  Result<bool> skip(std::int64_t count);

  // True when no byte is left after the line that was handed out, which may move: do not use it after.
  Result<bool> at_end();

  const InputFile& file() const { return *file_; }

 private:
  Result<bool> fill();  // moves the unread rest to the front and reads on; false at the end of the file
  Result<bool> finish_long_line(Line& line);

  std::unique_ptr<InputFile> file_;
  std::size_t line_bytes_max_;
  std::vector<char> block_;
  std::size_t begin_ = 0;  // unread bytes are block_[begin_, end_)
  std::size_t end_ = 0;
  std::int64_t number_ = 0;
  bool at_end_ = false;
  std::string long_line_;
};

}  // namespace freshet
