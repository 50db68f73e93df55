// The HTML report of a backtest: one self-contained page, readable without a network.
//
// Threads: pure, but for writing the file.  Failure: says which file could not be written and why.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"
#include "daemon/pipeline/pipeline.h"

namespace freshet {

// `json`: the printed result, shown whole at the end of the page.
Status write_backtest_report(const std::string& path, const std::string& title, const PipelineSnapshot& snapshot,
                             const std::string& json);

Status write_file(const std::string& path, std::string_view text);

}  // namespace freshet
