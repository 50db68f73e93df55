#include "core/html_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace freshet {
namespace {

constexpr std::string_view kOpen = "{{";
constexpr std::string_view kClose = "}}";

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

}  // namespace

Result<std::string> fill_page(std::string_view page, std::span<const PagePart> parts) {
  std::string filled;
  std::vector<bool> used(parts.size(), false);
  while (true) {
    const auto open = page.find(kOpen);
    const auto close = open == std::string_view::npos ? open : page.find(kClose, open);
    filled += page.substr(0, open);
    if (close == std::string_view::npos) {
      if (open != std::string_view::npos) filled += page.substr(open);
      break;
    }
    const std::string_view name = page.substr(open + kOpen.size(), close - open - kOpen.size());
    if (!is_name(name)) {  // braces of another kind
      filled += kOpen;
      page.remove_prefix(open + kOpen.size());
      continue;
    }
    const auto part = std::ranges::find(parts, name, &PagePart::name);
    if (part == parts.end()) return invalid_argument(fmt::format("the page has a mark {} that nothing fills", name));
    filled += part->text;
    used[static_cast<std::size_t>(part - parts.begin())] = true;
    page.remove_prefix(close + kClose.size());
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!used[i]) return invalid_argument(fmt::format("the page has no mark for {}", parts[i].name));
  }
  return filled;
}

std::string html_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string json_in_script(std::string_view json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {  // `<` and `>` stand in JSON within texts alone
    if (c == '<') {
      out += "\\u003c";
    } else if (c == '>') {
      out += "\\u003e";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace freshet
