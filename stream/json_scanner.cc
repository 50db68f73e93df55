#include "stream/json_scanner.h"

#include <simdjson.h>

#include <array>
#include <cstring>

namespace freshet {
namespace {

constexpr std::uint32_t kDepthLimit = 1024;

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out.push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    out.push_back(static_cast<char>(0xC0 | (code >> 6)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else if (code < 0x10000) {
    out.push_back(static_cast<char>(0xE0 | (code >> 12)));
    out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    out.push_back(static_cast<char>(0xF0 | (code >> 18)));
    out.push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3F)));
    out.push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

bool read_hex4(std::string_view raw, std::size_t at, std::uint32_t& code) {
  if (raw.size() < at + 4) return false;
  const char* const begin = raw.data() + at;
  return std::from_chars(begin, begin + 4, code, 16).ptr == begin + 4;
}

}  // namespace

struct JsonScanner::Index {
  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage;
};

std::string_view json_type_name(JsonType type) {
  static constexpr std::array<std::string_view, 7> kNames = {"null",     "false",    "true",     "a number",
                                                             "a string", "an array", "an object"};
  return kNames.at(static_cast<std::size_t>(type));
}

JsonScanner::JsonScanner(std::size_t bytes_max, std::uint32_t depth_max)
    : depth_max_(std::min(depth_max, kDepthLimit)), bytes_max_(bytes_max), index_(std::make_unique<Index>()) {
  // The index is as large as the largest text could need; pages of it that no text reaches are never touched.
  const auto error = simdjson::get_active_implementation()->create_dom_parser_implementation(
      bytes_max_ + simdjson::SIMDJSON_PADDING, depth_max_, index_->stage);
  if (error != simdjson::SUCCESS) abort_with("no memory for the index of JSON texts");
}

JsonScanner::~JsonScanner() = default;

bool JsonScanner::fail(SkipReason reason, std::string_view what) {
  ok_ = false;
  const std::size_t byte = next_ != nullptr && next_ < end_ ? *next_ : size_;
  error_ = {reason, what, byte};
  return false;
}

bool JsonScanner::begin(std::string_view json) {
  base_ = json.data();
  size_ = json.size();
  next_ = end_ = nullptr;
  ok_ = true;
  first_ = true;
  if (json.empty()) return fail(SkipReason::kEmpty, "the record is empty");
  if (json.size() > bytes_max_) return fail(SkipReason::kTooLarge, "the record is larger than record_bytes_max");
  auto& stage = *index_->stage;
  const auto error = stage.stage1(reinterpret_cast<const std::uint8_t*>(base_), size_, simdjson::stage1_mode::regular);
  switch (error) {
    case simdjson::SUCCESS:
      break;
    case simdjson::EMPTY:
      return fail(SkipReason::kEmpty, "the record is blank");
    case simdjson::UTF8_ERROR:
      return fail(SkipReason::kInvalidUtf8, "the text is not valid UTF-8");
    case simdjson::UNCLOSED_STRING:
      return fail(SkipReason::kMalformed, "a string is not closed");
    case simdjson::UNESCAPED_CHARS:
      return fail(SkipReason::kMalformed, "a control character stands in a string");
    default:
      return fail(SkipReason::kMalformed, simdjson::error_message(error));
  }
  next_ = stage.structural_indexes.get();
  end_ = next_ + stage.n_structural_indexes;
  if (next_ == end_) return fail(SkipReason::kEmpty, "the record is blank");
  if (base_[*next_] != '{') return refuse_other_than_object(json);
  if (base_[end_[-1]] != '}') return fail_truncated();
  escapes_ = std::memchr(base_, '\\', size_) != nullptr;
  ++next_;
  if (next_ == end_) return fail_truncated();
  return true;
}

// A rare path: lets simdjson parse all of it, to tell a valid text of another kind from no JSON at all.
bool JsonScanner::refuse_other_than_object(std::string_view json) {
  const simdjson::padded_string copy(json);
  simdjson::dom::parser parser(bytes_max_ + simdjson::SIMDJSON_PADDING);
  const auto error =
      parser.allocate(json.size(), depth_max_) == simdjson::SUCCESS ? parser.parse(copy).error() : simdjson::MEMALLOC;
  if (error == simdjson::SUCCESS) return fail(SkipReason::kNotAnObject, "the record is JSON but not an object");
  if (error == simdjson::DEPTH_ERROR) return fail(SkipReason::kTooDeep, "the text is nested too deep");
  return fail(SkipReason::kMalformed, "the record is not JSON");
}

bool JsonScanner::read_key(std::string_view& key) { return string(key) && take_key(); }

// Nothing but blanks can stand between a string and the next token, so its end is found from there.
bool JsonScanner::string(std::string_view& out) {
  const char* const begin = base_ + *next_ + 1;
  const char* end = base_ + next_[1] - 1;
  while (*end != '"') --end;
  out = std::string_view(begin, static_cast<std::size_t>(end - begin));
  if (!escapes_ || out.find('\\') == std::string_view::npos) return true;
  return unescape(out, out);
}

bool JsonScanner::unescape(std::string_view raw, std::string_view& out) {
  scratch_.clear();
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      scratch_.push_back(raw[i]);
      continue;
    }
    ++i;  // a backslash is never last: it would have escaped the closing quote
    switch (raw[i]) {
      case '"':
        scratch_.push_back('"');
        break;
      case '\\':
        scratch_.push_back('\\');
        break;
      case '/':
        scratch_.push_back('/');
        break;
      case 'b':
        scratch_.push_back('\b');
        break;
      case 'f':
        scratch_.push_back('\f');
        break;
      case 'n':
        scratch_.push_back('\n');
        break;
      case 'r':
        scratch_.push_back('\r');
        break;
      case 't':
        scratch_.push_back('\t');
        break;
      case 'u': {
        std::uint32_t code = 0;
        if (!read_hex4(raw, i + 1, code)) return fail(SkipReason::kMalformed, "a \\u escape needs four hex digits");
        i += 4;
        if (code >= 0xD800 && code < 0xE000) {
          std::uint32_t low = 0;
          const bool pair = code < 0xDC00 && raw.substr(i + 1, 2) == "\\u" && read_hex4(raw, i + 3, low) &&
                            low >= 0xDC00 && low < 0xE000;
          if (!pair) return fail(SkipReason::kInvalidUtf8, "half of a surrogate pair stands alone");
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
          i += 6;
        }
        append_utf8(scratch_, code);
        break;
      }
      default:
        return fail(SkipReason::kMalformed, "an unknown escape stands in a string");
    }
  }
  out = scratch_;
  return true;
}

bool JsonScanner::literal(std::string_view word) {
  const std::size_t at = *next_;
  if (size_ - at <= word.size() || std::memcmp(base_ + at, word.data(), word.size()) != 0 ||
      !internal::ends_token(base_[at + word.size()])) {
    return fail(SkipReason::kMalformed, "a value was expected");
  }
  ++next_;
  return true;
}

bool JsonScanner::value(JsonValue& out) {
  switch (peek()) {
    case '"':
      out.type = JsonType::kString;
      if (!string(out.text)) return false;
      ++next_;
      return true;
    case '{':
      out.type = JsonType::kObject;
      return true;
    case '[':
      out.type = JsonType::kArray;
      return true;
    case 't':
      out.type = JsonType::kTrue;
      return literal("true");
    case 'f':
      out.type = JsonType::kFalse;
      return literal("false");
    case 'n':
      out.type = JsonType::kNull;
      return literal("null");
    default:
      out.type = JsonType::kNumber;
      if (!scan_json_number(base_ + *next_, out.number)) return fail(SkipReason::kMalformed, "a value was expected");
      ++next_;
      return true;
  }
}

bool JsonScanner::enter_array(bool& empty) {
  ++next_;
  empty = peek() == ']';
  if (empty) ++next_;
  return next_ != end_ || fail_truncated();
}

bool JsonScanner::next_element(bool& more) {
  const char c = peek();
  if (c != ',' && c != ']') return fail(SkipReason::kMalformed, "a comma or closing bracket was expected");
  more = c == ',';
  ++next_;
  return next_ != end_ || fail_truncated();
}

bool JsonScanner::skip() {
  // One entry an open container, its opening character. The object that we walk in is depth 1.
  std::array<char, kDepthLimit> open;  // NOLINT(cppcoreguidelines-pro-type-member-init): written before it is read
  std::uint32_t depth = 0;
  JsonValue ignored;
  for (;;) {
    // At a value.
    if (!value(ignored)) return false;
    if (ignored.type == JsonType::kArray || ignored.type == JsonType::kObject) {
      if (depth + 2 > depth_max_) return fail(SkipReason::kTooDeep, "the text is nested deeper than depth_max");
      open[depth++] = peek();
      ++next_;
      const bool object = open[depth - 1] == '{';
      if (peek() != (object ? '}' : ']')) {
        if (!object) continue;
        if (peek() != '"') return fail(SkipReason::kMalformed, "a field name in quotes was expected");
        std::string_view key;
        if (!read_key(key)) return false;
        continue;
      }
      // An empty container is closed by the loop below.
    }
    // After a value: close containers until there is another value.
    for (;;) {
      if (next_ == end_) return fail_truncated();
      if (depth == 0) return true;
      const bool object = open[depth - 1] == '{';
      const char c = peek();
      if (c == (object ? '}' : ']')) {
        --depth;
        ++next_;
        continue;
      }
      if (c != ',') return fail(SkipReason::kMalformed, "a comma or closing bracket was expected");
      ++next_;
      if (!object) break;
      if (peek() != '"') return fail(SkipReason::kMalformed, "a field name in quotes was expected");
      std::string_view key;
      if (!read_key(key)) return false;
      break;
    }
  }
}

}  // namespace freshet
