// How a study is stored, and how it is told as JSON.
#include <cmath>

#include <fmt/core.h>

#include "core/hash.h"
#include "learners/tuning/searchers.h"
#include "learners/tuning/study.h"

namespace freshet::tuning {

namespace {

constexpr std::uint32_t kMagic = 0x55545346;  // "FSTU"
constexpr std::uint32_t kFormat = 1;

void put_job(ByteWriter& out, const Job& job) {
  out.put(job.trial);
  out.put(job.from);
  out.put(job.to);
  out.put(job.evaluate_every);
}
Job get_job(ByteReader& in) {
  Job job;
  job.trial = in.get<std::uint64_t>();
  job.from = in.get<std::uint64_t>();
  job.to = in.get<std::uint64_t>();
  job.evaluate_every = in.get<std::uint64_t>();
  return job;
}

void put_trial(ByteWriter& out, const TrialRecord& trial) {
  put_configuration(out, trial.configuration);
  out.put<std::uint64_t>(trial.evaluations.size());
  for (const auto& evaluation : trial.evaluations) {
    out.put(evaluation.resource);
    out.put(evaluation.objective);
    out.put(evaluation.cost);
  }
  out.put(trial.resource);
  out.put(trial.cost);
  out.put<std::uint8_t>(
      static_cast<std::uint8_t>((trial.failed ? 1 : 0) | (trial.running ? 2 : 0) | (trial.given ? 4 : 0)));
  out.put_text(trial.note);
}

Status get_trial(ByteReader& in, const ParameterSpace& space, TrialRecord& trial) {
  TRY(get_configuration(in, space, trial.configuration));
  const auto count = in.get<std::uint64_t>();
  if (count > in.remaining() / 24) return data_loss("a stored trial is cut short");
  trial.evaluations.resize(count);
  for (auto& evaluation : trial.evaluations) {
    evaluation.resource = in.get<std::uint64_t>();
    evaluation.objective = in.get<double>();
    evaluation.cost = in.get<double>();
  }
  trial.resource = in.get<std::uint64_t>();
  trial.cost = in.get<double>();
  const auto flags = in.get<std::uint8_t>();
  trial.failed = (flags & 1U) != 0;
  trial.running = (flags & 2U) != 0;
  trial.given = (flags & 4U) != 0;
  trial.note = in.get_text();
  return in.ok() ? Status::ok() : data_loss("a stored trial is cut short");
}

}  // namespace

std::uint64_t Study::fingerprint() const {
  const auto& s = options_.searcher;
  const auto& h = options_.scheduler;
  return hash_text(
      fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", s.kind, s.seed, s.grid_points,
                  s.initial, s.candidates, s.random_share, s.good_share, s.observations_most, h.kind, h.max_resource,
                  h.grace, h.eta, h.brackets, h.epsilon_percentile, h.median_trials, options_.max_trials,
                  options_.max_compute_ratio, options_.max_total_resource, options_.max_cost, options_.evaluate_every),
      space_->fingerprint());
}

void Study::save(ByteWriter& out) const {
  out.put(kMagic);
  out.put(kFormat);
  out.put(fingerprint());
  out.put<std::uint64_t>(first_.size());
  for (const auto& configuration : first_) put_configuration(out, configuration);
  out.put<std::uint64_t>(prior_.size());
  for (const auto& observation : prior_) {
    put_configuration(out, observation.configuration);
    out.put(observation.resource);
    out.put(observation.objective);
    out.put(observation.weight);
    out.put(observation.source);
  }
  out.put<std::uint64_t>(trials_.size());
  for (const auto& trial : trials_) put_trial(out, trial);
  out.put<std::uint64_t>(outstanding_.size());
  for (const auto& job : outstanding_) put_job(out, job);
  out.put(spent_);
  out.put(cost_);
  out.put<std::uint8_t>(over_ ? 1 : 0);
  out.put_text(end_reason_);
  searcher_->save(out);
  scheduler_->save(out);
}

Status Study::load(ByteReader& in) {
  if (in.get<std::uint32_t>() != kMagic) return data_loss("these bytes are no study");
  const auto format = in.get<std::uint32_t>();
  if (format != kFormat) {
    return failed_precondition(fmt::format("a study of format {}, and this version reads {}", format, kFormat));
  }
  if (in.get<std::uint64_t>() != fingerprint()) {
    return failed_precondition("the stored study has other options or searches another space");
  }
  // Searcher and scheduler anew: what they hold is to be what was saved alone.
  searcher_ = TRY(make_searcher(options_.searcher, *space_));
  scheduler_ = TRY(make_scheduler(options_.scheduler));
  const auto firsts = in.get<std::uint64_t>();
  if (firsts > in.remaining() / 8) return data_loss("the stored study is cut short");
  first_.assign(firsts, {});
  for (auto& configuration : first_) TRY(get_configuration(in, *space_, configuration));
  const auto priors = in.get<std::uint64_t>();
  if (priors > in.remaining() / 36) return data_loss("the stored study is cut short");
  prior_.assign(priors, {});
  for (auto& observation : prior_) {
    TRY(get_configuration(in, *space_, observation.configuration));
    observation.resource = in.get<std::uint64_t>();
    observation.objective = in.get<double>();
    observation.weight = in.get<double>();
    observation.source = in.get<std::uint32_t>();
  }
  if (!prior_.empty()) searcher_->learn_from(prior_);
  const auto trials = in.get<std::uint64_t>();
  if (trials > options_.max_trials || trials > in.remaining() / 8) return data_loss("the stored study is cut short");
  trials_.assign(trials, {});
  for (auto& trial : trials_) TRY(get_trial(in, *space_, trial));
  const auto jobs = in.get<std::uint64_t>();
  if (jobs > trials) return data_loss("the stored study has more jobs than trials");
  outstanding_.assign(jobs, {});
  reserved_ = 0;
  for (auto& job : outstanding_) {
    job = get_job(in);
    if (job.trial >= trials || job.from >= job.to || !trials_[job.trial].running) {
      return data_loss("the stored study has a job of no trial");
    }
    reserved_ += job.to - job.from;
  }
  spent_ = in.get<std::uint64_t>();
  cost_ = in.get<double>();
  over_ = in.get<std::uint8_t>() != 0;
  end_reason_ = in.get_text();
  TRY(searcher_->load(in));
  TRY(scheduler_->load(in));
  return in.ok() ? Status::ok() : data_loss("the stored study is cut short");
}

void Study::write_json(JsonWriter& json) const {
  json.begin_object();
  json.field("searcher", options_.searcher.kind);
  json.field("scheduler", options_.scheduler.kind);
  json.field("seed", options_.searcher.seed);
  json.field("max_resource", options_.scheduler.max_resource);
  json.field("grace", options_.scheduler.grace);
  json.field("eta", options_.scheduler.eta);
  json.field("max_trials", options_.max_trials);
  json.field("total_resource", spent_);
  json.field("total_cost", cost_);
  json.field("over", over());
  json.field("end_reason", end_reason_);
  json.key("space");
  json.begin_array();
  for (std::size_t i = 0; i < space_->size(); ++i) {
    const auto& space = (*space_)[i];
    json.begin_object();
    json.field("option", space.option);
    const bool logarithmic = space.kind == SearchSpace::Kind::kLogFloat || space.kind == SearchSpace::Kind::kLogInteger;
    if (space.kind == SearchSpace::Kind::kChoice) {
      json.key("choices");
      json.begin_array();
      for (const auto& choice : space.choices) json.value(choice);
      json.end_array();
    } else {
      json.field("lowest", space.lowest);
      json.field("highest", space.highest);
      json.field("log", logarithmic);
      json.field("integer", space.kind == SearchSpace::Kind::kInteger || space.kind == SearchSpace::Kind::kLogInteger);
    }
    json.end_object();
  }
  json.end_array();
  json.key("trials");
  json.begin_array();
  for (std::uint64_t trial = 0; trial < trials_.size(); ++trial) {
    const auto& record = trials_[trial];
    json.begin_object();
    json.field("trial", trial);
    json.field("state", trial_state_name(state(trial)));
    json.field("given", record.given);
    json.field("resource", record.resource);
    json.field("cost", record.cost);
    if (!record.note.empty()) json.field("note", record.note);
    json.key("configuration");
    json.json(space_->json(record.configuration));
    json.key("evaluations");
    json.begin_array();
    for (const auto& evaluation : record.evaluations) {
      json.begin_object();
      json.field("resource", evaluation.resource);
      json.field("objective", evaluation.objective);
      json.field("cost", evaluation.cost);
      json.end_object();
    }
    json.end_array();
    json.end_object();
  }
  json.end_array();
  json.key("best");
  const auto winner = best(1);
  if (winner.empty()) {
    json.null();
  } else {
    json.begin_object();
    json.field("trial", winner[0].trial);
    json.field("resource", winner[0].resource);
    json.field("objective", winner[0].objective);
    json.end_object();
  }
  json.end_object();
}

}  // namespace freshet::tuning
