// Kolmogorov-Smirnov windowing (C. Raab, M. Heusinger and F.-M. Schleif, Reactive Soft Prototype Computing for Concept
// Drift Streams, Neurocomputing 416, 2020): a two-sample test between the newest numbers and a random sample of those
// before them in a sliding window. The sample is random, so alarms agree with River's in their rates alone.
//
// Threads, Owns, Failure: those of DriftDetector.
#pragma once

#include "learners/drift/detector_settings.h"

namespace freshet {

const DetectorKind& kswin_kind();

}  // namespace freshet
