#include "learners/tuning/worker_pool.h"

#include <sched.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <exception>

#include <fmt/core.h>

namespace freshet::tuning {

namespace {

constexpr int kNicer = 10;

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

// On Linux both calls mean a thread. Refused, it goes on at the priority that it has.
void take_priority(WorkerPriority priority) {
  if (priority == WorkerPriority::kNormal) return;
  if (priority == WorkerPriority::kIdle) {
    const sched_param none{};
    if (sched_setscheduler(0, SCHED_IDLE, &none) == 0) return;
  }
  (void)setpriority(PRIO_PROCESS, 0, kNicer);
}

WorkerPool::WorkerPool(TrialTrainers& trainers, std::uint32_t workers, WorkerPriority priority, double cpu_share)
    : trainers_(trainers), priority_(priority), cpu_share_(cpu_share), mailboxes_(workers) {
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    threads_.emplace_back([this, worker] { work(worker); });
  }
}

WorkerPool::~WorkerPool() {
  stop_.store(true);
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void WorkerPool::give(std::size_t worker, Stretch stretch) {
  {
    const std::lock_guard lock(mutex_);
    mailboxes_[worker].stretch = std::move(stretch);
  }
  changed_.notify_all();
}

std::optional<Outcome> WorkerPool::take(std::size_t worker, bool wait) {
  std::unique_lock lock(mutex_);
  if (wait) changed_.wait(lock, [&] { return mailboxes_[worker].outcome.has_value() || stopped(); });
  if (!mailboxes_[worker].outcome) return std::nullopt;
  std::optional<Outcome> taken;
  taken.swap(mailboxes_[worker].outcome);
  return taken;
}

std::optional<std::size_t> WorkerPool::any_done(bool wait) {
  std::unique_lock lock(mutex_);
  const auto done = [&] {
    return std::find_if(mailboxes_.begin(), mailboxes_.end(),
                        [](const Mailbox& mailbox) { return mailbox.outcome.has_value(); });
  };
  if (wait) changed_.wait(lock, [&] { return done() != mailboxes_.end() || stopped(); });
  const auto found = done();
  if (found == mailboxes_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - mailboxes_.begin());
}

void WorkerPool::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_.store(true);
  }
  changed_.notify_all();
}

void WorkerPool::work(std::size_t worker) {
  take_priority(priority_);
  std::unique_lock lock(mutex_);
  while (true) {
    auto& mailbox = mailboxes_[worker];
    changed_.wait(lock, [&] { return closing_ || (mailbox.stretch.has_value() && !mailbox.outcome.has_value()); });
    if (closing_) return;
    const Stretch stretch = std::move(*mailbox.stretch);
    mailbox.stretch.reset();
    lock.unlock();
    Outcome outcome = train(stretch);
    const double rest = outcome.seconds * (1.0 / cpu_share_ - 1.0);
    lock.lock();
    mailbox.outcome = std::move(outcome);
    changed_.notify_all();
    if (rest > 0.0) {
      changed_.wait_for(lock, std::chrono::duration<double>(rest), [&] { return closing_ || stopped(); });
    }
  }
}

Outcome WorkerPool::train(const Stretch& stretch) {
  Outcome outcome;
  const double begin = thread_seconds();
  try {
    outcome.status = train_into(stretch, outcome);
  } catch (const std::exception& error) {
    outcome.status = internal_error(fmt::format("training threw: {}", error.what()));
  }
  outcome.seconds = thread_seconds() - begin;
  return outcome;
}

Status WorkerPool::train_into(const Stretch& stretch, Outcome& outcome) {
  const Job& job = stretch.job;
  const double begin = thread_seconds();
  auto trainer = job.from == 0 ? TRY(trainers_.create(job.trial, stretch.settings))
                               : TRY(trainers_.resume(job.trial, stretch.settings, stretch.checkpoint));
  if (job.evaluate_every > 0) {
    for (std::uint64_t at = job.from + job.evaluate_every; at < job.to; at += job.evaluate_every) {
      TRY(trainer->train_to(at, stop_));
      const double objective = TRY(trainer->evaluate());
      outcome.on_the_way.push_back({at, objective, thread_seconds() - begin});
    }
  }
  TRY(trainer->train_to(job.to, stop_));
  outcome.objective = TRY(trainer->evaluate());
  ByteWriter checkpoint;
  TRY(trainer->checkpoint(checkpoint));
  outcome.checkpoint = checkpoint.take();
  return Status::ok();
}

}  // namespace freshet::tuning
