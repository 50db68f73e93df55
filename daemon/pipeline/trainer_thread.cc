#include "daemon/pipeline/trainer_thread.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "learners/training/round_plan.h"

namespace freshet {
namespace {

constexpr std::chrono::milliseconds kReadRetry{100};
constexpr int kReadTriesMax = 100;

std::int64_t thread_cpu_ns() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<std::int64_t>(used.tv_sec) * 1'000'000'000 + used.tv_nsec;
}

}  // namespace

TrainerThread::TrainerThread(Learner& learner, const Store& store, const EventRecordCodec& codec,
                             const EncodedLayout& layout, const Clock& clock)
    : learner_(&learner), store_(store), codec_(codec), clock_(clock), layout_(layout), thread_([this] { loop(); }) {}

TrainerThread::~TrainerThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void TrainerThread::use(Learner& learner) {
  const std::lock_guard lock(mutex_);
  if (busy_) abort_with("another learner was given to a trainer at work");
  learner_ = &learner;
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

// Events `seqs` to the rows of `into`, in that order.
Status TrainerThread::read_rows(std::span<const std::uint64_t> seqs, EncodedBatch& into) {
  const std::size_t count = seqs.size();
  // Reading in key order is faster; the order of the draw is kept by putting each row where it was drawn.
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return seqs[a] < seqs[b]; });
  std::vector<std::uint64_t> sorted(count);
  for (std::size_t i = 0; i < count; ++i) sorted[i] = seqs[order[i]];
  Status decoded;
  TRY(store_.read(sorted, [&](std::size_t i, std::string_view record) {
    const std::size_t row = order[i];
    into.seqs[row] = sorted[i];
    if (Status status = codec_.decode_encoded(record, into, row); !status.is_ok()) decoded = std::move(status);
  }));
  return decoded;
}

// A round without its replayed rows would be another round than the one that a redo trains: a disk that fails for a
// moment is waited for.
Status TrainerThread::read_rows_patiently(std::span<const std::uint64_t> seqs, EncodedBatch& into) {
  for (int attempt = 1;; ++attempt) {
    Status status = read_rows(seqs, into);
    if (status.code() != Code::kUnavailable || attempt == kReadTriesMax) return status;
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, kReadRetry, [&] { return stopping_; })) return status;
  }
}

// Chooses among the rows of the round, before those that are left out are read.
Result<const KeptRows*> TrainerThread::sift(RoundJob& job) {
  if (!learner_->sifts()) return nullptr;
  const KeptRows* kept = TRY(learner_->sift(*job.fresh, job.replay_losses));
  if (kept == nullptr) return nullptr;
  std::size_t row = 0;
  for (const auto from : kept->replay) {
    job.replay.seqs[row] = job.replay.seqs[from];
    job.replay.slots[row++] = job.replay.slots[from];
  }
  const std::size_t drawn = job.replay.seqs.size();
  for (auto& matrix : job.values.stored) {
    const std::size_t width = drawn == 0 ? 0 : matrix.size() / drawn;
    for (std::size_t i = 0; i < row; ++i) {
      std::copy_n(matrix.data() + kept->replay[i] * width, width, matrix.data() + i * width);
    }
  }
  job.replay.seqs.resize(row);
  job.replay.slots.resize(row);
  return kept;
}

// The whole memory as a round passes over it: pieces of it are read when their turn comes.
class TrainerThread::PieceReader final : public ReplayReader {
 public:
  PieceReader(TrainerThread& trainer, const std::vector<std::uint64_t>& seqs) : trainer_(trainer), seqs_(seqs) {}
  std::size_t size() const override { return seqs_.size(); }
  std::uint64_t seq(std::size_t row) const override { return seqs_[row]; }
  Status read(std::span<const std::uint32_t> rows, EncodedBatch& into) override {
    wanted_.clear();
    for (const auto row : rows) wanted_.push_back(seqs_[row]);
    const std::int64_t begin = trainer_.clock_.monotonic_ns();
    Status status = trainer_.read_rows_patiently(wanted_, into).with_context("reading the memory");
    read_ns_ += trainer_.clock_.monotonic_ns() - begin;
    return status;
  }
  std::int64_t read_ns() const { return read_ns_; }

 private:
  TrainerThread& trainer_;
  const std::vector<std::uint64_t>& seqs_;
  std::vector<std::uint64_t> wanted_;
  std::int64_t read_ns_ = 0;
};

// The rows as the learner had them. What is stored with events is the learner's own.
void TrainerThread::train_challenger(RoundJob& job, RoundInput input, RoundResult& result) {
  challenger_losses_.assign(input.replay_losses.size(), kUnknownLoss);
  input.replay_losses = challenger_losses_;
  challenger_values_.resize(job.values.to_store.size());
  for (std::size_t c = 0; c < challenger_values_.size(); ++c) {
    challenger_values_[c].resize(job.values.to_store[c].size());
  }
  view_matrices(challenger_values_, challenger_to_store_);
  input.to_store = challenger_to_store_;
  result.challenger_status = job.challenger->train_round(input).status();
  if (result.challenger_status.is_ok()) result.challenger = job.challenger->publish(job.version);
}

RoundResult TrainerThread::run(RoundJob& job) {
  RoundResult result;
  result.round = job.round;
  const std::int64_t begin = clock_.monotonic_ns();
  const std::int64_t cpu_begin = thread_cpu_ns();
  const auto kept = sift(job);
  const std::int64_t read_begin = clock_.monotonic_ns();
  const std::size_t count = job.replay.seqs.size();
  const std::size_t read_at_once = job.in_pieces ? 0 : count;
  if (replay_.capacity() < read_at_once) replay_ = EncodedBatch(layout_.dense(), layout_.categorical(), read_at_once);
  replay_.resize(read_at_once);
  PieceReader pieces(*this, job.replay.seqs);
  result.status = kept.status();
  if (result.status.is_ok() && !job.in_pieces)
    result.status = read_rows_patiently(job.replay.seqs, replay_).with_context("reading the replay sample");
  result.replay_read_ns = clock_.monotonic_ns() - read_begin;
  if (result.status.is_ok()) {
    if (*kept != nullptr) {
      const auto& factors = (*kept)->replay_factors;
      for (std::size_t i = 0; i < factors.size(); ++i) replay_.weights[i] *= factors[i];
    }
    result.replay_losses.assign(count, kUnknownLoss);
    view_matrices(job.values.stored, stored_);
    view_matrices(job.values.to_store, to_store_);
    RoundInput input{job.fresh, &replay_, job.round, result.replay_losses, stored_, to_store_};
    if (job.in_pieces) input.memory = &pieces;
    input.kept = *kept;
    input.rate_factor = job.rate_factor;
    auto report = learner_->train_round(input);
    result.replay_read_ns += pieces.read_ns();
    if (report.is_ok()) {
      result.report = *report;
      result.candidate = learner_->publish(job.version);
      if (job.challenger != nullptr) train_challenger(job, input, result);
    } else {
      result.status = report.status();
    }
  }
  result.replay = std::move(job.replay);
  result.values = std::move(job.values);
  result.duration_ns = clock_.monotonic_ns() - begin;
  result.cpu_ns = thread_cpu_ns() - cpu_begin;
  return result;
}

}  // namespace freshet
