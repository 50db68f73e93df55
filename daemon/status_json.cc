#include "daemon/status_json.h"

#include <fmt/format.h>

namespace freshet {
namespace {

void optional_field(JsonWriter& json, std::string_view name, const std::optional<double>& value) {
  if (value) json.field(name, *value);
}

}  // namespace

void write_metrics(JsonWriter& json, std::string_view name, std::span<const MetricValue> metrics) {
  json.key(name);
  json.begin_object();
  for (const MetricValue& metric : metrics) json.field(metric.name, metric.value);
  json.end_object();
}

void write_drift(JsonWriter& json, const PipelineSnapshot& snapshot) {
  const DriftReport& report = snapshot.drift;
  if (report.watches.empty()) return;
  json.key("drift");
  json.begin_object();
  json.field("alarms", report.counts.changes);
  json.field("confirmed", report.counts.confirmed);
  json.field("dismissed", report.counts.dismissed);
  json.key("watches");
  json.begin_array();
  for (const DriftWatchStatus& watch : report.watches) {
    json.begin_object();
    json.field("detector", watch.detector);
    json.field("statistic", watch.statistic);
    json.field("value", watch.value);
    json.field("alarms", watch.alarms);
    json.field("left_out", watch.left_out);
    json.end_object();
  }
  json.end_array();
  json.key("notices");
  json.begin_array();
  for (const DriftNotice& notice : report.notices) write_notice(json, notice);
  json.end_array();
  json.end_object();
}

void write_tuning(JsonWriter& json, const PipelineSnapshot& snapshot) {
  const TuningReport& report = snapshot.tuning;
  if (!report.on_drift && report.studies == 0) return;
  json.key("tuning");
  json.begin_object();
  json.field("phase", study_phase_name(report.phase));
  json.field("studies", report.studies);
  json.field("adopted", report.adopted);
  json.field("dropped", report.dropped);
  if (report.study) {
    json.key("study");
    json.begin_object();
    json.field("begun_after_event", report.begun_at);
    json.field("events", static_cast<std::uint64_t>(report.study->events));
    json.field("judging_events", static_cast<std::uint64_t>(report.study->judging));
    json.field("stretches_trained", report.study->resource);
    json.key("trials");
    json.begin_object();
    for (const auto& [state, count] : report.study->by_state) json.field(state, count);
    json.end_object();
    optional_field(json, "best_objective", report.study->best);
    json.end_object();
  }
  if (!report.challenger.empty()) {
    json.key("challenger");
    json.begin_object();
    json.field("events", report.challenger_events);
    json.field("loss_difference", report.challenger_difference);
    json.key("settings");
    json.begin_object();
    for (const tuning::Setting& setting : report.challenger) json.field(setting.option, setting.value);
    json.end_object();
    json.end_object();
  }
  json.key("in_force");
  json.begin_object();
  for (const AdoptedSetting& setting : report.in_force) json.field(setting.option, setting.value);
  json.end_object();
  json.key("notices");
  json.begin_array();
  for (const StudyNotice& notice : report.notices) {
    json.begin_object();
    json.field("event", notice.event);
    json.field("study", notice.study);
    json.field("what", notice.what);
    json.field("why", notice.why);
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

void write_gate(JsonWriter& json, const PipelineSnapshot& snapshot) {
  const GateReport& report = snapshot.gate;
  if (!report.enabled) return;
  json.key("gate");
  json.begin_object();
  json.key("verdicts");
  json.begin_object();
  for (std::size_t i = 0; i < kGateReasons; ++i) {
    json.field(gate_reason_name(static_cast<GateReason>(i)), report.verdicts[i]);
  }
  json.end_object();
  json.field("rollbacks", report.rollbacks);
  json.field("trusted_version", report.trusted_version);
  json.field("anchor_version", report.anchor_version);
  json.field("evidence_worse", report.evidence_worse);
  json.field("paused", report.paused);
  json.field("pinned_version", report.pinned_version);
  json.field("proving", report.proving);
  json.field("veto", report.veto_stands);
  json.field("label_noise", report.noise_share);
  json.field("gate_seconds", report.seconds);
  json.key("versions");
  json.begin_array();
  for (const VersionRecord& record : report.versions) {
    json.begin_object();
    json.field("version", record.version);
    json.field("last_event", record.last_event);
    json.field("judged_at", record.judged_at);
    json.field("verdict", gate_reason_name(record.reason));
    json.field("rolled_back", record.rolled_back);
    json.field("fresh_rows", record.fresh_rows);
    json.field("fresh_loss", record.fresh_loss);
    json.field("fresh_difference", record.fresh_difference);
    json.end_object();
  }
  json.end_array();
  json.end_object();
}

void write_own_measures(JsonWriter& json, const PipelineSnapshot& snapshot) {
  if (snapshot.own_measures.empty()) return;
  json.key("own_measures");
  json.begin_object();
  for (const OwnMeasure& measure : snapshot.own_measures) json.field(measure.name, measure.value);
  json.end_object();
}

void write_baseline(JsonWriter& json, const PipelineSnapshot& snapshot) {
  const BaselineReport& baseline = snapshot.baseline;
  if (!baseline.frozen) return;
  json.key("baseline");
  json.begin_object();
  json.field("frozen_version", baseline.frozen_weights.model_version);
  json.field("events", baseline.live.events);
  write_metrics(json, "live", baseline.live.stream);
  write_metrics(json, "frozen_weights", baseline.frozen_weights.stream);
  write_metrics(json, "frozen_whole", baseline.frozen_whole.stream);
  json.end_object();
}

void write_sifting(JsonWriter& json, const PipelineSnapshot& snapshot) {
  if (!snapshot.sifts) return;
  const SiftingTotals& totals = snapshot.sifting;
  json.key("sifting");
  json.begin_object();
  json.field("considered", totals.considered);
  json.field("left_out", totals.left_out);
  if (totals.considered > 0) {
    json.field("accepted_share", 1.0 - static_cast<double>(totals.left_out) / static_cast<double>(totals.considered));
  }
  json.field("forwards_saved", totals.left_out);
  json.field("backwards_saved", totals.left_out);
  json.field("forwards_spent", totals.looked_at);
  json.end_object();
}

// A line a round: its number, then the scores in the order of `slices`.
void write_slice_scores(JsonWriter& json, const PipelineSnapshot& snapshot) {
  const auto& slices = snapshot.forgetting.slices;
  json.begin_object();
  json.key("slices");
  json.begin_array();
  for (const SliceForgetting& slice : slices) json.value(snapshot.slice_names[slice.slice]);
  json.end_array();
  json.key("rounds");
  json.begin_array();
  for (const ScoreRow& row : snapshot.slice_scores) {
    JsonWriter line(0);
    line.begin_object();
    line.field("round", row.round);
    line.key("scores");
    line.begin_array();
    for (const SliceForgetting& slice : slices) line.value(row.scores[slice.slice]);
    line.end_array();
    line.end_object();
    json.json(line.take());
  }
  json.end_array();
  json.end_object();
}

void write_forgetting(JsonWriter& json, const PipelineSnapshot& snapshot, bool matrix) {
  const ForgettingReport& report = snapshot.forgetting;
  if (report.slices.empty()) return;
  json.key("forgetting");
  json.begin_object();
  optional_field(json, "mean_score", report.mean_score);
  optional_field(json, "mean_forgetting", report.mean_forgetting);
  optional_field(json, "max_forgetting", report.max_forgetting);
  optional_field(json, "backward_transfer", report.backward_transfer);
  optional_field(json, "forward_transfer", report.forward_transfer);
  json.key("slices");
  json.begin_array();
  for (const SliceForgetting& slice : report.slices) {
    json.begin_object();
    json.field("slice", snapshot.slice_names[slice.slice]);
    json.field("now", slice.now);
    json.field("best", slice.best);
    json.field("forgetting", slice.forgetting);
    optional_field(json, "learnt", slice.learnt);
    optional_field(json, "before", slice.before);
    optional_field(json, "untrained", slice.untrained);
    json.end_object();
  }
  json.end_array();
  if (matrix) {
    json.key("matrix");
    write_slice_scores(json, snapshot);
  }
  json.end_object();
}

void write_status(JsonWriter& json, std::string_view model, const PipelineSnapshot& snapshot,
                  std::string_view stopped) {
  json.field("model", model);
  json.field("served_version", snapshot.served_version);
  if (stopped.empty()) {
    json.field("state", snapshot.redoing ? "redoing the log after a restart" : "learning");
  } else {
    json.field("state", fmt::format("learning has stopped: {}", stopped));
  }
  json.field("events", snapshot.events);
  json.field("records_skipped", snapshot.skipped);
  json.field("rounds", snapshot.rounds);
  json.field("swaps", snapshot.swaps);
  json.field("replay_events", snapshot.memory_events);
  json.field("event_time_ms", snapshot.event_time_ms);
  json.field("weights_restored", snapshot.restored);
  write_metrics(json, "live", snapshot.evaluation.stream);
  write_metrics(json, "live_recent", snapshot.evaluation.window);
  write_own_measures(json, snapshot);
  write_baseline(json, snapshot);
  write_sifting(json, snapshot);
  write_forgetting(json, snapshot);
  write_gate(json, snapshot);
  write_drift(json, snapshot);
  write_tuning(json, snapshot);
}

std::string to_status_json(std::string_view model, const PipelineSnapshot& snapshot, std::string_view stopped) {
  JsonWriter json;
  json.begin_object();
  write_status(json, model, snapshot, stopped);
  json.end_object();
  return json.take();
}

}  // namespace freshet
