// The Page-Hinkley test (E. S. Page, Continuous Inspection Schemes, Biometrika 41, 1954) with a forgetting factor: the
// cumulated distance from the running mean, against its extreme so far. Alarms are those of River 0.22 to the position.
//
// Threads, Owns, Failure: those of DriftDetector.
#pragma once

#include "learners/drift/detector_settings.h"

namespace freshet {

const DetectorKind& page_hinkley_kind();

}  // namespace freshet
