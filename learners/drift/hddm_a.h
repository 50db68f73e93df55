// HDDM with the A-test (I. Frías-Blanco et al., Online and Non-Parametric Drift Detection Methods Based on Hoeffding's
// Bounds, IEEE TKDE 27(3), 2015): the mean of all numbers against the mean up to the best cut, by Hoeffding's bound.
// Alarms are those of River 0.22 to the position.
//
// Threads, Owns, Failure: those of DriftDetector.
#pragma once

#include "learners/drift/detector_settings.h"

namespace freshet {

const DetectorKind& hddm_a_kind();

}  // namespace freshet
