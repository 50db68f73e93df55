// Writing JSON: strings escaped; bytes that are not UTF-8 in base64.
//
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace freshet {

bool is_utf8(std::string_view bytes);

// Appends `text`, which must be UTF-8, in quotes.
void append_json_string(std::string& out, std::string_view text);

// Appends `"name":"bytes"`, or `"name_base64":"…"` when the bytes are not UTF-8.
void append_json_bytes(std::string& out, std::string_view name, std::string_view bytes);

}  // namespace freshet
