// The Drift Detection Method (J. Gama, P. Medas, G. Castillo and P. Rodrigues, Learning with Drift Detection, SBIA
// 2004): the error rate and its deviation against their least so far. Alarms are those of River 0.22 to the position.
//
// Threads, Owns, Failure: those of DriftDetector.
#pragma once

#include "learners/drift/detector_settings.h"

namespace freshet {

const DetectorKind& ddm_kind();

}  // namespace freshet
