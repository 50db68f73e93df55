// StatusMarks: finds out what has happened between two snapshots of a pipeline that is worth a mark in its history:
// drift, rollbacks, studies, what an operator asked for, the end of a redo.
//
// Threads: one owner.  Owns: what it saw last.  Failure: none.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "daemon/pipeline/pipeline.h"
#include "daemon/status_page/status_history.h"

namespace freshet {

class StatusMarks {
 public:
  void note(const PipelineSnapshot& now, std::int64_t time_ms, StatusHistory& history);

 private:
  void note_drift(const PipelineSnapshot& now, std::int64_t time_ms, StatusHistory& history);
  void note_studies(const PipelineSnapshot& now, std::int64_t time_ms, StatusHistory& history);
  void note_publishing(const PipelineSnapshot& now, std::int64_t time_ms, StatusHistory& history) const;

  struct Seen {
    bool redoing = false;
    bool paused = false;
    std::uint64_t pinned_version = 0;
    std::uint64_t rollbacks = 0;
    std::uint64_t served_version = 0;
    std::set<std::uint64_t> rolled_back;  // of the versions that the gate remembers
  };
  std::optional<Seen> seen_;  // nothing before the first snapshot
  std::uint64_t drift_position_ = 0;
  FindingKind drift_kind_ = FindingKind::kWarning;
  std::string drift_statistic_;
  std::uint64_t study_event_ = 0;
  std::uint64_t study_ = 0;
  std::string study_what_;
};

}  // namespace freshet
