// The drift detectors, one line each, and how to make one.
//
// Threads: the table is immutable.  Failure: an unknown name is not_found with the names there are; settings that
// contradict each other are invalid_argument.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "core/status.h"
#include "learners/drift/detector_settings.h"
#include "learners/drift/drift_detector.h"

namespace freshet {

std::span<const DetectorKind* const> detector_kinds();
Result<const DetectorKind*> find_detector(std::string_view name);
Result<std::unique_ptr<DriftDetector>> make_detector(const DetectorSettings& settings);

}  // namespace freshet
