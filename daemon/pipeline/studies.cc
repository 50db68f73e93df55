#include "daemon/pipeline/studies.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>

#include "core/hash.h"
#include "daemon/config/learning_config.h"
#include "daemon/config/option_table.h"

namespace freshet {
namespace {

constexpr int kReadTriesMost = 20;
constexpr std::uint64_t kWaitsMost = 10;
constexpr std::chrono::milliseconds kReadRetry{250};
constexpr std::size_t kNoticesMost = 100;
constexpr std::string_view kStatePart = "state";
constexpr std::string_view kEndedPart = "ended";  // u64 index of the order entry after its end
constexpr std::string_view kTrialPart = "trial/";

bool may_pass(const Status& status) {
  return status.code() == Code::kResourceExhausted || status.code() == Code::kUnavailable;
}

std::string words(std::span<const tuning::Setting> settings) {
  std::string text;
  const Config standard;
  for (const tuning::Setting& setting : settings) {
    if (setting.value == option_text(standard, setting.option)) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", setting.option, setting.value);
  }
  return text.empty() ? "the defaults" : text;
}

Counter& challengers(MetricsRegistry& metrics, const char* end) {
  return metrics.counter("freshet_tuning_challengers_total",
                         "Challengers that took over as the learner, or were dropped.", {{"end", end}});
}

}  // namespace

std::string_view study_phase_name(StudyPhase phase) {
  switch (phase) {
    case StudyPhase::kIdle:
      return "idle";
    case StudyPhase::kStudying:
      return "studying";
    case StudyPhase::kChallenging:
      return "challenging";
    case StudyPhase::kAdopting:
      return "adopting";
  }
  return "unknown";
}

Studies::Studies(const Parts& parts)
    : parts_(parts),
      in_force_(parts.config),
      best_(parts.metrics.gauge("freshet_tuning_best_objective",
                                "Best objective of the running study, or of the last; higher is better.")),
      phase_gauge_(parts.metrics.gauge("freshet_tuning_phase",
                                       "0 idle, 1 a study runs, 2 a challenger learns beside, 3 it takes over.")),
      begun_(parts.metrics.counter("freshet_tuning_studies_total", "Studies begun after a confirmed change.")),
      taken_over_(challengers(parts.metrics, "adopted")),
      left_(challengers(parts.metrics, "dropped")) {}

Studies::~Studies() = default;

void Studies::tell(std::uint64_t event, std::string what, std::string why) {
  parts_.log.info("tuning", fmt::format("study {} {}{}{}", number_, what, why.empty() ? "" : ": ", why),
                  {{"event", event}});
  if (notices_.size() == kNoticesMost) notices_.erase(notices_.begin());
  notices_.push_back({event, number_, std::move(what), std::move(why)});
}

void Studies::note(const std::vector<DriftNotice>& found) {
  const TuningConfig& tuning = parts_.config.tuning;
  if (!tuning.on_drift || phase_ != StudyPhase::kIdle || wanted_ != 0) return;
  for (const DriftNotice& notice : found) {
    if (notice.finding.kind != FindingKind::kConfirmed) continue;
    const std::uint64_t position = notice.finding.position;
    if (number_ > 0 && position < begin_seq_ + tuning.cooldown_events) continue;
    wanted_ = position;
    since_ = notice.finding.since;
    return;
  }
}

// A memory that keeps few of the newest events is given time to have enough of them, but not for ever.
bool Studies::begins(const IngestState& state) const {
  const TuningConfig& tuning = parts_.config.tuning;
  if (!tuning.on_drift || phase_ != StudyPhase::kIdle || wanted_ == 0) return false;
  const std::uint64_t event = state.counters.next_seq - 1;
  if (event < wanted_ + tuning.wait_events || state.memory->size() < kSnapshotEventsMin) return false;
  return event >= wanted_ + kWaitsMost * tuning.wait_events ||
         events_since(*state.memory, since_) >= kEventsSinceChangeMin;
}

Status Studies::score(const EncodedBatch& gathered) {
  return challenger_ ? challenger_->score(gathered) : Status::ok();
}

Status Studies::at_cut(const Moment& moment, const Record& record) {
  const std::uint64_t event = moment.state.counters.next_seq - 1;
  if (challenger_) {
    const auto verdict = challenger_->verdict(parts_.config.tuning.challenger_events);
    const bool takes_over = verdict == ChallengeVerdict::kTakesOver && phase_ == StudyPhase::kChallenging;
    if (takes_over || verdict == ChallengeVerdict::kDropped) {
      const std::string why = verdict_words();
      TRY(record(OrderKind::kChallengerEnds, number_, takes_over ? 1 : 0));
      end_challenge(event, takes_over, why);
    }
  }
  if (thread_) {
    TRY(store_snapshot());
    TRY(store_progress());
    if (study_over(moment)) {
      StudyOutcome outcome = thread_->take_outcome();
      TRY(record(OrderKind::kStudyEnds, number_, outcome.winner ? outcome.winner->trial + 1 : 0));
      TRY(end_study(moment, std::move(outcome)));
    }
  }
  if (begins(moment.state)) {
    TRY(record(OrderKind::kStudyBegins, number_ + 1, 0));
    TRY(begin(moment));
  }
  return Status::ok();
}

// A redo follows the record: what it comes by again is the same by now, or will be when it is waited for.
Status Studies::redo(const OrderEntry& entry, const Moment& moment) {
  switch (entry.kind) {
    case OrderKind::kStudyBegins:
      return begin(moment);
    case OrderKind::kStudyEnds: {
      if (!thread_) return Status::ok();  // given up
      if (!thread_->wait(moment.stop)) return Status::ok();
      StudyOutcome outcome = thread_->take_outcome();
      const std::uint64_t found = outcome.winner ? outcome.winner->trial + 1 : 0;
      if (found != entry.model_version) {
        parts_.log.warning("study_differs",
                           fmt::format("study {} was recorded with another end than it comes to now (other options, or "
                                       "another machine): the run goes on with what it found now",
                                       number_));
      }
      return end_study(moment, std::move(outcome));
    }
    case OrderKind::kChallengerEnds:
      if (challenger_) end_challenge(entry.seq, entry.model_version != 0, verdict_words());
      return Status::ok();
    default:
      return Status::ok();
  }
}

bool Studies::study_over(const Moment& moment) {
  const Config& config = parts_.config;
  if (config.learning.round.go_live != setting::GoLive::kNextCut) return thread_->over();
  const std::size_t passed_over = snapshot_->knows_change() ? snapshot_->since_change : 0;
  const double rows = std::max<double>(1.0, static_cast<double>(snapshot_->training.size() - passed_over));
  const double stretches = static_cast<double>(config.tuning.max_resource) / rows;
  const auto events = static_cast<double>(moment.state.counters.next_seq - 1 - begin_seq_);
  const double time = events * config.tuning.pace * stretches / static_cast<double>(config.tuning.workers);
  return thread_->over_by(time, moment.stop);
}

// A disk that fails for a moment is waited for.
Result<TrialSnapshot> Studies::copy_events(const Moment& moment) const {
  const TuningConfig& tuning = in_force_.tuning;
  for (int attempt = 1;; ++attempt) {
    auto snapshot = take_snapshot(moment.state, parts_.store, parts_.schema.spec(),
                                  {tuning.events_max, tuning.seed + number_, since_});
    const bool again = snapshot.code() == Code::kUnavailable && attempt < kReadTriesMost;
    if (!again || (moment.stop != nullptr && *moment.stop)) return snapshot;
    std::this_thread::sleep_for(kReadRetry);
  }
}

Status Studies::begin(const Moment& moment) {
  const std::uint64_t event = moment.state.counters.next_seq - 1;
  ++number_;
  begin_seq_ = event;
  wanted_ = 0;
  phase_ = StudyPhase::kStudying;
  begun_.increment();
  auto snapshot = copy_events(moment);
  if (!snapshot.is_ok()) {
    if (snapshot.code() != Code::kFailedPrecondition) return snapshot.status();
    give_up(event, snapshot.status().message());
    return Status::ok();
  }
  snapshot_ = std::make_shared<const TrialSnapshot>(*std::move(snapshot));
  const std::size_t events = snapshot_->training.size();
  tell(event, "begins",
       snapshot_->knows_change()
           ? fmt::format("{} events to learn from, judged by how trials follow the {} since event {}", events,
                         events - snapshot_->since_change, since_)
           : fmt::format("{} events to learn from, {} to judge by", events, snapshot_->judging.size()));
  ByteWriter bytes;
  freshet::save(*snapshot_, bytes);
  snapshot_hash_ = hash_text(bytes.buffer());
  StoredStudy stored;
  if (!parts_.redo_only) {
    // Come by again, it may be there; another one of this number is of a time that was rolled back.
    auto before = parts_.store.read_study(number_, kSnapshotPart);
    if (before.is_ok() && *before && hash_text(**before) == snapshot_hash_) {
      stored = TRY(stored_trials(number_));
    } else {
      unstored_ = bytes.take();
      TRY(store_snapshot());
    }
    TRY(drop_unneeded());
  }
  start_thread(std::move(stored));
  return Status::ok();
}

void Studies::start_thread(StoredStudy stored) {
  StudyPlan plan;
  plan.config = in_force_;
  plan.number = number_;
  plan.begin_seq = begin_seq_;
  plan.snapshot = snapshot_;
  plan.past = past_;
  // Somebody waits for it where positions are virtual.
  const bool waited_for = parts_.redo_only || parts_.config.learning.round.go_live == setting::GoLive::kNextCut;
  plan.priority = waited_for ? tuning::WorkerPriority::kNice : tuning::WorkerPriority::kIdle;
  thread_ = std::make_unique<StudyThread>(std::move(plan), std::move(stored));
}

Result<StoredStudy> Studies::stored_trials(std::uint64_t number) const {
  StoredStudy stored;
  auto state = parts_.store.read_study(number, kStatePart);
  if (!state.is_ok() || !*state) return stored;  // they are trained again
  for (const std::string& name : TRY(parts_.store.study_parts(number))) {
    if (!name.starts_with(kTrialPart)) continue;
    auto bytes = parts_.store.read_study(number, name);
    if (!bytes.is_ok() || !*bytes) return StoredStudy{};
    std::uint64_t trial = 0;
    const char* const end = name.data() + name.size();
    if (std::from_chars(name.data() + kTrialPart.size(), end, trial).ptr != end) return StoredStudy{};
    stored.trials[trial] = std::move(**bytes);
  }
  stored.state = std::move(**state);
  return stored;
}

// Once for a study. While the disk is full it is tried at each cut.
Status Studies::store_snapshot() {
  if (unstored_.empty() || parts_.redo_only) return Status::ok();
  Status status = parts_.store.drop_studies(number_, UINT64_MAX - 1, /*sync=*/false);
  const StudyPart part{kSnapshotPart, unstored_};
  if (status.is_ok()) status = parts_.store.put_study(number_, {&part, 1}, {}, /*sync=*/true);
  if (may_pass(status)) {
    parts_.log.error("study_not_stored", fmt::format("{}; tried again at the next cut", status.message()));
    return Status::ok();
  }
  TRY(std::move(status));
  unstored_ = {};
  return Status::ok();
}

// What this write loses by a power cut is trained again; what a full disk refuses is kept for the next cut.
Status Studies::store_progress() {
  if (parts_.redo_only || !unstored_.empty()) return Status::ok();
  unstored_changes_.add(thread_->take_changes());
  const StudyChanges& changes = unstored_changes_;
  if (changes.empty()) return Status::ok();
  std::vector<std::string> names;
  names.reserve(changes.trials.size());
  std::vector<StudyPart> parts = {{kStatePart, changes.state}};
  for (const auto& [trial, bytes] : changes.trials) {
    names.push_back(std::string(kTrialPart) + std::to_string(trial));
    parts.push_back({names.back(), bytes});
  }
  std::vector<std::string> gone;
  for (const std::uint64_t trial : changes.gone) gone.push_back(std::string(kTrialPart) + std::to_string(trial));
  const Status status = parts_.store.put_study(number_, parts, gone, /*sync=*/false);
  if (status.is_ok()) unstored_changes_ = {};
  return may_pass(status) ? Status::ok() : status;
}

// Studies that no kept checkpoint stands in the middle of.
Status Studies::drop_unneeded() {
  if (parts_.redo_only) return Status::ok();
  const auto kept = parts_.store.checkpoints();
  const std::uint64_t oldest = kept.empty() ? 0 : kept.front().order_index;
  for (const std::uint64_t number : TRY(parts_.store.studies())) {
    if (number >= number_) break;
    auto ended = parts_.store.read_study(number, kEndedPart);
    std::uint64_t index = 0;
    if (ended.is_ok() && *ended) {
      ByteReader in(**ended);
      index = in.get<std::uint64_t>();
      if (index > oldest) continue;
    }
    Status status = parts_.store.drop_studies(number, number, /*sync=*/false);
    if (!status.is_ok() && !may_pass(status)) return status;
  }
  return Status::ok();
}

Status Studies::end_study(const Moment& moment, StudyOutcome outcome) {
  const std::uint64_t event = moment.state.counters.next_seq - 1;
  last_ = thread_->status();
  if (!parts_.redo_only) {
    ByteWriter ended;
    ended.put(moment.state.counters.order_next);
    const StudyPart part{kEndedPart, ended.buffer()};
    Status status = parts_.store.put_study(number_, {&part, 1}, {}, /*sync=*/false);
    if (!status.is_ok() && !may_pass(status)) return status;
  }
  leave_study();
  if (outcome.past) {
    past_.push_back(std::move(*outcome.past));
    if (past_.size() > kPastMost) past_.erase(past_.begin());
  }
  if (!outcome.failure.empty()) {
    tell(event, "is given up", outcome.failure);
    return Status::ok();
  }
  if (!outcome.winner) {
    tell(event, "finds nothing better", "the settings in force are the best that it tried");
    return Status::ok();
  }
  winner_ = outcome.winner->settings;
  const Status fits = challenge(moment.state, outcome.winner->learner, moment.learner);
  if (!fits.is_ok()) {
    ++dropped_count_;
    left_.increment();
    tell(event, "finds what does not fit", fits.message());
    winner_.clear();
    return Status::ok();
  }
  phase_ = StudyPhase::kChallenging;
  tell(event, "challenges",
       fmt::format("trial {}, objective {:.5f} against {:.5f} of what is in force, learns beside with {}",
                   outcome.winner->trial, outcome.winner->objective,
                   outcome.present.value_or(std::numeric_limits<double>::quiet_NaN()), words(winner_)));
  return Status::ok();
}

Status Studies::challenge(const IngestState& state, std::string_view learner_state, const Learner& incumbent) {
  challenger_config_ = TRY(config_in_force(parts_.config, adopted_with(parts_.config, adopted_, winner_)));
  challenger_ = TRY(Challenger::create(challenger_config_, parts_.schema.spec(), state.encoder->layout(), device_,
                                       learner_state, incumbent));
  // Other settings unsettle it first; and one with weights of its own has missed what came since the copy.
  const std::uint64_t next_seq = state.counters.next_seq;
  const std::uint64_t missed = challenger_->has_incumbents_weights() ? 0 : next_seq - 1 - begin_seq_;
  challenger_->judge_from(next_seq + in_force_.tuning.wait_events + missed);
  return Status::ok();
}

std::string Studies::verdict_words() const {
  if (!challenger_) return {};
  return fmt::format("its loss was {:+.5f} against the learner's over {} events", challenger_->mean_difference(),
                     challenger_->rows());
}

void Studies::end_challenge(std::uint64_t event, bool takes_over, std::string_view why) {
  if (takes_over) {
    phase_ = StudyPhase::kAdopting;
    tell(event, "takes over with the next round's model", fmt::format("{}; {}", why, words(winner_)));
    return;
  }
  ++dropped_count_;
  left_.increment();
  challenger_.reset();
  winner_.clear();
  phase_ = StudyPhase::kIdle;
  tell(event, "is dropped", std::string(why));
}

bool Studies::collected(RoundResult& round, std::unique_ptr<Learner>& learner, std::uint64_t event) {
  if (!challenger_) return false;
  if (!round.challenger_status.is_ok()) {
    challenger_->failed();
    parts_.log.warning("challenger_failed", round.challenger_status.message(), {{"event", event}});
  }
  if (round.challenger == nullptr) return false;
  if (phase_ != StudyPhase::kAdopting) {
    challenger_->candidates(round.candidate, std::move(round.challenger));
    return false;
  }
  adopted_ = adopted_with(parts_.config, adopted_, winner_);
  in_force_ = challenger_config_;
  learner = challenger_->take_learner();
  round.candidate = std::move(round.challenger);
  challenger_.reset();
  winner_.clear();
  phase_ = StudyPhase::kIdle;
  ++adopted_count_;
  taken_over_.increment();
  tell(event, "has taken over", "");
  return true;
}

void Studies::leave_study() {
  thread_.reset();
  snapshot_.reset();
  unstored_ = {};
  unstored_changes_ = {};
  phase_ = StudyPhase::kIdle;
}

void Studies::give_up(std::uint64_t event, std::string why) {
  leave_study();
  tell(event, "is given up", std::move(why));
}

void Studies::erase(const ErasedKeys& keys, std::uint64_t event) {
  if (!snapshot_) return;
  const auto covers = [&](const EncodedBatch& rows) {
    for (std::size_t row = 0; row < rows.size(); ++row) {
      if (keys.covers(rows.key_hashes[row], rows.seqs[row])) return true;
    }
    return false;
  };
  if (!covers(snapshot_->training) && !covers(snapshot_->judging) && std::ranges::none_of(snapshot_->slices, covers)) {
    return;
  }
  give_up(event, "events that it learns from were erased");
}

Status Studies::erased() {
  if (parts_.redo_only || number_ == 0) return Status::ok();
  const std::uint64_t last = phase_ == StudyPhase::kStudying ? number_ - 1 : number_;
  const Status status = last == 0 ? Status::ok() : parts_.store.drop_studies(1, last, /*sync=*/true);
  return may_pass(status) ? Status::ok() : status;
}

}  // namespace freshet
