// The file of `freshet tune --study`: a running study with its timeline, and, as JSON, what a report shows of it. So a
// report needs the file alone, neither the configuration nor the memory that the study ran on.
//
// Threads: pure functions, but for the file.
// Failure: says which file cannot be read or written, and why. A file is replaced whole or not at all.
#pragma once

#include <string>

#include "core/status.h"
#include "daemon/tuning/study_timeline.h"
#include "learners/tuning/study_runner.h"

namespace freshet {

struct StudyFile {
  std::string document;  // study_document(); empty in a file of format 1, which had none
  StudyTimeline timeline;
  std::string runner;  // for StudyRunner::load
};

Result<StudyFile> read_study_file(const std::string& path);
Status write_study_file(const std::string& path, const std::string& document, const StudyTimeline& timeline,
                        const tuning::StudyRunner& runner);

}  // namespace freshet
