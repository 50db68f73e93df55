#include "learners/drift/detectors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "learners/drift/adwin.h"
#include "learners/drift/ddm.h"
#include "learners/drift/eddm.h"
#include "learners/drift/hddm_a.h"
#include "learners/drift/hddm_w.h"
#include "learners/drift/kswin.h"
#include "learners/drift/page_hinkley.h"

namespace freshet {

std::span<const DetectorKind* const> detector_kinds() {
  static const std::array<const DetectorKind*, 7> kinds = {
      &adwin_kind(), &page_hinkley_kind(), &kswin_kind(), &ddm_kind(), &eddm_kind(), &hddm_a_kind(), &hddm_w_kind()};
  return kinds;
}

Result<const DetectorKind*> find_detector(std::string_view name) {
  std::vector<std::string_view> names;
  for (const DetectorKind* kind : detector_kinds()) {
    if (kind->name == name) return kind;
    names.push_back(kind->name);
  }
  return not_found(fmt::format("there is no drift detector '{}'; these are: {}", name, fmt::join(names, ", ")));
}

Result<std::unique_ptr<DriftDetector>> make_detector(const DetectorSettings& settings) {
  TRY(settings.kind().check(settings));
  return settings.kind().make(settings);
}

}  // namespace freshet
