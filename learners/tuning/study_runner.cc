#include "learners/tuning/study_runner.h"

#include <algorithm>
#include <cmath>

#include <fmt/core.h>

#include "learners/tuning/worker_pool.h"

namespace freshet::tuning {

namespace {

constexpr std::uint32_t kMagic = 0x52545346;  // "FSTR"
constexpr std::uint32_t kFormat = 1;
constexpr std::uint32_t kWorkersMost = 64;

}  // namespace

Result<std::unique_ptr<StudyRunner>> StudyRunner::create(Study& study, TrialTrainers& trainers,
                                                         const RunnerOptions& options) {
  if (options.workers == 0 || options.workers > kWorkersMost) {
    return invalid_argument(fmt::format("{} workers: from 1 to {}", options.workers, kWorkersMost));
  }
  if (!(options.cpu_share > 0.0) || options.cpu_share > 1.0)
    return invalid_argument("a share of a processor is above 0");
  return std::unique_ptr<StudyRunner>(new StudyRunner(study, trainers, options));
}

StudyRunner::StudyRunner(Study& study, TrialTrainers& trainers, const RunnerOptions& options)
    : study_(study),
      trainers_(trainers),
      options_(options),
      pool_(std::make_unique<WorkerPool>(trainers, options.workers, options.priority, options.cpu_share)),
      slots_(options.workers) {}

StudyRunner::~StudyRunner() = default;

void StudyRunner::request_stop() { pool_->stop(); }

void StudyRunner::give_jobs() {
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    auto& worker = slots_[slot];
    if (!worker.busy) {
      std::optional<Job> job;
      if (!again_.empty()) {
        job = again_.front();
        again_.erase(again_.begin());
      } else {
        job = study_.next();
      }
      if (!job) continue;
      worker = {true, false, *job, now_ + virtual_time(*job, job->to)};
    }
    if (!worker.sent) send(slot);
  }
}

double StudyRunner::virtual_time(const Job& job, std::uint64_t to) const {
  const auto settings = study_.space().settings(study_.trials()[job.trial].configuration);
  const double time = trainers_.virtual_time(settings, job.from, to);
  return std::isfinite(time) && time > 0.0 ? time : 1.0;
}

void StudyRunner::send(std::size_t slot) {
  auto& worker = slots_[slot];
  worker.sent = true;
  Stretch stretch;
  stretch.job = worker.job;
  stretch.settings = study_.space().settings(study_.trials()[worker.job.trial].configuration);
  for (const auto& setting : study_.space().fixed()) stretch.settings.push_back(setting);
  const auto stored = checkpoints_.find(worker.job.trial);
  if (stored != checkpoints_.end()) stretch.checkpoint = stored->second;
  pool_->give(slot, std::move(stretch));
}

std::optional<std::size_t> StudyRunner::next_due() const {
  std::optional<std::size_t> next;
  for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
    if (!slots_[slot].busy) continue;
    if (!next || slots_[slot].due < slots_[*next].due ||
        (slots_[slot].due == slots_[*next].due && slots_[slot].job.trial < slots_[*next].job.trial)) {
      next = slot;
    }
  }
  return next;
}

Result<StudyRunner::Step> StudyRunner::advance(bool wait) {
  if (pool_->stopped()) return Step::kStopped;
  give_jobs();
  auto slot = next_due();
  if (!slot) {
    drop_checkpoints();  // no trial comes again
    return Step::kOver;
  }
  if (options_.order == CompletionOrder::kArrival) slot = pool_->any_done(wait);
  std::optional<Outcome> outcome;
  if (slot) outcome = pool_->take(*slot, wait);
  if (!outcome) return pool_->stopped() ? Step::kStopped : Step::kWaiting;
  if (pool_->stopped()) return Step::kStopped;  // it may have been cut short: it is done again

  auto& worker = slots_[*slot];
  Completion completion;
  completion.trial = worker.job.trial;
  completion.resource = worker.job.to;
  completion.objective = outcome->objective;
  completion.cost = outcome->seconds;
  completion.on_the_way = std::move(outcome->on_the_way);
  completion.failed = !outcome->status.is_ok();
  if (completion.failed) completion.note = outcome->status.to_string();
  if (options_.order == CompletionOrder::kVirtual) {  // seconds are not the same on every run
    completion.cost = virtual_time(worker.job, worker.job.to);
    for (auto& evaluation : completion.on_the_way) {
      evaluation.cost = virtual_time(worker.job, evaluation.resource);
    }
  }
  worker_seconds_ += outcome->seconds;
  now_ = std::max(now_, worker.due);
  worker = {};
  TRY(study_.finish(completion));
  checkpoints_[completion.trial] = std::move(outcome->checkpoint);
  drop_checkpoints();
  return Step::kFinished;
}

void StudyRunner::drop_checkpoints() {
  const auto best = study_.best(options_.keep_best);
  std::erase_if(checkpoints_, [&](const auto& stored) {
    if (study_.needs_checkpoint(stored.first)) return false;
    return std::none_of(best.begin(), best.end(), [&](const BestTrial& one) { return one.trial == stored.first; });
  });
}

Status StudyRunner::run(const std::function<void()>& after_each) {
  while (true) {
    const Step step = TRY(advance(true));
    if (step == Step::kOver) return Status::ok();
    if (step == Step::kStopped) return cancelled("the study was asked to stop");
    if (step == Step::kFinished && after_each) after_each();
  }
}

std::optional<std::string_view> StudyRunner::checkpoint(std::uint64_t trial) const {
  const auto stored = checkpoints_.find(trial);
  if (stored == checkpoints_.end()) return std::nullopt;
  return stored->second;
}

std::optional<double> StudyRunner::next_due_time() const {
  const auto slot = next_due();
  return slot ? std::optional<double>(slots_[*slot].due) : std::nullopt;
}

void StudyRunner::save_clocks(ByteWriter& out) const {
  out.put(kMagic);
  out.put(kFormat);
  study_.save(out);
  out.put(options_.order);
  out.put(now_);
  out.put<std::uint64_t>(slots_.size());
  for (const auto& worker : slots_) {
    out.put<std::uint8_t>(worker.busy ? 1 : 0);
    out.put(worker.job.trial);
    out.put(worker.due);
  }
}

void StudyRunner::save_without_checkpoints(ByteWriter& out) const {
  save_clocks(out);
  out.put<std::uint64_t>(0);
}

void StudyRunner::save(ByteWriter& out) const {
  save_clocks(out);
  out.put<std::uint64_t>(checkpoints_.size());
  for (const auto& [trial, bytes] : checkpoints_) {
    out.put(trial);
    out.put_text(bytes);
  }
}

Status StudyRunner::load(ByteReader& in) {
  for (const auto& worker : slots_) {
    if (worker.sent) return failed_precondition("a study that runs cannot be loaded over");
  }
  if (in.get<std::uint32_t>() != kMagic || in.get<std::uint32_t>() != kFormat) {
    return data_loss("these bytes are no running study of this version");
  }
  TRY(study_.load(in));
  const bool in_order = in.get<CompletionOrder>() == CompletionOrder::kVirtual;
  now_ = in.get<double>();
  const auto workers = in.get<std::uint64_t>();
  if (workers > kWorkersMost) return data_loss("the stored study is cut short");
  if (in_order != (options_.order == CompletionOrder::kVirtual) || (in_order && workers != slots_.size())) {
    return failed_precondition("the stored study runs in another order or with another number of workers");
  }
  again_.assign(study_.outstanding().begin(), study_.outstanding().end());
  for (std::uint64_t slot = 0; slot < workers; ++slot) {
    const bool busy = in.get<std::uint8_t>() != 0;
    const auto trial = in.get<std::uint64_t>();
    const auto due = in.get<double>();
    if (!in_order) continue;
    slots_[slot] = {};
    if (!busy) continue;
    const auto job = std::find_if(again_.begin(), again_.end(), [&](const Job& one) { return one.trial == trial; });
    if (job == again_.end()) return data_loss("a stored worker has a job of no trial");
    slots_[slot] = {true, false, *job, due};
    again_.erase(job);
  }
  const auto count = in.get<std::uint64_t>();
  if (count > in.remaining() / 16) return data_loss("the stored study is cut short");
  checkpoints_.clear();
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto trial = in.get<std::uint64_t>();
    checkpoints_[trial] = in.get_text();
  }
  return in.ok() ? Status::ok() : data_loss("the stored study is cut short");
}

}  // namespace freshet::tuning
