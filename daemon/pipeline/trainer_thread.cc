#include "daemon/pipeline/trainer_thread.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

namespace freshet {
namespace {

constexpr std::chrono::milliseconds kReadRetry{100};
constexpr int kReadTriesMax = 100;

}  // namespace

TrainerThread::TrainerThread(Learner& learner, const Store& store, const EventRecordCodec& codec,
                             const EncodedLayout& layout, const Clock& clock)
    : learner_(learner), store_(store), codec_(codec), clock_(clock), layout_(layout), thread_([this] { loop(); }) {}

TrainerThread::~TrainerThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void TrainerThread::start(RoundJob job) {
  {
    const std::lock_guard lock(mutex_);
    if (busy_) abort_with("a training round was started while another runs");
    busy_ = true;
    job_ = std::move(job);
  }
  changed_.notify_all();
}

bool TrainerThread::busy() const {
  const std::lock_guard lock(mutex_);
  return busy_;
}

bool TrainerThread::done() const {
  const std::lock_guard lock(mutex_);
  return result_.has_value();
}

void TrainerThread::wait_done() const {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !busy_ || result_.has_value(); });
}

RoundResult TrainerThread::wait() {
  std::unique_lock lock(mutex_);
  if (!busy_) abort_with("waited for a training round that was never started");
  changed_.wait(lock, [&] { return result_.has_value(); });
  RoundResult result = std::move(*result_);
  result_.reset();
  busy_ = false;
  return result;
}

void TrainerThread::loop() {
  for (;;) {
    std::optional<RoundJob> job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || job_.has_value(); });
      if (stopping_) return;
      job = std::exchange(job_, std::nullopt);
    }
    RoundResult result = run(*job);
    {
      const std::lock_guard lock(mutex_);
      result_ = std::move(result);
    }
    changed_.notify_all();
  }
}

Status TrainerThread::read_replay(RoundJob& job) {
  const std::size_t count = job.replay.seqs.size();
  if (replay_.capacity() < count) replay_ = EncodedBatch(layout_.dense(), layout_.categorical(), count);
  replay_.resize(count);
  // Reading in key order is faster; the order of the draw is kept by putting each row where it was drawn.
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(),
            [&](std::uint32_t a, std::uint32_t b) { return job.replay.seqs[a] < job.replay.seqs[b]; });
  std::vector<std::uint64_t> sorted(count);
  for (std::size_t i = 0; i < count; ++i) sorted[i] = job.replay.seqs[order[i]];
  Status decoded;
  TRY(store_.read(sorted, [&](std::size_t i, std::string_view record) {
    const std::size_t row = order[i];
    replay_.seqs[row] = sorted[i];
    if (Status status = codec_.decode_encoded(record, replay_, row); !status.is_ok()) decoded = std::move(status);
  }));
  return decoded;
}

// A round without its replayed rows would be another round than the one that a redo trains: a disk that fails for a
// moment is waited for.
Status TrainerThread::read_replay_patiently(RoundJob& job) {
  for (int attempt = 1;; ++attempt) {
    Status status = read_replay(job);
    if (status.code() != Code::kUnavailable || attempt == kReadTriesMax) return status;
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, kReadRetry, [&] { return stopping_; })) return status;
  }
}

RoundResult TrainerThread::run(RoundJob& job) {
  RoundResult result;
  result.round = job.round;
  const std::int64_t begin = clock_.monotonic_ns();
  result.status = read_replay_patiently(job).with_context("reading the replay sample");
  result.replay_read_ns = clock_.monotonic_ns() - begin;
  if (result.status.is_ok()) {
    result.replay_losses.assign(replay_.size(), kUnknownLoss);
    view_matrices(job.values.stored, stored_);
    view_matrices(job.values.to_store, to_store_);
    auto report = learner_.train_round({job.fresh, &replay_, job.round, result.replay_losses, stored_, to_store_});
    if (report.is_ok()) {
      result.report = *report;
      result.candidate = learner_.publish(job.version);
    } else {
      result.status = report.status();
    }
  }
  result.replay = std::move(job.replay);
  result.values = std::move(job.values);
  result.duration_ns = clock_.monotonic_ns() - begin;
  return result;
}

}  // namespace freshet
