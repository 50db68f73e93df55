// WorkerPool: threads at low priority that train one stretch of one trial each.
//
// Threads: the owner calls all methods; a thread for each worker.  Owns: threads and mailboxes of one job and one
// outcome each.
// Failure: an exception out of a trainer fails its trial.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "learners/tuning/study_runner.h"

namespace freshet::tuning {

struct Stretch {
  Job job;
  std::vector<Setting> settings;
  std::string checkpoint;  // where job.from > 0
};

struct Outcome {
  Status status;
  std::vector<Evaluation> on_the_way;
  double objective = 0.0;
  double seconds = 0.0;  // processor time of the thread
  std::string checkpoint;
};

// Gives the calling thread this priority, where the system lets it.
void take_priority(WorkerPriority priority);

class WorkerPool {
 public:
  // cpu_share: a worker rests after each stretch, so that over time it takes at most this share of a processor.
  WorkerPool(TrialTrainers& trainers, std::uint32_t workers, WorkerPriority priority, double cpu_share = 1.0);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void give(std::size_t worker, Stretch stretch);  // to one that has nothing
  // The outcome of this worker, or, with nullopt, of any; waits for it if asked to. Nothing: not there yet, or stopped.
  std::optional<Outcome> take(std::size_t worker, bool wait);
  std::optional<std::size_t> any_done(bool wait);
  void stop();  // at the next look that trainers take
  bool stopped() const { return stop_.load(); }

 private:
  struct Mailbox {
    std::optional<Stretch> stretch;
    std::optional<Outcome> outcome;
  };
  void work(std::size_t worker);
  Outcome train(const Stretch& stretch);
  Status train_into(const Stretch& stretch, Outcome& outcome);

  TrialTrainers& trainers_;
  WorkerPriority priority_;
  double cpu_share_;
  StopFlag stop_{false};
  bool closing_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Mailbox> mailboxes_;
  std::vector<std::thread> threads_;
};

}  // namespace freshet::tuning
