// The page at "/", put together of the files of this folder (page_files.h) and the chart library; and the options as
// it shows them.
//
// Threads: pure functions.  Failure: a page that does not fit its parts is said, by the first test that makes one.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"
#include "daemon/config/config.h"

namespace freshet {

struct StatusPage {
  std::string html;
  std::string policy;  // its content security policy: nothing from elsewhere, no script but its own
};

// `nonce`: letters and digits that nobody can guess; scripts and styles without it do not count.
Result<StatusPage> make_status_page(std::string_view nonce);

// {"options": [{"name", "value", "default": whether it is, "change": when a changed value takes effect}]}; secrets are
// masked.
std::string config_json(const Config& config);

}  // namespace freshet
