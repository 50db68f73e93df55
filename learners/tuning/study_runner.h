// StudyRunner: trains a study's trials on threads of this process, at low priority.
//
// In virtual order every worker has a clock of its own that a job moves by TrialTrainers::virtual_time(). Outcomes are
// given to the study by the virtual time at which they are due, of equal ones the earlier trial's first, whatever
// thread is done first: the study is then the same on every run, and after a kill. By arrival, workers never wait for a
// turn.
//
// Threads: all methods on one thread, but request_stop(), which any may call; `workers` threads of its own train.
// Owns: threads, checkpoints of trials; refers to study and trainers, which must outlive it.
// Failure: a trial that fails is the study's to survive. advance() fails where the study refuses an outcome, which is a
// bug. What was not given to the study when it stops is trained again from the trial's last checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/tuning/study.h"
#include "learners/tuning/trial_trainer.h"

namespace freshet::tuning {

enum class CompletionOrder : std::uint8_t { kVirtual, kArrival };
enum class WorkerPriority : std::uint8_t { kNormal, kNice, kIdle };  // kNice: 10 below; kIdle: when nobody else runs

struct RunnerOptions {
  std::uint32_t workers = 1;  // 1 to 64
  CompletionOrder order = CompletionOrder::kVirtual;
  WorkerPriority priority = WorkerPriority::kIdle;  // kNice where the system refuses kIdle
  double cpu_share = 1.0;                           // above 0: of a processor, for each worker, over time
  std::uint32_t keep_best = 1;                      // checkpoints kept of the best trials that are over
};

class WorkerPool;

class StudyRunner {
 public:
  enum class Step : std::uint8_t { kFinished, kWaiting, kOver, kStopped };

  static Result<std::unique_ptr<StudyRunner>> create(Study& study, TrialTrainers& trainers,
                                                     const RunnerOptions& options);
  ~StudyRunner();
  StudyRunner(const StudyRunner&) = delete;
  StudyRunner& operator=(const StudyRunner&) = delete;

  // Gives every free worker a job and takes the outcome that is next, if there is one: kFinished, with the study moved
  // on. Without `wait`, kWaiting where it is not there yet.
  Result<Step> advance(bool wait);
  // Until the study is over or a stop was asked for; `after_each` is called after each outcome, and may save().
  Status run(const std::function<void()>& after_each = {});
  void request_stop();

  // What the trial was trained to when it paused, while it may be needed, and of the best ones.
  std::optional<std::string_view> checkpoint(std::uint64_t trial) const;
  // Virtual time at which the next outcome is due: all before it are known. Nothing where no worker is busy.
  std::optional<double> next_due_time() const;
  // Virtual time of the last outcome; seconds of processor time that the workers have trained.
  double virtual_now() const { return now_; }
  double worker_seconds() const { return worker_seconds_; }

  // Between two advances: study, clocks and checkpoints. A loaded runner in virtual order continues exactly, with as
  // many workers.
  void save(ByteWriter& out) const;
  Status load(ByteReader& in);
  // The same in parts, for a caller that stores what has changed alone: all but the checkpoints, and each of them.
  // After load() of the first, give_checkpoint() takes the others.
  void save_without_checkpoints(ByteWriter& out) const;
  const std::map<std::uint64_t, std::string>& checkpoints() const { return checkpoints_; }
  void give_checkpoint(std::uint64_t trial, std::string bytes) { checkpoints_[trial] = std::move(bytes); }

 private:
  struct Slot {  // a worker
    bool busy = false;
    bool sent = false;  // to its thread; after load() not yet
    Job job;
    double due = 0.0;
  };
  StudyRunner(Study& study, TrialTrainers& trainers, const RunnerOptions& options);
  void save_clocks(ByteWriter& out) const;
  void give_jobs();
  void send(std::size_t slot);
  std::optional<std::size_t> next_due() const;
  double virtual_time(const Job& job, std::uint64_t to) const;
  void drop_checkpoints();

  Study& study_;
  TrialTrainers& trainers_;
  RunnerOptions options_;
  std::unique_ptr<WorkerPool> pool_;
  std::vector<Slot> slots_;
  std::vector<Job> again_;  // by arrival, after load(): outstanding and of no worker
  std::map<std::uint64_t, std::string> checkpoints_;
  double now_ = 0.0;
  double worker_seconds_ = 0.0;
};

}  // namespace freshet::tuning
