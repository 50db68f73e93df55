// parse_json_object: the members of a small JSON object as text, for commands and their answers. A text comes
// without its quotes and escapes undone, everything else as the JSON that stands there.
//
// Threads: pure functions.  Failure: kInvalidArgument for what is no JSON object.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace freshet {

using JsonObject = std::map<std::string, std::string, std::less<>>;

Result<JsonObject> parse_json_object(std::string_view text);
// Of an array of objects.
Result<std::vector<JsonObject>> parse_json_objects(std::string_view text);

// The member's text, empty when there is none.
std::string member(const JsonObject& object, std::string_view name);

}  // namespace freshet
