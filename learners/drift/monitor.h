// DriftMonitor: the drift detectors of a model, and which of their alarms are worth acting on.
//
// Each watch is a detector on a statistic: the loss, the error or the label of each event, the loss of a reference
// model that no longer learns, or the value of a feature. The reference shows what a model that follows hides: a change
// that comes slowly, and how long one stays. A detector's alarm that the statistic's history bears out opens a change,
// which is said once (kAlarm) and is then confirmed or dismissed by a second test on the events that follow
// (confirmation.h). A confirmed change is followed by a cooldown, in which nothing more is said; an alarm in it is
// judged once it is over, against events since the confirmed change. Alarms of other detectors while a change is open
// belong to it. Of loss and error a rise alone counts: a model that gets better is no drift.
//
// Everything is a function of the numbers in their order, whatever batches they come in.
//
// Threads: one owner (ingest).  Owns: the detectors and a history of each statistic, 12 KiB each; nothing is allocated
// for an event, only for findings.
// Failure: `create` refuses unknown or contradictory settings; numbers that are not finite (a missing feature, an event
// that nobody scored) or that a detector cannot judge are left out and counted; `load` answers data_loss, and the
// monitor is then as new.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/status.h"
#include "learners/drift/confirmation.h"
#include "learners/drift/drift_detector.h"

namespace freshet {

struct DriftWatch {
  std::string kind = "adwin";
  std::string on = "loss";             // loss, reference, error, label, or feature:NAME
  std::vector<std::string> sets = {};  // "delta=0.01"
};

struct DriftMonitorOptions {
  std::vector<DriftWatch> watches = {DriftWatch{}};
  std::uint64_t cooldown_events = 5000;
  bool confirm = true;  // false: every alarm outside of a cooldown counts as confirmed
  ConfirmationOptions confirmation = {};
};

// One number for each event of a batch: value i stands at values[i * stride].
struct DriftColumn {
  const float* values = nullptr;
  std::size_t stride = 1;
};

struct DriftInputs {
  std::size_t events = 0;
  DriftColumn loss = {};
  DriftColumn reference = {};  // loss of the reference model; null while there is none
  DriftColumn error = {};      // 0 right, 1 wrong; of a regression anything that grows with the error
  DriftColumn label = {};
  std::span<const DriftColumn> features = {};  // in the order of the names that the monitor was made with
};

inline constexpr std::string_view kReferenceStatistic = "reference";

enum class FindingKind : std::uint8_t { kWarning, kAlarm, kConfirmed, kDismissed };
std::string_view finding_name(FindingKind kind);

struct DriftFinding {
  FindingKind kind = FindingKind::kAlarm;
  std::uint64_t position = 0;  // of the event with which it was found
  std::uint64_t since = 0;     // about where the change began
  std::string statistic;       // "loss", "feature distance"
  std::string detector;        // "adwin"
  double before = 0;           // mean before the change and since (once judged: since the alarm); 0 for a warning
  double after = 0;
  std::string cause;  // in words
};

struct DriftWatchStatus {
  std::string_view detector;  // of static storage
  std::string statistic;
  double value = 0;  // DriftDetector::statistic
  DriftState state = DriftState::kNone;
  std::uint64_t warnings = 0;  // times it began to warn
  std::uint64_t alarms = 0;    // raised by the detector, all of them
  std::uint64_t left_out = 0;  // numbers that it could not judge
};

struct DriftCounts {
  std::uint64_t changes = 0;  // alarms that opened one
  std::uint64_t confirmed = 0;
  std::uint64_t dismissed = 0;
};

class DriftMonitor {
 public:
  static Result<std::unique_ptr<DriftMonitor>> create(const DriftMonitorOptions& options,
                                                      std::span<const std::string> feature_names);
  ~DriftMonitor();

  // Takes events first_position, first_position + 1, …; appends what it found, in the order of positions.
  void add(std::uint64_t first_position, const DriftInputs& inputs, std::vector<DriftFinding>& findings);

  // Another reference model: what was known of the one before says nothing of it.
  void renew_reference();

  // Whether a confirmed change is so recent that nothing is said.
  bool in_cooldown(std::uint64_t position) const;
  const DriftCounts& counts() const { return counts_; }
  std::vector<DriftWatchStatus> watches() const;

  void save(ByteWriter& out) const;
  Status load(ByteReader& in);

 private:
  struct Statistic;
  struct Watch;

  explicit DriftMonitor(const DriftMonitorOptions& options);
  void reset();
  bool load_parts(ByteReader& in);
  void take(Statistic& statistic, std::uint64_t position, double value, std::vector<DriftFinding>& findings);
  void judge(Statistic& statistic, std::uint64_t position, double value, std::vector<DriftFinding>& findings);
  void alarm(Statistic& statistic, const Watch& watch, std::uint64_t position, std::vector<DriftFinding>& findings);
  void confirmed(std::uint64_t position, std::uint64_t change);
  bool any_waiting() const;

  DriftMonitorOptions options_;
  std::vector<Statistic> statistics_;
  DriftCounts counts_;
  bool said_ = false;               // a change is open that was said
  std::uint64_t cooldown_end_ = 0;  // the first position after the newest cooldown
};

}  // namespace freshet
