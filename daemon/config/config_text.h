// Configuration for people: the effective values with their origin, and the reference page.
//
// Threads: pure functions.  Failure: none.
#pragma once

#include <string>
#include <string_view>

#include "daemon/config/config_loader.h"
#include "daemon/config/option_table.h"

namespace freshet {

// Valid YAML that loads to the same configuration (but for masked secrets); a comment on each line says where the
// value was set.
std::string show_config(const LoadedConfig& loaded);

// One paragraph: what the configuration is about.
std::string summarize_config(const Config& config);

// When a changed value takes effect, in the words of the reference page.
std::string_view change_words(Change change);

// docs/configuration.md, made from the option table.
std::string configuration_reference();

}  // namespace freshet
