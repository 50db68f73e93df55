// JsonWriter: writes one JSON document in the order in which it is told: reports, `state inspect`, log lines.
//
// Numbers are in the shortest form that reads back exactly; what is no number (NaN, infinity) is null. Bytes that are
// not UTF-8 become U+FFFD, so that the document is always valid.
//
//   JsonWriter json;
//   json.begin_object();
//   json.field("events", events);
//   json.key("slices"); json.begin_array(); json.value(0.5); json.end_array();
//   json.end_object();
//   out << json.take();
//
// Threads: one owner.  Owns: its text.
// Failure: a document that is no JSON (a value without a key in an object, an end too many) aborts.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace freshet {

class JsonWriter {
 public:
  // `indent`: spaces a level; 0 writes one line.
  explicit JsonWriter(int indent = 2) : indent_(indent) {}

  void begin_object() { begin('{'); }
  void end_object() { end('}'); }
  void begin_array() { begin('['); }
  void end_array() { end(']'); }
  void key(std::string_view name);

  void value(std::string_view text);
  void value(const char* text) { value(std::string_view(text)); }
  void value(bool truth) { raw(truth ? "true" : "false"); }
  void value(double number);
  void value(float number);
  template <std::integral Integer>
    requires(!std::same_as<Integer, bool>)
  void value(Integer number) {
    if constexpr (std::signed_integral<Integer>) {
      whole(static_cast<std::int64_t>(number));
    } else {
      natural(static_cast<std::uint64_t>(number));
    }
  }
  void null() { raw("null"); }
  void json(std::string_view document) { raw(document); }  // a value that is JSON already

  template <typename Value>
  void field(std::string_view name, const Value& content) {
    key(name);
    value(content);
  }

  // The finished document, with a line feed at its end unless it is one line.
  std::string take();

 private:
  void begin(char bracket);
  void end(char bracket);
  void raw(std::string_view text);
  void whole(std::int64_t number);
  void natural(std::uint64_t number);
  void before_value();
  void new_line();

  struct Level {
    char close = 0;
    bool empty = true;
    bool has_key = false;
  };
  int indent_;
  std::string text_;
  std::vector<Level> levels_;
  bool complete_ = false;
};

// A valid document spaced as JsonWriter(0) spaces it, whoever wrote it.
std::string json_in_one_line(std::string_view document);

// `text` in quotes, escaped.
void append_json_text(std::string& out, std::string_view text);

// Length of the UTF-8 character at the start of `text`, 0 when there is none: too long a form, a surrogate, cut short.
std::size_t utf8_length(std::string_view text);

}  // namespace freshet
