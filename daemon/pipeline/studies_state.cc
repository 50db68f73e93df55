// The part of Studies that a checkpoint keeps, and what displays show of it.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/hash.h"
#include "daemon/config/option_table.h"
#include "daemon/pipeline/studies.h"

namespace freshet {
namespace {

constexpr std::uint32_t kFormat = 2;  // 1: without where the change began

void put_settings(std::span<const tuning::Setting> settings, ByteWriter& out) {
  out.put<std::uint64_t>(settings.size());
  for (const tuning::Setting& setting : settings) {
    out.put_text(setting.option);
    out.put_text(setting.value);
  }
}

std::vector<tuning::Setting> get_settings(ByteReader& in) {
  std::vector<tuning::Setting> settings;
  const auto count = in.get<std::uint64_t>();
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    std::string option = in.get_text();
    settings.push_back({std::move(option), in.get_text()});
  }
  return settings;
}

Gauge& trials_gauge(MetricsRegistry& metrics, const std::string& state) {
  return metrics.gauge("freshet_tuning_trials", "Trials of the running study, or of the last, by what became of them.",
                       {{"state", state}});
}

}  // namespace

void Studies::save(std::map<std::string, std::string, std::less<>>& blobs) const {
  if (!parts_.config.tuning.on_drift && number_ == 0) return;
  ByteWriter out;
  out.put(kFormat);
  put_adopted(adopted_, out);
  out.put(phase_);
  for (const std::uint64_t value : {number_, begin_seq_, wanted_, snapshot_hash_, adopted_count_, dropped_count_}) {
    out.put(value);
  }
  put_settings(winner_, out);
  out.put<std::uint64_t>(past_.size());
  for (const tuning::PastStudy& study : past_) tuning::save(study, out);
  out.put(since_);
  blobs[std::string(kStudiesBlob)] = out.take();
  if (!challenger_) return;
  ByteWriter challenger;
  if (challenger_->save(challenger).is_ok()) blobs[std::string(kChallengerBlob)] = challenger.take();
}

Status Studies::load(const Checkpoint& checkpoint) {
  const auto found = checkpoint.blobs.find(kStudiesBlob);
  if (found == checkpoint.blobs.end()) return Status::ok();
  ByteReader in(found->second);
  const auto format = in.get<std::uint32_t>();
  if (format == 0 || format > kFormat) return data_loss("the checkpoint's studies have another format");
  adopted_ = get_adopted(in);
  phase_ = in.get<StudyPhase>();
  for (std::uint64_t* value : {&number_, &begin_seq_, &wanted_, &snapshot_hash_, &adopted_count_, &dropped_count_}) {
    *value = in.get<std::uint64_t>();
  }
  winner_ = get_settings(in);
  const auto past = in.get<std::uint64_t>();
  if (past > kPastMost) return data_loss("the checkpoint's studies cannot be read");
  for (std::uint64_t i = 0; i < past; ++i) past_.push_back(TRY(tuning::load_past_study(in)));
  if (format > 1) since_ = in.get<std::uint64_t>();
  if (!in.at_end()) return data_loss("the checkpoint's studies are cut short");
  std::erase_if(adopted_, [&](const AdoptedSetting& one) {
    if (find_option(one.option) != nullptr && option_text(parts_.config, one.option) == one.configured) return false;
    parts_.log.warning("adopted_setting_replaced",
                       fmt::format("{} was {} by a study's finding; the configuration says something new of it, and "
                                   "that is in force",
                                   one.option, one.value));
    return true;
  });
  in_force_ = TRY(config_in_force(parts_.config, adopted_));
  return Status::ok();
}

Status Studies::resume(const Checkpoint& checkpoint, const IngestState& state, const Device& device, Learner& learner) {
  device_ = device;
  const std::uint64_t event = state.counters.next_seq - 1;
  if (phase_ == StudyPhase::kStudying) {
    auto bytes = parts_.store.read_study(number_, kSnapshotPart);
    if (!bytes.is_ok() || !*bytes || hash_text(**bytes) != snapshot_hash_) {
      give_up(event, bytes.is_ok() ? "its stored events are not there" : bytes.status().message());
      return Status::ok();
    }
    ByteReader in(**bytes);
    auto snapshot = load_snapshot(in, parts_.schema.spec(), state.encoder->layout());
    if (!snapshot.is_ok()) {
      give_up(event, snapshot.status().message());
      return Status::ok();
    }
    snapshot_ = std::make_shared<const TrialSnapshot>(*std::move(snapshot));
    StoredStudy stored;
    if (!parts_.redo_only) stored = TRY(stored_trials(number_));
    parts_.log.info(
        "tuning",
        fmt::format("study {} goes on where it was; {} of its trials are stored", number_, stored.trials.size()),
        {{"event", event}});
    start_thread(std::move(stored));
    return Status::ok();
  }
  if (phase_ == StudyPhase::kChallenging || phase_ == StudyPhase::kAdopting) {
    const auto found = checkpoint.blobs.find(kChallengerBlob);
    if (found == checkpoint.blobs.end()) return data_loss("the checkpoint lacks the challenger");
    parts_.log.info("tuning", fmt::format("the challenger of study {} goes on where it was", number_),
                    {{"event", event}});
    TRY(challenge(state, {}, learner).with_context("the challenger of a study"));
    ByteReader in(found->second);
    TRY(challenger_->load(in, learner).with_context("reading the challenger"));
  }
  return Status::ok();
}

TuningReport Studies::report() const {
  TuningReport report;
  report.on_drift = parts_.config.tuning.on_drift;
  report.phase = phase_;
  report.studies = number_;
  report.adopted = adopted_count_;
  report.dropped = dropped_count_;
  report.begun_at = begin_seq_;
  report.study = thread_ ? thread_->status() : last_;
  if (challenger_) {
    report.challenger = winner_;
    report.challenger_events = challenger_->rows();
    report.challenger_difference = challenger_->mean_difference();
  }
  report.in_force = adopted_;
  report.notices = notices_;
  phase_gauge_.set(static_cast<double>(phase_));
  if (report.study) {
    for (const char* state : {"running", "paused", "completed", "stopped", "failed"}) {
      const auto found = report.study->by_state.find(state);
      trials_gauge(parts_.metrics, state)
          .set(found == report.study->by_state.end() ? 0.0 : static_cast<double>(found->second));
    }
    if (report.study->best) best_.set(*report.study->best);
  }
  return report;
}

}  // namespace freshet
