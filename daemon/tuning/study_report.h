// The report of studies: one self-contained HTML page that draws what was tried. study_document() is what it shows of
// one study, as JSON; study files keep it, so that a page can be made of studies that ran elsewhere or long ago.
//
// Threads: pure functions.  Owns: nothing.
// Failure: study_report() returns invalid_argument where the page's template and its parts do not fit, which is a bug.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/status.h"
#include "daemon/tuning/study_timeline.h"
#include "daemon/tuning/trial_learner.h"
#include "learners/tuning/study.h"

namespace freshet {

// What a study itself does not know.
struct StudyFacts {
  std::string model;
  TrialObjective objective;
  std::uint64_t events_trained_on = 0;
  std::uint64_t events_judging = 0;
  bool judged_by_newest = false;
  std::uint64_t slices = 0;
  std::uint32_t workers = 1;
  std::optional<std::uint64_t> configured_trial;  // the one that stands for what was configured
};

std::string study_document(const tuning::Study& study, const StudyTimeline& timeline, const StudyFacts& facts);

struct ReportedStudy {
  std::string name;      // shown where there are several
  std::string document;  // study_document()
};

// `written`: the date, as it is shown.
Result<std::string> study_report(std::string_view written, std::span<const ReportedStudy> studies);

}  // namespace freshet
