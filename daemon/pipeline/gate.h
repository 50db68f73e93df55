// Gate: whether a candidate may be served, and whether what is served may stay.
//
//   judge    a new candidate beside the served model on fresh events that neither has trained on; it is turned away
//            when found worse (PairedTest), when the past or a slice of it is worse than under the anchor by more than
//            a margin (SliceVeto), or while it has to prove itself: after a rejection for being worse, or a rollback,
//            candidates must do no worse on `proof_rows` fresh events.
//   watch    what is served beside the trusted model, on fresh events: found worse, the trusted one is served again;
//            found better, or undecided after `watch_rows`, what is served becomes the trusted one.
//
// The anchor is the served version that did best on the past, or that of `hold_events` ago: many small steps away from
// what was known add up. The trusted version is newer, and judged by fresh events alone.
//
// After a confirmed change the slices from before it lose their veto, or the model could never follow; but only once
// the candidates beat the served model flattened as far as label noise would have it (LabelNoise): labels gone bad are
// a change too, and one that should not be followed. A veto holds `hold_events` at most. A regression has no such
// flattening: there the change alone lifts the veto.
//
// All of it is a function of events, losses and models at recorded positions, so that a redo judges the same.
//
// Threads: ingest thread only.  Owns: the tests, and a share in the trusted version and the anchor.
// Failure: what a model or a stored event refuses is passed on; load() answers data_loss for damaged bytes.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/encoded_batch.h"
#include "core/event_record.h"
#include "core/predictor.h"
#include "core/status.h"
#include "daemon/pipeline/publishing.h"
#include "daemon/pipeline/slice_veto.h"
#include "learners/evaluation/label_noise.h"
#include "learners/evaluation/model_comparison.h"
#include "learners/evaluation/paired_test.h"
#include "learners/training/losses.h"

namespace freshet {

// Why a candidate is not served. Stored: new ones at the end.
enum class GateReason : std::uint8_t { kPassed, kWorse, kSliceWorse, kUnproven, kPaused, kPinned };
inline constexpr std::size_t kGateReasons = 6;
std::string_view gate_reason_name(GateReason reason);

struct GateOptions {
  bool enabled = true;
  double alpha = 0.05;
  double slice_margin = 0.02;  // of the loss: nats; of a regression, a share of the loss
  std::uint32_t rows = 128;    // of each kind of events, a round
  std::uint64_t watch_rows = 4096;
  std::uint64_t proof_rows = 256;
  std::uint64_t hold_events = 50'000;
  std::uint32_t slices_every_rounds = 10;
  std::uint32_t classes = 2;  // 0: a regression
  Task task = Task::kBinary;
  LossOptions loss = {};
};

struct GateVerdict {
  GateReason reason = GateReason::kPassed;
  std::string words;  // of a rejection: why
  bool passed() const { return reason == GateReason::kPassed; }
};

// What became of a version.
struct VersionRecord {
  std::uint64_t version = 0;
  std::uint64_t last_event = 0;  // it has learnt from events up to this one
  std::uint64_t judged_at = 0;   // newest event when it was judged
  GateReason reason = GateReason::kPassed;
  bool rolled_back = false;
  double fresh_loss = 0;        // on the fresh events it was judged by; 0 without any
  double fresh_difference = 0;  // to what was served, on the same
  std::uint64_t fresh_rows = 0;
};

struct GateReport {
  bool enabled = false;
  std::array<std::uint64_t, kGateReasons> verdicts{};  // by reason
  std::uint64_t rollbacks = 0;
  std::uint64_t trusted_version = 0;  // 0: none but the served one
  std::uint64_t anchor_version = 0;   // the same
  double evidence_worse = 0;          // of the watch; -log(alpha) rolls back
  bool paused = false;
  std::uint64_t pinned_version = 0;  // 0: none
  bool proving = false;
  bool veto_stands = false;
  double noise_share = 0;               // of labels, as it looks since the last change; 0 while nobody asks
  double seconds = 0;                   // of the ingest thread, since the start
  std::vector<VersionRecord> versions;  // newest first
};

// The events at hand when something is judged.
struct GateRows {
  const EncodedBatch& fresh;  // of the round being gathered: nobody has trained on them
  HeldOutSource held_out;
  std::uint64_t last_seq = 0;  // newest event
  std::uint64_t round = 0;
};

class Gate {
 public:
  explicit Gate(const GateOptions& options);

  bool enabled() const { return options_.enabled; }

  // trained_to: the last event that the candidate has learnt from.
  Result<GateVerdict> judge(const Predictor& candidate, const Predictor& served, std::uint64_t trained_to,
                            const GateRows& rows);
  // The candidate that was judged last went live in place of `before`.
  void published(const std::shared_ptr<const Predictor>& before, const std::shared_ptr<const Predictor>& candidate);

  // Whether what is served is to give way to trusted().
  Result<bool> watch(const Predictor& served, const GateRows& rows);
  const std::shared_ptr<const Predictor>& trusted() const { return trusted_; }
  const std::shared_ptr<const Predictor>& anchor() const { return anchor_; }
  // While candidates have to prove themselves they wait for rows to do it on.
  bool proving() const { return proving_; }
  // trusted() is served again, and the other one is not to come back unproven.
  void rolled_back(std::uint64_t from_version);

  // Something else than a candidate is served now, by somebody's wish: there is nothing to compare it with.
  void replaced();
  // An operator's request has been recorded. changes: another version is served from here on.
  void controlled(const PublishingRequest& request, bool changes);
  bool paused() const { return paused_; }
  std::uint64_t pinned_version() const { return pinned_version_; }

  // A change was confirmed at event `seq`.
  void note_change(std::uint64_t seq);

  GateReport report() const;

  // Without the models, which the owner keeps.
  void save(ByteWriter& out) const;
  Status load(ByteReader& in);
  void restore(std::shared_ptr<const Predictor> trusted, std::shared_ptr<const Predictor> anchor) {
    trusted_ = std::move(trusted);
    anchor_ = std::move(anchor);
  }

 private:
  Result<GateVerdict> decide(const Predictor& candidate, const Predictor& served, const GateRows& rows,
                             VersionRecord& record);
  // Whether the veto of the past may be lifted now, by the rows that were compared.
  void note_veto(std::span<const float> weights, std::uint64_t last_seq);
  void remember(const VersionRecord& record);

  const GateOptions options_;
  std::shared_ptr<const Predictor> trusted_;  // null: what is served
  std::shared_ptr<const Predictor> anchor_;   // null: what is served
  std::uint64_t anchor_seq_ = 0;              // since when
  bool renews_anchor_ = false;                // the candidate that was judged last may become it
  PairedTest watch_;                          // what is served beside trusted_
  std::uint64_t watched_seq_ = 0;
  bool paused_ = false;
  std::uint64_t pinned_version_ = 0;
  bool proving_ = false;
  PairedTest proof_;              // candidates beside what is served
  std::uint64_t veto_since_ = 0;  // event of the first of the vetoes without a pass between them; 0: none
  std::uint64_t veto_last_ = 0;   // and of the last
  std::uint64_t change_seq_ = 0;  // of the confirmed change that may lift the veto; 0: none
  std::uint64_t lifted_seq_ = 0;  // events before have no veto
  PairedTest news_;               // candidates beside what is served, flattened
  LabelNoise noise_;
  SliceVeto slices_;
  std::array<std::uint64_t, kGateReasons> verdicts_{};
  std::uint64_t rollbacks_ = 0;
  std::deque<VersionRecord> versions_;  // newest first

  double seconds_ = 0;
  ModelComparison comparison_;
  std::vector<float> flattened_;
  std::vector<float> bounds_;
};

}  // namespace freshet
