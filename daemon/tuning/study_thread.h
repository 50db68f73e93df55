// StudyThread: one study of the daemon, from its snapshot to the learner that the best trial has become, on threads of
// low priority beside everything else.
//
// The study is a function of the plan alone: trials run in virtual order, so whoever asks at which virtual time it is
// over gets the same answer on every run, whatever was trained before a kill and is given back as StoredStudy.
//
// Threads: one owner (ingest); a thread that drives the study, and a worker each, below.
// Owns: all of the study; shares the snapshot.
// Failure: a study that cannot be made, or breaks, is over without a winner, and the outcome says why. What was stored
// and does not fit is left, and the study begins anew: it takes longer and comes to the same end.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "daemon/config/config.h"
#include "daemon/tuning/trial_learner.h"
#include "learners/tuning/study_runner.h"
#include "learners/tuning/warm_start.h"

namespace freshet {

struct StudyPlan {
  Config config;             // in force where the study begins
  std::uint64_t number = 1;  // from 1; every study draws anew
  std::uint64_t begin_seq = 0;
  std::shared_ptr<const TrialSnapshot> snapshot;
  std::vector<tuning::PastStudy> past;
  tuning::WorkerPriority priority = tuning::WorkerPriority::kIdle;
};

struct StudyWinner {
  std::uint64_t trial = 0;
  double objective = 0;
  std::vector<tuning::Setting> settings;  // of all options that the study searched
  std::string learner;                    // its state, after the whole snapshot
};

struct StudyOutcome {
  std::optional<StudyWinner> winner;      // nothing: what was in force is the best, or the study failed
  std::optional<double> present;          // the objective of what was in force, or of the nearest in the space
  std::optional<tuning::PastStudy> past;  // for later studies
  std::string failure;
};

// For displays.
struct StudyStatus {
  std::uint64_t trials = 0;
  std::map<std::string, std::uint64_t> by_state;
  std::optional<double> best;
  std::uint64_t resource = 0;  // stretches trained by all
  std::size_t events = 0;      // that trials learn from
  std::size_t judging = 0;
};

// What a kill would lose: the newest state of all but the trials, and of each trial that has paused since.
struct StudyChanges {
  std::string state;
  std::map<std::uint64_t, std::string> trials;
  std::set<std::uint64_t> gone;
  bool empty() const { return state.empty(); }
  void add(StudyChanges newer);
};
struct StoredStudy {
  std::string state;
  std::map<std::uint64_t, std::string> trials;
};

class StudyThread {
 public:
  StudyThread(StudyPlan plan, StoredStudy stored);
  ~StudyThread();
  StudyThread(const StudyThread&) = delete;
  StudyThread& operator=(const StudyThread&) = delete;

  // Whether it is over at this virtual time, counted in stretches of training; waits until that is known. False, too,
  // once `stop` turns true.
  bool over_by(double virtual_time, const std::atomic<bool>* stop);
  bool over() const;
  // Waits for the end; false: `stop` turned true before it.
  bool wait(const std::atomic<bool>* stop);
  StudyOutcome take_outcome();  // once, when it is over

  StudyStatus status() const;
  StudyChanges take_changes();

 private:
  void drive();
  Status make(const StoredStudy& stored);
  Status load(const StoredStudy& stored);
  Status run();
  Status finish();
  void note_progress();
  void end(StudyOutcome outcome, double time);
  bool wait_until(const std::atomic<bool>* stop, double virtual_time);

  const StudyPlan plan_;
  StoredStudy stored_;
  tuning::StopFlag stop_{false};
  std::unique_ptr<TrialLearners> trainers_;  // these three: the driving thread's, once it runs
  std::unique_ptr<tuning::Study> study_;
  std::unique_ptr<tuning::StudyRunner> runner_;
  std::map<std::uint64_t, std::uint64_t> told_;  // trial -> resource of the checkpoint that was told

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  double known_until_ = 0;  // what happens before this virtual time is known
  bool over_ = false;
  double end_time_ = 0;
  StudyOutcome outcome_;
  StudyStatus status_;
  StudyChanges changes_;
  tuning::StudyRunner* stoppable_ = nullptr;
  std::thread thread_;
};

}  // namespace freshet
