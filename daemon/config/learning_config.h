// The part of a configuration on which the learnt state depends: what a checkpoint keeps, so that a later run can say
// which options changed since, and so that the log can be redone with the options under which it was learnt. Addresses,
// paths, sizes of caches, secrets, and what the recorded order stands for (how long a round may wait) are not in it.
//
// Threads: pure functions.  Failure: parse_learning_config names what it cannot read.
#pragma once

#include <string>
#include <string_view>

#include "daemon/config/config.h"

namespace freshet {

inline constexpr std::string_view kConfigBlob = "config";

// The configuration with everything else at its default.
Config learning_part(const Config& config);

// YAML that parse_learning_config reads back as learning_part(config).
std::string learning_config_text(const Config& config);
Result<Config> parse_learning_config(std::string_view text);

// "learning.learning_rate 0.02 -> 0.01, …"; empty when the learning parts agree.
std::string learning_differences(const Config& before, const Config& now);

}  // namespace freshet
