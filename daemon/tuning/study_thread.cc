#include "daemon/tuning/study_thread.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <utility>

#include "core/bytes.h"
#include "core/rng.h"
#include "daemon/config/option_table.h"
#include "daemon/tuning/adopted_settings.h"
#include "daemon/tuning/study_setup.h"
#include "learners/tuning/worker_pool.h"

namespace freshet {
namespace {

constexpr std::chrono::milliseconds kStopPoll{50};
// Fewer events since a change do not tell trials apart.
constexpr double kGraceEvents = 200;
// Events of the stream after which an earlier study counts for half.
constexpr double kHalfLifeEvents = 2e6;

std::vector<std::string> searched_options(const tuning::ParameterSpace& space) {
  std::vector<std::string> options;
  for (std::size_t i = 0; i < space.size(); ++i) {
    if (std::ranges::find(options, space[i].option) == options.end()) options.push_back(space[i].option);
  }
  return options;
}

}  // namespace

void StudyChanges::add(StudyChanges newer) {
  if (newer.empty()) return;
  state = std::move(newer.state);
  for (auto& [trial, bytes] : newer.trials) {
    trials[trial] = std::move(bytes);
    gone.erase(trial);
  }
  for (const std::uint64_t trial : newer.gone) {
    trials.erase(trial);
    gone.insert(trial);
  }
}

StudyThread::StudyThread(StudyPlan plan, StoredStudy stored) : plan_(std::move(plan)), stored_(std::move(stored)) {
  status_.events = plan_.snapshot->training.size();
  status_.judging = plan_.snapshot->judging.size();
  thread_ = std::thread([this] { drive(); });
}

StudyThread::~StudyThread() {
  stop_ = true;
  {
    const std::lock_guard lock(mutex_);
    if (stoppable_ != nullptr) stoppable_->request_stop();
  }
  thread_.join();
}

void StudyThread::drive() {
  // Not idle: ingest waits for its mutex.
  tuning::take_priority(tuning::WorkerPriority::kNice);
  Status status;
  try {
    status = make(stored_);
    if (status.is_ok()) {
      stored_ = {};
      status = run();
    }
  } catch (const std::exception& error) {
    status = internal_error(std::string("the study threw: ") + error.what());
  }
  const std::lock_guard lock(mutex_);
  stoppable_ = nullptr;
  if (over_ || stop_) return;
  outcome_.failure = status.to_string();
  end_time_ = 0;
  over_ = true;
  changed_.notify_all();
}

// What is in force is the first trial; then the best of earlier studies on similar data, in a space cut to where those
// were good.
Status StudyThread::make(const StoredStudy& stored) {
  const Config& config = plan_.config;
  const auto objective = TRY(trial_objective(config));
  auto options = TRY(study_options(config));
  options.searcher.seed = config.tuning.seed + plan_.number;
  if (plan_.snapshot->knows_change()) {
    const auto all = static_cast<double>(plan_.snapshot->training.size());
    const auto events = all - static_cast<double>(plan_.snapshot->since_change);
    const auto most = static_cast<double>(options.scheduler.max_resource);
    const auto grace = static_cast<std::uint64_t>(std::ceil(std::min(1.0, kGraceEvents / events) * most));
    options.scheduler.grace = std::max(options.scheduler.grace, grace);
    // Of whole trainings, of which what all trials begin with is a part; a trial here goes through the rest alone.
    if (options.max_compute_ratio > 0) {
      options.max_compute_ratio = std::max(1.0, (options.max_compute_ratio * all - (all - events)) / events);
    }
  }
  const bool follows = plan_.snapshot->knows_change();
  const auto whole_space = TRY(study_space(config, follows));
  tuning::WarmStartOptions warm_options;
  warm_options.half_life = kHalfLifeEvents;
  warm_options.max_resource = config.tuning.max_resource;
  const auto features = meta_features(*plan_.snapshot);
  auto warm = TRY(tuning::plan_warm_start(plan_.past, features, static_cast<double>(plan_.begin_seq), whole_space,
                                          warm_options, options.searcher.seed));
  trainers_ = std::make_unique<TrialLearners>(config, *plan_.snapshot, objective, config.tuning.max_resource,
                                              searched_options(whole_space));
  TRY(trainers_->prepare(stop_));
  std::vector<tuning::Setting> present;
  for (std::size_t i = 0; i < whole_space.size(); ++i) {
    const std::string& option = whole_space[i].option;
    present.push_back({option, option_text(config, option)});
  }
  Rng rng(options.searcher.seed);
  std::vector<tuning::Configuration> first = {warm.space.nearest(present, rng)};
  for (auto& one : warm.first) {
    if (std::ranges::find(first, one) == first.end()) first.push_back(std::move(one));
  }
  auto runner_options = freshet::runner_options(config);
  runner_options.priority = plan_.priority;
  runner_options.cpu_share = config.tuning.cpu_share;
  for (const bool resume : {true, false}) {
    study_ = TRY(tuning::Study::create(options, warm.space));
    TRY(study_->begin_with(first, warm.prior));
    runner_ = TRY(tuning::StudyRunner::create(*study_, *trainers_, runner_options));
    if (!resume || stored.state.empty() || load(stored).is_ok()) break;
  }
  const std::lock_guard lock(mutex_);
  stoppable_ = runner_.get();
  if (stop_) stoppable_->request_stop();
  return Status::ok();
}

Status StudyThread::load(const StoredStudy& stored) {
  ByteReader in(stored.state);
  TRY(runner_->load(in));
  for (const auto& [trial, bytes] : stored.trials) {
    if (trial >= study_->trials().size()) return data_loss("a stored trial is of another study");
    runner_->give_checkpoint(trial, bytes);
    told_[trial] = study_->trials()[trial].resource;
  }
  for (std::uint64_t trial = 0; trial < study_->trials().size(); ++trial) {
    const bool needed = study_->needs_checkpoint(trial) && study_->trials()[trial].resource > 0;
    if (needed && !stored.trials.contains(trial)) return data_loss("a stored study lacks a trial");
  }
  const auto best = study_->best(1);
  if (!best.empty() && !stored.trials.contains(best[0].trial)) return data_loss("a stored study lacks its best trial");
  return Status::ok();
}

Status StudyThread::run() {
  using Step = tuning::StudyRunner::Step;
  note_progress();
  for (;;) {
    Step step = TRY(runner_->advance(false));
    if (step == Step::kWaiting) {
      {
        const std::lock_guard lock(mutex_);
        known_until_ = std::max(known_until_, runner_->next_due_time().value_or(known_until_));
      }
      changed_.notify_all();
      step = TRY(runner_->advance(true));
    }
    if (step == Step::kStopped) return cancelled("stopped");
    if (step == Step::kOver) return finish();
    note_progress();
  }
}

// The best trial goes through the rest of the snapshot, as long as that takes in virtual time.
Status StudyThread::finish() {
  StudyOutcome outcome;
  const bool follows = plan_.snapshot->knows_change();
  double time = runner_->virtual_now();
  outcome.past = tuning::past_study(*study_, meta_features(*plan_.snapshot), static_cast<double>(plan_.begin_seq),
                                    std::to_string(plan_.number));
  const auto& trials = study_->trials();
  if (!trials.empty()) {
    for (const auto& evaluation : trials[0].evaluations) {
      const double better = std::max(outcome.present.value_or(evaluation.objective), evaluation.objective);
      outcome.present = follows ? evaluation.objective : better;
    }
  }
  const auto best = follows ? study_->best_of_longest() : study_->best(1);
  if (best.empty()) outcome.failure = study_->trials().empty() ? "no trial was begun" : "no trial came to an end";
  if (!best.empty() && best[0].trial != 0) {
    const auto& record = trials[best[0].trial];
    StudyWinner winner;
    winner.trial = best[0].trial;
    winner.objective = best[0].objective;
    auto settings = study_->space().settings(record.configuration);
    for (const auto& setting : study_->space().fixed()) settings.push_back(setting);
    // One that follows a change is short: it is trained again rather than kept.
    const auto checkpoint = follows ? std::optional<std::string>("") : runner_->checkpoint(winner.trial);
    if (!checkpoint) return internal_error("the best trial has no checkpoint");
    time += static_cast<double>(study_->options().scheduler.max_resource - (follows ? 0 : record.resource));
    {
      const std::lock_guard lock(mutex_);
      known_until_ = std::max(known_until_, time);
    }
    changed_.notify_all();
    winner.learner = TRY(trainers_->learner_after_all(settings, *checkpoint, stop_));
    winner.settings = whole_settings(study_->space().settings(record.configuration), trainers_->searched());
    outcome.winner = std::move(winner);
  }
  note_progress();
  end(std::move(outcome), time);
  return Status::ok();
}

void StudyThread::end(StudyOutcome outcome, double time) {
  {
    const std::lock_guard lock(mutex_);
    outcome_ = std::move(outcome);
    end_time_ = time;
    over_ = true;
  }
  changed_.notify_all();
}

void StudyThread::note_progress() {
  ByteWriter state;
  runner_->save_without_checkpoints(state);
  StudyStatus status;
  status.events = plan_.snapshot->training.size();
  status.judging = plan_.snapshot->judging.size();
  status.trials = study_->trials().size();
  status.resource = study_->total_resource();
  for (std::uint64_t trial = 0; trial < status.trials; ++trial) {
    ++status.by_state[std::string(tuning::trial_state_name(study_->state(trial)))];
  }
  if (const auto best = study_->best(1); !best.empty()) status.best = best[0].objective;
  StudyChanges now;
  now.state = state.take();
  for (const auto& [trial, bytes] : runner_->checkpoints()) {
    const std::uint64_t resource = study_->trials()[trial].resource;
    const auto told = told_.find(trial);
    if (told != told_.end() && told->second == resource) continue;
    told_[trial] = resource;
    now.trials[trial] = bytes;
  }
  std::erase_if(told_, [&](const auto& told) {
    if (runner_->checkpoints().contains(told.first)) return false;
    now.gone.insert(told.first);
    return true;
  });
  const std::lock_guard lock(mutex_);
  status_ = std::move(status);
  changes_.add(std::move(now));
}

bool StudyThread::wait_until(const std::atomic<bool>* stop, double virtual_time) {
  std::unique_lock lock(mutex_);
  while (!over_ && known_until_ <= virtual_time) {
    if (stop != nullptr && *stop) return false;
    changed_.wait_for(lock, kStopPoll);
  }
  return true;
}

bool StudyThread::over_by(double virtual_time, const std::atomic<bool>* stop) {
  if (!wait_until(stop, virtual_time)) return false;
  const std::lock_guard lock(mutex_);
  return over_ && end_time_ <= virtual_time;
}

bool StudyThread::wait(const std::atomic<bool>* stop) {
  return wait_until(stop, std::numeric_limits<double>::infinity());
}

bool StudyThread::over() const {
  const std::lock_guard lock(mutex_);
  return over_;
}

StudyOutcome StudyThread::take_outcome() {
  const std::lock_guard lock(mutex_);
  return std::exchange(outcome_, {});
}

StudyStatus StudyThread::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

StudyChanges StudyThread::take_changes() {
  const std::lock_guard lock(mutex_);
  return std::exchange(changes_, {});
}

}  // namespace freshet
