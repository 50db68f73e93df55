// DriftResponse: what watches the stream for changes, and what a confirmed change asks of the rounds that follow: a
// higher learning rate, replay of new events alone, for `drift.act_events`.
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
  // were scored. What was found in them; valid until the next call.
  const std::vector<DriftNotice>& observe(std::uint64_t first_seq, const EncodedBatch& encoded, std::size_t begin,
                                          std::size_t rows, const Predictions& predictions);

  // Of a round that ends before event `end_seq`.
  float rate_factor(std::uint64_t end_seq) const;
  std::uint64_t replay_from(std::uint64_t end_seq) const;  // the first event that may be replayed

  DriftReport report() const;

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  explicit DriftResponse(const Config& config);
  bool acting(std::uint64_t end_seq) const { return changed_seq_ > 0 && end_seq <= changed_seq_ + config_.act_events; }
  std::string settings_text() const;

  const DriftConfig config_;
  const Task task_;
  std::unique_ptr<DriftMonitor> monitor_;
  std::uint64_t changed_seq_ = 0;  // event at which a change was confirmed last; 0: none
  std::uint64_t since_seq_ = 0;    // about where it began
  std::vector<float> errors_;
  std::vector<DriftColumn> features_;
  std::vector<DriftFinding> findings_;
  std::vector<DriftNotice> found_;   // by the last call of observe()
  std::vector<DriftNotice> recent_;  // the newest
};

}  // namespace freshet
