// PipelineMetrics: every metric that the pipeline bumps, declared in one place.
//
// Threads: handles are thread-safe.  Owns: nothing; the registry must outlive it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/metrics.h"
#include "core/predictor.h"
#include "daemon/pipeline/drift_response.h"
#include "daemon/pipeline/gate.h"
#include "learners/evaluation/forgetting.h"
#include "learners/evaluation/metrics.h"
#include "learners/training/learner.h"

namespace freshet {

class PipelineMetrics {
 public:
  explicit PipelineMetrics(MetricsRegistry& registry);

  Counter& events;
  Counter& events_held_out;
  Counter& rounds;
  Counter& rounds_failed;
  Counter& steps;
  Counter& samples_fresh;
  Counter& samples_replayed;
  Counter& samples_unusable;
  Counter& steps_skipped;
  Counter& restored;
  Counter& samples_considered;
  Counter& samples_sifted_out;
  Counter& forwards_saved;
  Counter& backwards_saved;
  Counter& forwards_spent;
  Gauge& accepted_share;
  Gauge& sifting_active;
  Counter& swaps;
  Counter& rollbacks;
  Counter& store_waits;
  Counter& erasures;
  Counter& events_erased;
  Gauge& erasures_waiting;
  Gauge& learning_rate;
  Gauge& model_version;
  Gauge& replay_events;
  Gauge& replay_capacity;
  Gauge& redoing;
  Gauge& event_time;
  Gauge& live_since;
  Histogram& round_seconds;
  Histogram& replay_read_seconds;
  Histogram& checkpoint_seconds;
  Histogram& event_to_served_seconds;

  void count_round(const RoundReport& report, bool sifting_rests);
  // Gauges named after the evaluation's measures, made on first use.
  void show_evaluation(std::string_view window, std::span<const MetricValue> values);
  void show_forgetting(const std::string& slice, double accuracy, double forgetting);
  void show_transfer(const ForgettingReport& report);
  void count_finding(const DriftFinding& finding);
  void show_drift(const DriftReport& report);
  void count_verdict(GateReason reason);
  void show_gate(const GateReport& report);
  void show_own(std::span<const OwnMeasure> measures);

 private:
  void count_sifting(const RoundReport& report, bool rests);
  Counter& findings(FindingKind kind, std::string_view detector, const std::string& statistic);
  Counter& verdicts(GateReason reason);

  MetricsRegistry& registry_;
  // Counters that nothing has counted in yet are shown as 0: a rate cannot see the first of a series that begins at 1.
  bool findings_shown_ = false;
  bool verdicts_shown_ = false;
};

}  // namespace freshet
