#include "core/json_writer.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

#include "core/status.h"

namespace freshet {
namespace {

template <typename Number>
std::string shortest(Number number) {
  std::array<char, 64> buffer{};
  const auto done = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number);
  return {buffer.data(), done.ptr};
}

}  // namespace

std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (text.empty()) return 0;
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0U) != 0x80) return 0;
  }
  const unsigned second = byte(1);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second > 0x9f;
  const bool beyond = first == 0xf4 && second > 0x8f;
  return overlong || surrogate || beyond ? 0 : length;
}

void append_json_text(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const char c = text.front();
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  out += '"';
}

std::string json_in_one_line(std::string_view document) {
  std::string line;
  bool quoted = false;
  for (std::size_t i = 0; i < document.size(); ++i) {
    const char c = document[i];
    if (quoted) {
      line += c;
      if (c == '\\' && i + 1 < document.size()) line += document[++i];
      quoted = c != '"';
    } else if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
      line += c;
      quoted = c == '"';
      if (c == ',' || c == ':') line += ' ';
    }
  }
  return line;
}

void JsonWriter::new_line() {
  if (indent_ <= 0) return;
  text_ += '\n';
  text_.append(levels_.size() * static_cast<std::size_t>(indent_), ' ');
}

void JsonWriter::before_value() {
  if (complete_) abort_with("JsonWriter: a second document");
  if (levels_.empty()) {
    complete_ = true;
    return;
  }
  Level& level = levels_.back();
  if (level.close == '}') {
    if (!level.has_key) abort_with("JsonWriter: a value without a key in an object");
    level.has_key = false;
    return;
  }
  if (!level.empty) text_ += indent_ > 0 ? "," : ", ";
  level.empty = false;
  new_line();
}

void JsonWriter::key(std::string_view name) {
  if (levels_.empty() || levels_.back().close != '}' || levels_.back().has_key)
    abort_with("JsonWriter: a key out of place");
  Level& level = levels_.back();
  if (!level.empty) text_ += indent_ > 0 ? "," : ", ";
  level.empty = false;
  level.has_key = true;
  new_line();
  append_json_text(text_, name);
  text_ += ": ";
}

void JsonWriter::begin(char bracket) {
  before_value();
  complete_ = false;
  text_ += bracket;
  levels_.push_back({bracket == '{' ? '}' : ']', true, false});
}

void JsonWriter::end(char bracket) {
  if (levels_.empty() || levels_.back().close != bracket || levels_.back().has_key)
    abort_with("JsonWriter: an end out of place");
  const bool empty = levels_.back().empty;
  levels_.pop_back();
  if (!empty) new_line();
  text_ += bracket;
  complete_ = levels_.empty();
}

void JsonWriter::raw(std::string_view text) {
  before_value();
  text_ += text;
}

void JsonWriter::value(std::string_view text) {
  before_value();
  append_json_text(text_, text);
}

void JsonWriter::value(double number) { raw(std::isfinite(number) ? shortest(number) : "null"); }
void JsonWriter::value(float number) { raw(std::isfinite(number) ? shortest(number) : "null"); }
void JsonWriter::whole(std::int64_t number) { raw(shortest(number)); }
void JsonWriter::natural(std::uint64_t number) { raw(shortest(number)); }

std::string JsonWriter::take() {
  if (!complete_) abort_with("JsonWriter: the document is not complete");
  if (indent_ > 0) text_ += '\n';
  complete_ = false;
  std::string done = std::move(text_);
  text_.clear();
  return done;
}

}  // namespace freshet
