// JsonScanner: a forward walk over the tokens of one JSON object, validating all of it on the way. simdjson's first
// stage (vectorised for the machine it runs on) finds the tokens and checks UTF-8 and quotes; the walk over them is
// ours, because it must also check what nobody reads, say exactly what is wrong, and copy nothing.
//
// Threads: one owner.  Owns: the token index and a scratch buffer; borrows the text.
// Failure: the first error stops the walk; `error()` says what it was.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/event_batch.h"
#include "stream/json_number.h"

namespace freshet {

enum class JsonType : std::uint8_t { kNull, kFalse, kTrue, kNumber, kString, kArray, kObject };
std::string_view json_type_name(JsonType type);

struct JsonValue {
  JsonType type = JsonType::kNull;
  std::string_view text;  // of a string: its contents, unescaped; valid until the next token is read
  JsonNumber number;
};

class JsonScanner {
 public:
  JsonScanner(std::size_t bytes_max, std::uint32_t depth_max);
  ~JsonScanner();
  JsonScanner(const JsonScanner&) = delete;
  JsonScanner& operator=(const JsonScanner&) = delete;

  struct Error {
    SkipReason reason = SkipReason::kMalformed;
    std::string_view what;
    std::size_t byte = 0;
  };

  // Indexes `json`, which must stay as it is during the walk, and steps into its object. No padding is needed.
  bool begin(std::string_view json);

  // The walk: while (next_key(key)) { read or skip the value }; then ok() tells the end from an error.
  bool next_key(std::string_view& key);

  // Fast path of next_key: steps over the key if it is exactly `name` (which has no escapes and whose last byte, a
  // quote, is part of it). False, and nothing moved, if the key is another.
  bool at_key();
  const char* key_begin() const { return base_ + *next_ + 1; }
  std::size_t bytes_after_key_begin() const { return size_ - *next_ - 1; }
  bool take_key();                       // after a look at key_begin(): steps over key and colon
  bool read_key(std::string_view& key);  // the same, and gives the key, unescaped

  // Reads a scalar. For an array or object nothing moves: step in, or skip.
  bool value(JsonValue& out);
  bool enter_array(bool& empty);  // after kArray
  bool next_element(bool& more);  // after an element
  bool skip();                    // any value

  bool ok() const { return ok_; }
  const Error& error() const { return error_; }

 private:
  struct Index;
  bool fail(SkipReason reason, std::string_view what);
  bool fail_truncated() { return fail(SkipReason::kMalformed, "the text ends too early"); }
  bool refuse_other_than_object(std::string_view json);
  bool string(std::string_view& out);
  bool unescape(std::string_view raw, std::string_view& out);
  bool literal(std::string_view word);
  char peek() const { return base_[*next_]; }

  const char* base_ = nullptr;
  std::size_t size_ = 0;
  const std::uint32_t* next_ = nullptr;
  const std::uint32_t* end_ = nullptr;
  bool ok_ = true;
  bool escapes_ = false;  // a backslash stands somewhere in the text
  bool first_ = true;     // no field of the outer object has been read
  std::uint32_t depth_max_;
  std::size_t bytes_max_;
  Error error_;
  std::string scratch_;
  std::unique_ptr<Index> index_;
};

inline bool JsonScanner::at_key() {
  // The last token is the closing brace of the text, so while it is not consumed there is always a next one.
  if (first_) {
    first_ = false;
    if (peek() != '}') {
      if (peek() == '"') return true;
      return fail(SkipReason::kMalformed, "a field name in quotes was expected");
    }
  } else if (peek() == ',') {
    ++next_;
    if (peek() == '"') return true;
    return fail(SkipReason::kMalformed, "a field name in quotes was expected");
  } else if (peek() != '}') {
    return fail(SkipReason::kMalformed, "a comma or closing brace was expected");
  }
  ++next_;
  if (next_ != end_) return fail(SkipReason::kMalformed, "something follows the closing brace");
  return false;
}

inline bool JsonScanner::take_key() {
  if (base_[next_[1]] != ':') return fail(SkipReason::kMalformed, "a colon was expected after a field name");
  next_ += 2;
  return true;
}

inline bool JsonScanner::next_key(std::string_view& key) { return at_key() && read_key(key); }

}  // namespace freshet
