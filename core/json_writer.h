// JsonWriter: builds JSON text in order, for reports, status pages and HTTP answers.
//
//   JsonWriter json;                       // JsonWriter json(2) indents by two blanks
//   json.begin_object();
//   json.field("events", std::uint64_t{3});
//   json.key("slices").begin_array(); json.value("a"); json.end_array();
//   json.end_object();
//   json.take();
//
// Numbers read back exactly (shortest form); NaN and infinity become null; text that is not UTF-8 gets U+FFFD in place of
// each bad byte, so that the output is always valid JSON.
//
// Threads: one owner.  Owns: its text.  Failure: none; unbalanced begin and end abort in take().
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace freshet {

// `text` in quotes, escaped, at the end of `out`.
void append_json_string(std::string& out, std::string_view text);

class JsonWriter {
 public:
  explicit JsonWriter(int indent = 0) : indent_(indent) {}

  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  void value(std::string_view text);
  void value(const char* text) { value(std::string_view(text)); }
  void value(double number);
  void value(bool boolean);
  void value(std::int64_t number);
  void value(std::uint64_t number);
  template <typename T>
    requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
  void value(T number) {
    if constexpr (std::is_signed_v<T>) {
      value(static_cast<std::int64_t>(number));
    } else {
      value(static_cast<std::uint64_t>(number));
    }
  }
  void null();
  // Text that is JSON already.
  void raw(std::string_view json);

  template <typename T>
  void field(std::string_view name, T&& content) {
    key(name).value(std::forward<T>(content));
  }

  std::string take();

 private:
  void separate();
  void new_line();
  void open(char bracket);
  void close(char bracket);

  int indent_;
  std::string text_;
  std::vector<bool> has_items_;  // a level each
  bool after_key_ = false;
};

}  // namespace freshet
