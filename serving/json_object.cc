#include "serving/json_object.h"

#include <fmt/format.h>
#include <simdjson.h>

namespace freshet {

namespace {

JsonObject members_of(const simdjson::dom::object& object) {
  JsonObject members;
  for (const auto& [name, value] : object) {
    std::string_view words;
    members[std::string(name)] = value.get(words) == simdjson::SUCCESS ? std::string(words) : simdjson::minify(value);
  }
  return members;
}

}  // namespace

Result<JsonObject> parse_json_object(std::string_view text) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  const auto error = parser.parse(simdjson::padded_string(text)).get(object);
  if (error != simdjson::SUCCESS) {
    return invalid_argument(fmt::format("this is no JSON object: {}", simdjson::error_message(error)));
  }
  return members_of(object);
}

Result<std::vector<JsonObject>> parse_json_objects(std::string_view text) {
  simdjson::dom::parser parser;
  simdjson::dom::array array;
  const auto error = parser.parse(simdjson::padded_string(text)).get(array);
  if (error != simdjson::SUCCESS) {
    return invalid_argument(fmt::format("this is no JSON array: {}", simdjson::error_message(error)));
  }
  std::vector<JsonObject> objects;
  for (const auto item : array) {
    simdjson::dom::object object;
    if (item.get(object) != simdjson::SUCCESS) return invalid_argument("this is no JSON array of objects");
    objects.push_back(members_of(object));
  }
  return objects;
}

std::string member(const JsonObject& object, std::string_view name) {
  const auto found = object.find(name);
  return found == object.end() ? std::string() : found->second;
}

}  // namespace freshet
