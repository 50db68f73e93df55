// The Early Drift Detection Method (M. Baena-García et al., Early Drift Detection Method, workshop on Knowledge
// Discovery from Data Streams, 2006): the distance between errors against its largest so far. Alarms are those of River
// 0.22 to the position.
//
// Threads, Owns, Failure: those of DriftDetector.
#pragma once

#include "learners/drift/detector_settings.h"

namespace freshet {

const DetectorKind& eddm_kind();

}  // namespace freshet
