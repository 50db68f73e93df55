// Faults: what check_together() gathers, and the check that its parts share.
//
// Threads: one owner.  Owns: the list.  Failure: none.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "daemon/config/config.h"
#include "daemon/config/option_table.h"

namespace freshet {

class Faults {
 public:
  template <typename... Args>
  void add(std::string_view option, fmt::format_string<Args...> format, Args&&... args) {
    list_.push_back({std::string(option), fmt::format(format, std::forward<Args>(args)...)});
  }
  std::vector<ConfigFault> take() { return std::move(list_); }

 private:
  std::vector<ConfigFault> list_;
};

// An option that says nothing to what is chosen must stay at its default.
inline void check_belongs(const Config& config, bool here, std::string_view option, std::string_view owner,
                          Faults& faults) {
  if (!here && option_text(config, option) != option_text(Config{}, option)) {
    faults.add(option, "belongs to {}", owner);
  }
}

}  // namespace freshet
