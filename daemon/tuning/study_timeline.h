// StudyTimeline: when each stretch of a study's training was done, and what it took. A study itself has no clock, so
// that it is the same on every run; this stands beside it, for reports alone.
//
// Threads: one owner.  Owns: its entries.
// Failure: load() refuses bytes that are no timeline. Nothing depends on what is in it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/bytes.h"
#include "core/json_writer.h"
#include "core/status.h"
#include "learners/tuning/study.h"

namespace freshet {

struct TimedStretch {
  std::uint64_t trial = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
  double objective = 0;  // not a number: it failed
  double at = 0;         // seconds since the study began, pauses between two runs of it left out
  double seconds = 0;    // processor time
};

class StudyTimeline {
 public:
  // After the study was given an outcome: takes down what it has more than before. `at` and `worker_seconds` count from
  // the beginning of this run of the study.
  void note(const tuning::Study& study, double at, double worker_seconds);
  // What the study has been through already was not taken down, and is left out.
  void begin_after(const tuning::Study& study);
  // The study stands still, after so many seconds of this run: the next run counts on from here.
  void pause(double at);

  std::span<const TimedStretch> stretches() const { return stretches_; }
  double seconds() const { return seconds_; }                // that all runs took
  double worker_seconds() const { return worker_seconds_; }  // processor time of all runs

  void write_json(JsonWriter& json) const;  // an array
  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  std::vector<TimedStretch> stretches_;
  std::vector<std::uint64_t> trained_;  // what each trial was trained to
  double seconds_ = 0;
  double worker_seconds_ = 0;
  double seconds_before_ = 0;  // of earlier runs
  double worker_before_ = 0;
};

}  // namespace freshet
