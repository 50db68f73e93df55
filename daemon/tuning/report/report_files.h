// The files of this folder, and the chart library, as the build embeds them (daemon/CMakeLists.txt).
//
// Threads: constants.
#pragma once

#include <string_view>

namespace freshet::report_files {

extern const std::string_view kHtml;
extern const std::string_view kStyle;
// One script, in this order.
extern const std::string_view kModel;
extern const std::string_view kPanel;
extern const std::string_view kCharts;
extern const std::string_view kSurvival;
extern const std::string_view kParallel;
extern const std::string_view kPage;

extern const std::string_view kChartLibrary;  // Chart.js 3.9.1
extern const std::string_view kNotice;        // its licence

}  // namespace freshet::report_files
