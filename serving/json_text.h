// Appending JSON to a string: the whole of what the server needs to write.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace freshet {

// `text` in quotes, escaped; bytes that are not UTF-8 become U+FFFD, so that the output is always valid JSON.
void append_json_quoted(std::string& out, std::string_view text);

void append_json_number(std::string& out, std::int64_t value);
void append_json_number(std::string& out, std::uint64_t value);
// The shortest text that reads back as the same float; `value` must be finite.
void append_json_number(std::string& out, float value);

}  // namespace freshet
