// Scheduler: which trial a free worker trains next, and how far. A trial is trained in stretches; between two of them
// it pauses, and a later stretch resumes it from the checkpoint that the one before left: nothing is trained twice.
//
// A state machine without clocks, threads or chance: the same reports in the same order give the same jobs.
// Objectives are better the higher they are. Trials are numbered from 0 in the order in which they are started.
//
// Threads: one owner.  Owns: what it knows of each trial.
// Failure: a trial whose objective is not a number has failed: it counts as the worst where it stands and is never
// given out again. load() of bytes that do not fit returns data_loss or failed_precondition.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/status.h"

namespace freshet::tuning {

struct SchedulerOptions {
  std::string kind = "asha";         // a name of scheduler_names()
  std::uint64_t max_resource = 100;  // what one trial is trained to at most, in units of the study's choice
  std::uint64_t grace = 1;           // the least that any trial is trained
  std::uint32_t eta = 3;             // one of so many goes on to the next rung
  std::uint32_t brackets = 1;        // asha: with more, trials also start at higher rungs
  double epsilon_percentile = 90.0;  // pasha: of the noise that makes two ranks equal
  std::uint32_t median_trials = 4;   // median: so many others must have got as far
};

struct Job {
  std::uint64_t trial = 0;
  std::uint64_t from = 0;  // 0: begins anew
  std::uint64_t to = 0;
  std::uint64_t evaluate_every = 0;  // units between evaluations on the way, reported as they come; 0: at `to` alone
  bool operator==(const Job&) const = default;
};

// Asked when the scheduler would start a trial, which it would train to `to` first; false: not that one, nor any after
// it in this call.
using StartTrial = std::function<bool(std::uint64_t trial, std::uint64_t to)>;

class Scheduler {
 public:
  virtual ~Scheduler() = default;
  virtual std::string_view name() const = 0;

  // What a free worker is to do. Nothing: wait for a report; where none is awaited, there will be no more.
  virtual std::optional<Job> next_job(const StartTrial& start) = 0;

  // The trial was trained to `resource` and evaluated: at the end of its job, or, where the scheduler asked for it with
  // Job::evaluate_every, before.
  virtual void report(std::uint64_t trial, std::uint64_t resource, double objective) = 0;

  // Whether jobs are to be evaluated on the way for what the scheduler decides.
  virtual bool wants_curves() const { return false; }

  // Whether a trial that pauses may come again; if not, its checkpoint is not needed.
  virtual bool may_resume(std::uint64_t trial) const = 0;

  virtual void save(ByteWriter& out) const = 0;
  virtual Status load(ByteReader& in) = 0;
};

// plain, successive_halving, hyperband, asha, pasha, median
std::span<const std::string_view> scheduler_names();
Result<std::unique_ptr<Scheduler>> make_scheduler(const SchedulerOptions& options);

}  // namespace freshet::tuning
