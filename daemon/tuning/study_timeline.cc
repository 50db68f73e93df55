#include "daemon/tuning/study_timeline.h"

#include <algorithm>
#include <limits>

namespace freshet {
namespace {

constexpr std::uint32_t kMagic = 0x4c545346;  // "FSTL"
constexpr std::uint32_t kFormat = 1;
constexpr std::uint64_t kTrialsMost = 1'000'000;  // as a study
constexpr std::size_t kStoredBytes = 6 * 8;

double objective_at(const tuning::TrialRecord& trial) {
  const bool scored =
      !trial.failed && !trial.evaluations.empty() && trial.evaluations.back().resource == trial.resource;
  return scored ? trial.evaluations.back().objective : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace

void StudyTimeline::note(const tuning::Study& study, double at, double worker_seconds) {
  const auto& trials = study.trials();
  trained_.resize(std::max(trained_.size(), trials.size()), 0);
  const double before = worker_seconds_;
  seconds_ = std::max(seconds_, seconds_before_ + at);
  worker_seconds_ = std::max(worker_seconds_, worker_before_ + worker_seconds);
  const std::size_t first = stretches_.size();
  for (std::uint64_t i = 0; i < trials.size(); ++i) {
    if (trials[i].resource <= trained_[i]) continue;
    stretches_.push_back({i, trained_[i], trials[i].resource, objective_at(trials[i]), seconds_, 0});
    trained_[i] = trials[i].resource;
  }
  // Asked after each outcome there is one; asked later, they share what was taken.
  for (std::size_t i = first; i < stretches_.size(); ++i) {
    stretches_[i].seconds = (worker_seconds_ - before) / static_cast<double>(stretches_.size() - first);
  }
}

void StudyTimeline::begin_after(const tuning::Study& study) {
  trained_.clear();
  for (const tuning::TrialRecord& trial : study.trials()) trained_.push_back(trial.resource);
}

void StudyTimeline::pause(double at) {
  seconds_ = std::max(seconds_, seconds_before_ + at);
  seconds_before_ = seconds_;
  worker_before_ = worker_seconds_;
}

void StudyTimeline::write_json(JsonWriter& json) const {
  json.begin_array();
  for (const TimedStretch& one : stretches_) {
    json.begin_object();
    json.field("trial", one.trial);
    json.field("from", one.from);
    json.field("to", one.to);
    json.field("objective", one.objective);
    json.field("at", one.at);
    json.field("seconds", one.seconds);
    json.end_object();
  }
  json.end_array();
}

void StudyTimeline::save(ByteWriter& out) const {
  out.put(kMagic);
  out.put(kFormat);
  out.put(seconds_);
  out.put(worker_seconds_);
  out.put<std::uint64_t>(stretches_.size());
  for (const TimedStretch& one : stretches_) {
    out.put(one.trial);
    out.put(one.from);
    out.put(one.to);
    out.put(one.objective);
    out.put(one.at);
    out.put(one.seconds);
  }
}

Status StudyTimeline::load(ByteReader& in) {
  if (in.get<std::uint32_t>() != kMagic || in.get<std::uint32_t>() != kFormat) {
    return data_loss("these bytes are no timeline of this version");
  }
  StudyTimeline loaded;
  loaded.seconds_ = loaded.seconds_before_ = in.get<double>();
  loaded.worker_seconds_ = loaded.worker_before_ = in.get<double>();
  const auto count = in.get<std::uint64_t>();
  if (count > in.remaining() / kStoredBytes) return data_loss("the stored timeline is cut short");
  for (std::uint64_t i = 0; i < count; ++i) {
    TimedStretch one;
    one.trial = in.get<std::uint64_t>();
    one.from = in.get<std::uint64_t>();
    one.to = in.get<std::uint64_t>();
    one.objective = in.get<double>();
    one.at = in.get<double>();
    one.seconds = in.get<double>();
    if (one.trial >= kTrialsMost) return data_loss("the stored timeline has a stretch of no trial");
    if (one.trial >= loaded.trained_.size()) loaded.trained_.resize(one.trial + 1, 0);
    loaded.trained_[one.trial] = std::max(loaded.trained_[one.trial], one.to);
    loaded.stretches_.push_back(one);
  }
  if (!in.ok()) return data_loss("the stored timeline is cut short");
  *this = std::move(loaded);
  return Status::ok();
}

}  // namespace freshet
