#include "learners/tuning/study.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/core.h>

namespace freshet::tuning {

namespace {

constexpr std::uint64_t kTrialsMost = 1'000'000;
constexpr double kNoObjective = std::numeric_limits<double>::quiet_NaN();

}  // namespace

std::string_view trial_state_name(TrialState state) {
  switch (state) {
    case TrialState::kRunning:
      return "running";
    case TrialState::kPaused:
      return "paused";
    case TrialState::kCompleted:
      return "completed";
    case TrialState::kStopped:
      return "stopped";
    case TrialState::kFailed:
      return "failed";
  }
  return "unknown";
}

Study::Study(const StudyOptions& options, std::unique_ptr<ParameterSpace> space, std::unique_ptr<Searcher> searcher,
             std::unique_ptr<Scheduler> scheduler)
    : options_(options), space_(std::move(space)), searcher_(std::move(searcher)), scheduler_(std::move(scheduler)) {}

Result<std::unique_ptr<Study>> Study::create(const StudyOptions& options, ParameterSpace space) {
  if (options.max_trials == 0 || options.max_trials > kTrialsMost) {
    return invalid_argument(fmt::format("a study of {} trials: from 1 to {}", options.max_trials, kTrialsMost));
  }
  if (!(options.max_compute_ratio >= 0.0) || !(options.max_cost >= 0.0)) {
    return invalid_argument("a study's bounds of compute and cost are 0, for none, or above");
  }
  StudyOptions own = options;
  own.searcher.max_resource = own.scheduler.max_resource;
  auto kept = std::make_unique<ParameterSpace>(std::move(space));
  auto searcher = TRY(make_searcher(own.searcher, *kept));
  auto scheduler = TRY(make_scheduler(own.scheduler));
  std::unique_ptr<Study> study(new Study(own, std::move(kept), std::move(searcher), std::move(scheduler)));
  if (study->resource_most() < own.scheduler.grace) {
    return invalid_argument("the study's compute is bounded to less than the shortest training of one trial");
  }
  return study;
}

Status Study::begin_with(std::vector<Configuration> first, std::vector<PriorObservation> prior) {
  if (!trials_.empty() || !first_.empty() || !prior_.empty()) {
    return failed_precondition("a study that has begun cannot be told what to begin with");
  }
  for (const auto& configuration : first) TRY(space_->check_inside(configuration));
  for (const auto& observation : prior) {
    TRY(space_->check_inside(observation.configuration));
    if (!std::isfinite(observation.objective) || !(observation.weight > 0.0 && observation.weight <= 1.0)) {
      return invalid_argument("what a study begins with has an objective and a weight above 0, up to 1");
    }
  }
  first_ = std::move(first);
  prior_ = std::move(prior);
  searcher_->learn_from(prior_);
  return Status::ok();
}

std::uint64_t Study::resource_most() const {
  std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  if (options_.max_total_resource > 0) most = options_.max_total_resource;
  if (options_.max_compute_ratio > 0.0) {
    const double units = options_.max_compute_ratio * static_cast<double>(options_.scheduler.max_resource);
    if (units < 1e18) most = std::min(most, static_cast<std::uint64_t>(units));
  }
  return most;
}

double Study::cost_of_unit(std::uint64_t trial) const {
  if (trial < trials_.size() && trials_[trial].resource > 0) {
    return trials_[trial].cost / static_cast<double>(trials_[trial].resource);
  }
  return spent_ > 0 ? cost_ / static_cast<double>(spent_) : 0.0;
}

bool Study::fits(std::uint64_t trial, std::uint64_t units) {
  const std::uint64_t taken = spent_ + reserved_;
  const std::uint64_t most = resource_most();
  if (taken > most || units > most - taken) {
    end("the bound of compute is reached");
    return false;
  }
  if (options_.max_cost == 0.0) return true;
  double expected = cost_ + static_cast<double>(units) * cost_of_unit(trial);
  for (const auto& job : outstanding_) expected += static_cast<double>(job.to - job.from) * cost_of_unit(job.trial);
  if (expected <= options_.max_cost) return true;
  end("the bound of cost is reached");
  return false;
}

bool Study::start(std::uint64_t trial, std::uint64_t to) {
  if (over_ || trial != trials_.size() || trials_.size() >= options_.max_trials || !fits(trial, to)) return false;
  TrialRecord record;
  if (trial < first_.size()) {
    record.configuration = first_[trial];
    record.given = true;
  } else {
    auto suggested = searcher_->suggest(trial);
    if (!suggested) return false;
    record.configuration = std::move(*suggested);
  }
  trials_.push_back(std::move(record));
  return true;
}

std::optional<Job> Study::next() {
  if (over_) return std::nullopt;
  const std::size_t before = trials_.size();
  auto job = scheduler_->next_job([this](std::uint64_t trial, std::uint64_t to) { return start(trial, to); });
  if (!job) {
    if (outstanding_.empty() && !over_) {
      end(trials_.size() >= options_.max_trials ? "all trials are done" : "nothing is left to try");
    }
    return std::nullopt;
  }
  // A new trial's units were looked at by start().
  if (trials_.size() == before && !fits(job->trial, job->to - job->from)) return std::nullopt;
  if (job->evaluate_every == 0) job->evaluate_every = options_.evaluate_every;
  trials_[job->trial].running = true;
  reserved_ += job->to - job->from;
  outstanding_.push_back(*job);
  return job;
}

void Study::record(TrialRecord& trial, const Completion& completion, const Job& job) {
  const bool failed = completion.failed || !std::isfinite(completion.objective);
  for (const auto& evaluation : completion.on_the_way) {
    if (!std::isfinite(evaluation.objective)) break;
    trial.evaluations.push_back({evaluation.resource, evaluation.objective, trial.cost + evaluation.cost});
    if (scheduler_->wants_curves()) scheduler_->report(completion.trial, evaluation.resource, evaluation.objective);
  }
  trial.running = false;
  trial.failed = failed;
  trial.note = completion.note;
  trial.resource = job.to;
  if (std::isfinite(completion.cost) && completion.cost > 0.0) {
    trial.cost += completion.cost;
    cost_ += completion.cost;
  }
  if (failed && trial.note.empty()) trial.note = "its objective is not finite";
  if (!failed) trial.evaluations.push_back({job.to, completion.objective, trial.cost});
  const double objective = failed ? kNoObjective : completion.objective;
  scheduler_->report(completion.trial, job.to, objective);
  searcher_->observe(completion.trial, trial.configuration, job.to, objective);
}

Status Study::finish(const Completion& completion) {
  const auto job = std::find_if(outstanding_.begin(), outstanding_.end(),
                                [&](const Job& other) { return other.trial == completion.trial; });
  if (job == outstanding_.end()) {
    return failed_precondition(fmt::format("trial {} is not being trained", completion.trial));
  }
  if (!completion.failed && completion.resource != job->to) {
    return invalid_argument(fmt::format("trial {} was trained to {} units and should be to {}", completion.trial,
                                        completion.resource, job->to));
  }
  std::uint64_t last = job->from;
  for (const auto& evaluation : completion.on_the_way) {
    if (evaluation.resource <= last || evaluation.resource >= job->to) {
      return invalid_argument(fmt::format("trial {} has an evaluation at {} units out of its order", completion.trial,
                                          evaluation.resource));
    }
    last = evaluation.resource;
  }
  const Job done = *job;
  outstanding_.erase(job);
  reserved_ -= done.to - done.from;
  spent_ += done.to - done.from;
  record(trials_[done.trial], completion, done);
  return Status::ok();
}

void Study::end(std::string reason) {
  if (over_) return;
  over_ = true;
  end_reason_ = std::move(reason);
}

TrialState Study::state(std::uint64_t trial) const {
  const auto& record = trials_[trial];
  if (record.running) return TrialState::kRunning;
  if (record.failed) return TrialState::kFailed;
  if (record.resource >= options_.scheduler.max_resource) return TrialState::kCompleted;
  return !over_ && scheduler_->may_resume(trial) ? TrialState::kPaused : TrialState::kStopped;
}

bool Study::needs_checkpoint(std::uint64_t trial) const {
  const TrialState now = state(trial);
  return now == TrialState::kRunning || now == TrialState::kPaused;
}

std::vector<BestTrial> Study::best_of_longest() const {
  std::vector<BestTrial> found;
  for (std::uint64_t trial = 0; trial < trials_.size(); ++trial) {
    for (const auto& evaluation : trials_[trial].evaluations) {
      const BestTrial one{trial, evaluation.resource, evaluation.objective};
      const bool better = found.empty() || one.resource > found[0].resource ||
                          (one.resource == found[0].resource && one.objective > found[0].objective);
      if (better) found.assign(1, one);
    }
  }
  return found;
}

std::vector<BestTrial> Study::best(std::size_t count) const {
  std::vector<BestTrial> found;
  for (std::uint64_t trial = 0; trial < trials_.size(); ++trial) {
    std::optional<BestTrial> own;
    for (const auto& evaluation : trials_[trial].evaluations) {
      if (own && evaluation.objective < own->objective) continue;
      own = BestTrial{trial, evaluation.resource, evaluation.objective};
    }
    if (own) found.push_back(*own);
  }
  std::stable_sort(found.begin(), found.end(), [](const BestTrial& a, const BestTrial& b) {
    return a.objective != b.objective ? a.objective > b.objective : a.resource > b.resource;
  });
  if (found.size() > count) found.resize(count);
  return found;
}

}  // namespace freshet::tuning
