// Makes HTML pages out of templates, in which `{{name}}` stands for a part.
//
// Threads: pure functions.  Owns: nothing.
// Failure: fill_page() says which name the template or the parts lack, so that a slip shows in the first test.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/status.h"

namespace freshet {

struct PagePart {
  std::string_view name;
  std::string_view text;  // put in as it is
};

// Every mark is replaced by the part of its name, and every part has its mark. What was put in is not looked at again.
Result<std::string> fill_page(std::string_view page, std::span<const PagePart> parts);

// `text` as it may stand between tags and in quoted attributes.
std::string html_text(std::string_view text);

// A JSON document as it may stand in a <script> element: nothing in it can end the element or begin a comment.
std::string json_in_script(std::string_view json);

}  // namespace freshet
