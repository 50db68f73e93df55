// Study: a searcher and a scheduler at work together, with the records of all trials and the budget. Whoever trains
// asks next() for a job and gives its outcome to finish(); what comes next depends on the order of those calls alone.
//
// Threads: one owner.  Owns: space, searcher, scheduler, records.
// Failure: finish() of a job that is not outstanding is refused and changes nothing. A trial that fails, or whose
// objective is not finite, is recorded as failed and the study goes on. load() refuses the state of a study with other
// options or another space; after that only another load() makes the study usable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/json_writer.h"
#include "core/status.h"
#include "learners/tuning/parameter_space.h"
#include "learners/tuning/scheduler.h"
#include "learners/tuning/searcher.h"

namespace freshet::tuning {

struct StudyOptions {
  SearcherOptions searcher;  // its max_resource is taken from the scheduler's
  SchedulerOptions scheduler;
  std::uint64_t max_trials = 64;
  std::uint64_t evaluate_every = 0;  // units between evaluations that are recorded on the way to a rung; 0: none
  // Units of all trials together, as a multiple of scheduler.max_resource, which is one plain training; 0: no bound.
  // Held exactly: a job that would not fit ends the study.
  double max_compute_ratio = 0.0;
  std::uint64_t max_total_resource = 0;  // the same in units; 0: no bound
  // Of what finish() is told; 0: no bound. Held by estimate: a job begins if, at what its trial, or the mean of all,
  // has cost a unit so far, it fits.
  double max_cost = 0.0;
};

enum class TrialState : std::uint8_t { kRunning, kPaused, kCompleted, kStopped, kFailed };
std::string_view trial_state_name(TrialState state);

struct Evaluation {
  std::uint64_t resource = 0;
  double objective = 0.0;
  double cost = 0.0;  // of the trial so far
};

struct TrialRecord {
  Configuration configuration;
  std::vector<Evaluation> evaluations;  // by rising resource
  std::uint64_t resource = 0;           // trained to
  double cost = 0.0;
  bool failed = false;
  bool running = false;
  bool given = false;  // not the searcher's: from earlier studies or by hand
  std::string note;    // why it failed
};

struct Completion {
  std::uint64_t trial = 0;
  std::uint64_t resource = 0;          // the job's `to`
  double objective = 0.0;              // higher is better; not finite: failed
  double cost = 0.0;                   // of this job, in any one unit
  std::vector<Evaluation> on_the_way;  // resource and objective, where the job asked for them; cost: of this job so far
  bool failed = false;
  std::string note;
};

struct BestTrial {
  std::uint64_t trial = 0;
  std::uint64_t resource = 0;
  double objective = 0.0;
};

class Study {
 public:
  static Result<std::unique_ptr<Study>> create(const StudyOptions& options, ParameterSpace space);

  // Tried before what the searcher suggests, in this order; and what its model learns from. Before the first next().
  Status begin_with(std::vector<Configuration> first, std::vector<PriorObservation> prior);

  // A job for a free worker. Nothing: no job now, and, while none is outstanding, never again.
  std::optional<Job> next();
  Status finish(const Completion& completion);
  // Given out and not finished, in the order of next(): after load() they are to be done again.
  std::span<const Job> outstanding() const { return outstanding_; }
  bool over() const { return over_ && outstanding_.empty(); }
  // Why no more jobs come, in words; empty while they do.
  const std::string& end_reason() const { return end_reason_; }
  // No further job from here on.
  void end(std::string reason);

  const StudyOptions& options() const { return options_; }
  const ParameterSpace& space() const { return *space_; }
  const std::vector<TrialRecord>& trials() const { return trials_; }
  TrialState state(std::uint64_t trial) const;
  // Whether a job may still need what the trial has been trained to.
  bool needs_checkpoint(std::uint64_t trial) const;
  // Of those that were trained as long as any, the best by what it was then; one or none.
  std::vector<BestTrial> best_of_longest() const;
  // The best objectives, one a trial: of equal ones that with more resource, then the earlier trial.
  std::vector<BestTrial> best(std::size_t count = 1) const;
  std::uint64_t total_resource() const { return spent_; }  // of finished jobs
  std::uint64_t reserved_resource() const { return reserved_; }
  double total_cost() const { return cost_; }

  // Options, space and all records, as one object.
  void write_json(JsonWriter& json) const;

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  Study(const StudyOptions& options, std::unique_ptr<ParameterSpace> space, std::unique_ptr<Searcher> searcher,
        std::unique_ptr<Scheduler> scheduler);
  std::uint64_t fingerprint() const;
  std::uint64_t resource_most() const;
  bool fits(std::uint64_t trial, std::uint64_t units);
  bool start(std::uint64_t trial, std::uint64_t to);
  double cost_of_unit(std::uint64_t trial) const;
  void record(TrialRecord& trial, const Completion& completion, const Job& job);

  StudyOptions options_;
  std::unique_ptr<ParameterSpace> space_;  // at one address for good: searchers refer to it
  std::unique_ptr<Searcher> searcher_;
  std::unique_ptr<Scheduler> scheduler_;
  std::vector<Configuration> first_;
  std::vector<PriorObservation> prior_;  // given to the searcher; kept so that a loaded study can give it again
  std::vector<TrialRecord> trials_;
  std::vector<Job> outstanding_;
  std::uint64_t spent_ = 0;
  std::uint64_t reserved_ = 0;
  double cost_ = 0.0;
  bool over_ = false;
  std::string end_reason_;
};

}  // namespace freshet::tuning
