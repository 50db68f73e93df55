// Adaptive windowing, ADWIN2 (A. Bifet and R. Gavaldà, Learning from Time-Changing Data with Adaptive Windowing,
// SDM 2007): a window of the newest numbers, in buckets of doubling size, that drops its older part as soon as the
// means of two parts of it differ by more than chance allows. Alarms are those of River 0.22 to the position.
//
// Threads, Owns, Failure: those of DriftDetector.
#pragma once

#include "learners/drift/detector_settings.h"

namespace freshet {

const DetectorKind& adwin_kind();

}  // namespace freshet
