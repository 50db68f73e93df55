// The files of this folder, as the build embeds them (daemon/CMakeLists.txt).
//
// Threads: constants.
#pragma once

#include <string_view>

namespace freshet::page_files {

extern const std::string_view kHtml;
extern const std::string_view kStyle;
// One script, in this order.
extern const std::string_view kDom;
extern const std::string_view kLink;
extern const std::string_view kCharts;
extern const std::string_view kHeat;
extern const std::string_view kPanels;
extern const std::string_view kPage;

}  // namespace freshet::page_files
