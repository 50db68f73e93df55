// Studies: the studies that a pipeline begins by itself when a change of its stream is confirmed, and what becomes of
// what they find.
//
//   idle -> (a change, tuning.wait_events later) studying -> challenging -> adopting -> idle
//
// All steps but the last are taken at cuts, and recorded in the order before they take effect. A study's events are
// copied at the cut at which it begins and stored once, its trials as they pause; so a restart goes on where it was. A
// redo that comes by the beginning makes the same copy from the same memory. With `go_live: next_cut` a study is over
// at the cut that its virtual time says, and the cut waits for that to be known; else once it is done. The winner's
// learner then learns beside the pipeline's own (Challenger). One that takes over does so when the round after the
// decision is collected: its candidate is the one that may go live, and its settings are in force from there.
//
// Threads: ingest; a study's own threads are StudyThread's.
// Owns: the running study, the challenger, the settings in force. Borrows the parts, which must outlive it.
// Failure: a study that cannot go on (its stored events are gone or damaged) is given up, said in the log. A disk that
// is full puts off what is stored of it. Events that cannot be read end the pipeline, as anywhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/metrics.h"
#include "daemon/config/config.h"
#include "daemon/pipeline/drift_response.h"
#include "daemon/pipeline/ingest_state.h"
#include "daemon/pipeline/trainer_thread.h"
#include "daemon/tuning/adopted_settings.h"
#include "daemon/tuning/challenger.h"
#include "daemon/tuning/study_thread.h"
#include "learners/device.h"
#include "storage/erasure.h"

namespace freshet {

inline constexpr std::string_view kChallengerBlob = "challenger";

enum class StudyPhase : std::uint8_t { kIdle, kStudying, kChallenging, kAdopting };
std::string_view study_phase_name(StudyPhase phase);

struct StudyNotice {
  std::uint64_t event = 0;
  std::uint64_t study = 0;
  std::string what;  // "begins", "finds nothing better", "challenges", "takes over", "dropped", "given up"
  std::string why;
};

struct TuningReport {
  bool on_drift = false;
  StudyPhase phase = StudyPhase::kIdle;
  std::uint64_t studies = 0;  // begun, of the whole run
  std::uint64_t adopted = 0;
  std::uint64_t dropped = 0;
  std::uint64_t begun_at = 0;        // event after which the last one began
  std::optional<StudyStatus> study;  // the running one, or the last since the start
  std::vector<tuning::Setting> challenger;
  std::uint64_t challenger_events = 0;
  double challenger_difference = 0;  // of its loss to the incumbent's
  std::vector<AdoptedSetting> in_force;
  std::vector<StudyNotice> notices;  // since the start, the newest last
};

class Studies {
 public:
  struct Parts {
    const Config& config;
    const Schema& schema;
    Store& store;
    Log& log;
    MetricsRegistry& metrics;
    bool redo_only = false;  // writes nothing, and takes no trials from the store: all are trained again
  };
  // What a step at a cut works on.
  struct Moment {
    const IngestState& state;
    const Learner& learner;
    const std::atomic<bool>* stop = nullptr;
  };
  using Record = std::function<Status(OrderKind, std::uint64_t, std::uint64_t)>;

  explicit Studies(const Parts& parts);
  ~Studies();

  // At the start: which settings are in force, before there is a learner; then the rest, with the learner and the
  // ingest state as the checkpoint has them.
  Status load(const Checkpoint& checkpoint);
  Status resume(const Checkpoint& checkpoint, const IngestState& state, const Device& device, Learner& learner);
  void begin_anew(const Device& device) { device_ = device; }
  const Config& in_force() const { return in_force_; }

  void note(const std::vector<DriftNotice>& found);
  // At each cut, the trainer at rest: `gathered` has the rows of the round that ends.
  Status score(const EncodedBatch& gathered);
  Status at_cut(const Moment& moment, const Record& record);
  Status redo(const OrderEntry& entry, const Moment& moment);
  Learner* challenger() { return challenger_ ? &challenger_->learner() : nullptr; }
  // A round was trained; true: `learner` and the candidate are the challenger's now.
  bool collected(RoundResult& round, std::unique_ptr<Learner>& learner, std::uint64_t event);

  // Events of these keys are gone: a study that learns from any is given up.
  void erase(const ErasedKeys& keys, std::uint64_t event);
  // The checkpoint without them is written: so is what older ones needed.
  Status erased();

  void save(std::map<std::string, std::string, std::less<>>& blobs) const;
  TuningReport report() const;

 private:
  Status begin(const Moment& moment);
  Result<TrialSnapshot> copy_events(const Moment& moment) const;
  void start_thread(StoredStudy stored);
  void leave_study();
  Result<StoredStudy> stored_trials(std::uint64_t number) const;
  Status store_snapshot();
  Status store_progress();
  Status drop_unneeded();
  Status end_study(const Moment& moment, StudyOutcome outcome);
  Status challenge(const IngestState& state, std::string_view learner_state, const Learner& incumbent);
  void end_challenge(std::uint64_t event, bool takes_over, std::string_view why);
  void give_up(std::uint64_t event, std::string why);
  bool study_over(const Moment& moment);
  bool begins(const IngestState& state) const;
  std::string verdict_words() const;
  void tell(std::uint64_t event, std::string what, std::string why);

  static constexpr std::size_t kPastMost = 16;
  static constexpr std::string_view kSnapshotPart = "snapshot";

  Parts parts_;
  Config in_force_;
  Device device_;
  Gauge& best_;
  Gauge& phase_gauge_;
  Counter& begun_;
  Counter& taken_over_;
  Counter& left_;

  // State: what a checkpoint keeps.
  StudyPhase phase_ = StudyPhase::kIdle;
  std::uint64_t number_ = 0;     // of the last study; they count from 1
  std::uint64_t begin_seq_ = 0;  // after which event it began
  std::uint64_t wanted_ = 0;     // event at which the change that the next is to follow was confirmed; 0: none
  std::uint64_t since_ = 0;      // the first event after that change, or the last one that a study followed
  std::uint64_t snapshot_hash_ = 0;
  std::uint64_t adopted_count_ = 0;
  std::uint64_t dropped_count_ = 0;
  std::vector<AdoptedSetting> adopted_;
  std::vector<tuning::Setting> winner_;  // the challenger's settings
  std::vector<tuning::PastStudy> past_;  // oldest first

  std::shared_ptr<const TrialSnapshot> snapshot_;
  std::string unstored_;  // the snapshot, until it is stored
  StudyChanges unstored_changes_;
  std::unique_ptr<StudyThread> thread_;
  std::optional<StudyStatus> last_;
  std::unique_ptr<Challenger> challenger_;
  Config challenger_config_;
  std::vector<StudyNotice> notices_;
};

}  // namespace freshet
