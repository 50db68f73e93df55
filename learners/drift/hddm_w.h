// HDDM with the W-test (I. Frías-Blanco et al., Online and Non-Parametric Drift Detection Methods Based on Hoeffding's
// Bounds, IEEE TKDE 27(3), 2015): exponentially weighted means before and after the best cut, by McDiarmid's bound.
// Alarms are those of River 0.22 to the position.
//
// Threads, Owns, Failure: those of DriftDetector.
#pragma once

#include "learners/drift/detector_settings.h"

namespace freshet {

const DetectorKind& hddm_w_kind();

}  // namespace freshet
