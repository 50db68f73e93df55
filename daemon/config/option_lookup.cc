// Finding options by name, and what a wrong name was meant to be.
#include <fmt/format.h>

#include <algorithm>

#include "daemon/config/option_table.h"
#include "daemon/config/value_text.h"

namespace freshet {

const Option* find_option(std::string_view name) {
  const auto& table = option_table();
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Option& option) { return option.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::string option_text(const Config& config, std::string_view name) {
  const Option* option = find_option(name);
  if (option == nullptr) abort_with(fmt::format("no option {}", name));
  return format_option(*option, option->get(config));
}

bool is_section(std::string_view name) {
  const std::string prefix = std::string(name) + ".";
  const auto& table = option_table();
  return std::any_of(table.begin(), table.end(),
                     [&](const Option& option) { return option.name.rfind(prefix, 0) == 0; });
}

std::string option_hint(std::string_view name) {
  // In a section that is none it is the section that was misspelt.
  for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
    if (is_section(name.substr(0, dot))) continue;
    std::string section_hint = option_hint(name.substr(0, dot));
    if (!section_hint.empty()) return section_hint;
  }
  const auto dot = name.rfind('.');
  const std::string parent(dot == std::string_view::npos ? "" : name.substr(0, dot + 1));
  const std::string_view last = dot == std::string_view::npos ? name : name.substr(dot + 1);
  std::vector<std::string> siblings;
  std::vector<std::string> same_name;  // options of another section that are called so
  std::vector<std::string> all;
  for (const auto& option : option_table()) {
    all.push_back(option.name);
    if (option.name.rfind(parent, 0) == 0) {
      const auto rest = option.name.substr(parent.size());
      siblings.push_back(rest.substr(0, rest.find('.')));
    }
    const auto tail = option.name.rfind('.');
    if (option.name.substr(tail + 1) == last) same_name.push_back(option.name);
  }
  if (const auto near = nearest_name(last, siblings)) return fmt::format("did you mean '{}'?", parent + *near);
  if (!same_name.empty()) return fmt::format("did you mean '{}'?", same_name.front());
  if (const auto near = nearest_name(name, all)) return fmt::format("did you mean '{}'?", *near);
  return "";
}

}  // namespace freshet
