// DriftResponse: what watches the stream for changes, and what a confirmed change asks of the rounds that follow: a
// higher learning rate, replay of new events alone, for `drift.act_events`.
//
// The reference model is the one that was served at the first cut after `drift.reference_events`, and again once a
// confirmed change has been lived with: `cooldown_events` after it.
//
// All of it is a function of the events and the losses under the models that were served, so that a redo finds the same
// changes at the same events and asks the same of the same rounds.
//
// Threads: ingest thread only.  Owns: the monitor.
// Failure: `create` refuses settings that contradict each other; `load` answers data_loss for damaged bytes, and takes
// those of other settings as nothing: the watch begins anew.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/encoded_batch.h"
#include "core/json_writer.h"
#include "core/predictor.h"
#include "core/status.h"
#include "daemon/config/config.h"
#include "learners/drift/monitor.h"
#include "learners/training/losses.h"

namespace freshet {

// What was found, with its time, for displays.
struct DriftNotice {
  DriftFinding finding;
  std::int64_t event_time_ms = 0;
};

struct DriftReport {
  DriftCounts counts;
  std::vector<DriftWatchStatus> watches;
  // The newest since the start, oldest first; warnings are not among them.
  std::vector<DriftNotice> notices;
};

// One object: kind, event, since, statistic, detector, before, after, event_time_ms, cause.
void write_notice(JsonWriter& json, const DriftNotice& notice);

class DriftResponse {
 public:
  static Result<std::unique_ptr<DriftResponse>> create(const Config& config, const EncodedLayout& layout);

  // Rows [begin, begin + rows) of `encoded` are events first_seq on, with their losses; `predictions` are those that
  // were scored.
  Status observe(std::uint64_t first_seq, const EncodedBatch& encoded, std::size_t begin, std::size_t rows,
                 const Predictions& predictions);
  // What was found in them; valid until the next call.
  const std::vector<DriftNotice>& found() const { return found_; }
  // Before event `next_seq`, where a round ends.
  void at_cut(std::uint64_t next_seq, const std::shared_ptr<const Predictor>& served);
  const std::shared_ptr<const Predictor>& reference() const { return reference_; }
  // After load(): as it was when that was saved.
  void restore_reference(std::shared_ptr<const Predictor> reference);

  // Of a round that ends before event `end_seq`.
  float rate_factor(std::uint64_t end_seq) const;
  std::uint64_t replay_from(std::uint64_t end_seq) const;  // the first event that may be replayed

  DriftReport report() const;

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  DriftResponse(const Config& config, const LossOptions& loss);
  bool acting(std::uint64_t end_seq) const { return changed_seq_ > 0 && end_seq <= changed_seq_ + config_.act_events; }
  std::string settings_text() const;

  const DriftConfig config_;
  const Task task_;
  const LossOptions loss_;
  std::unique_ptr<DriftMonitor> monitor_;
  std::uint64_t changed_seq_ = 0;  // event at which a change was confirmed last; 0: none
  std::uint64_t since_seq_ = 0;    // about where it began
  bool watches_reference_ = false;
  std::uint64_t reference_due_ = 0;  // the first event before which a new one may be taken; kNever: one is in use
  std::shared_ptr<const Predictor> reference_;
  Predictions reference_predictions_;
  std::vector<float> reference_losses_;
  std::vector<float> errors_;
  std::vector<DriftColumn> features_;
  std::vector<DriftFinding> findings_;
  std::vector<DriftNotice> found_;   // by the last call of observe()
  std::vector<DriftNotice> recent_;  // the newest
};

}  // namespace freshet
