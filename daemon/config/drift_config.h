// Reads and writes `drift.detectors`: a list of detectors, each with what it watches.
//
//   [adwin, ddm]                                                  the short form: on the loss, or the error where that
//   is
//                                                                 all that the kind judges, with its defaults
//   [{kind: adwin, on: loss}, {kind: ddm, on: error, warm_start: 100}]
//
// Threads: pure functions.  Failure: every fault is collected with its place.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/config/yaml_tree.h"

namespace freshet {

// option: its name, for the words of faults.
std::optional<DetectorList> parse_detectors(std::string_view option, const YamlNode& node,
                                            std::vector<YamlFault>& faults);

// A flow list.
std::string format_detectors(const DetectorList& detectors);

// The Markdown section of the reference page.
std::string detector_reference();

}  // namespace freshet
