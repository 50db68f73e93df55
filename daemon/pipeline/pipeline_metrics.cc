#include "daemon/pipeline/pipeline_metrics.h"

#include <optional>

namespace freshet {
namespace {

const std::vector<double> kSecondsShort = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10};
const std::vector<double> kSecondsFresh = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};

}  // namespace

PipelineMetrics::PipelineMetrics(MetricsRegistry& registry)
    : events(registry.counter("freshet_events_total", "Events learnt from or held out, since the start.")),
      events_held_out(registry.counter("freshet_events_held_out_total", "Events that went to held-out sets.")),
      rounds(registry.counter("freshet_rounds_total", "Training rounds finished.")),
      rounds_failed(registry.counter("freshet_rounds_failed_total", "Training rounds that failed.")),
      steps(registry.counter("freshet_training_steps_total", "Optimizer steps.")),
      samples_fresh(registry.counter("freshet_samples_fresh_total", "New samples trained on.")),
      samples_replayed(registry.counter("freshet_samples_replayed_total", "Replayed samples trained on.")),
      samples_unusable(registry.counter("freshet_samples_unusable_total",
                                        "Samples without a part in the loss: their label or weight fits none.")),
      steps_skipped(registry.counter("freshet_training_steps_skipped_total",
                                     "Steps left out because loss or gradient was not finite.")),
      restored(registry.counter("freshet_weights_restored_total",
                                "Times that weights and optimizer went back to those of the round's beginning.")),
      samples_considered(registry.counter("freshet_samples_sifted_total", "Samples that sifting chose among.")),
      samples_sifted_out(registry.counter("freshet_samples_sifted_out_total", "Of these, those not trained on.")),
      forwards_saved(
          registry.counter("freshet_sifting_forwards_saved_total", "Forward passes of samples that sifting saved.")),
      backwards_saved(
          registry.counter("freshet_sifting_backwards_saved_total", "Backward passes of samples that sifting saved.")),
      forwards_spent(
          registry.counter("freshet_sifting_forwards_spent_total", "Forward passes of samples that choosing took.")),
      accepted_share(registry.gauge("freshet_sifting_accepted_ratio", "Share of the last round's samples trained on.")),
      sifting_active(registry.gauge("freshet_sifting_active", "1 while rounds are sifted, 0 where it does not pay.")),
      swaps(registry.counter("freshet_model_swaps_total", "Models that went live.")),
      rollbacks(registry.counter("freshet_model_rollbacks_total",
                                 "Times that a version that had turned out worse gave way to the one before.")),
      store_waits(registry.counter("freshet_store_waits_total", "Times that ingest waited for room in the store.")),
      erasures(registry.counter("freshet_erasures_total", "Keys whose events were erased, durably.")),
      events_erased(registry.counter("freshet_events_erased_total", "Stored events that were erased with their key.")),
      erasures_waiting(registry.gauge("freshet_erasures_waiting", "Keys to be erased at the next cut.")),
      learning_rate(registry.gauge("freshet_learning_rate", "Learning rate of the last step.")),
      model_version(registry.gauge("freshet_model_version", "Version of the served model.")),
      replay_events(registry.gauge("freshet_replay_events", "Events in the replay memory.")),
      replay_capacity(registry.gauge("freshet_replay_capacity_events", "Capacity of the replay memory.")),
      redoing(registry.gauge("freshet_redoing", "1 while the log is redone after a restart.")),
      event_time(registry.gauge("freshet_event_time_seconds", "Event time of the newest event, since 1970.")),
      live_since(registry.gauge("freshet_model_live_since_seconds",
                                "When the served version went live in this process, since 1970.")),
      round_seconds(registry.histogram("freshet_round_duration_seconds", "Time of a training round.", kSecondsShort)),
      replay_read_seconds(
          registry.histogram("freshet_replay_read_seconds", "Time to read a round's replay sample.", kSecondsShort)),
      checkpoint_seconds(
          registry.histogram("freshet_checkpoint_duration_seconds", "Time to write a checkpoint.", kSecondsShort)),
      event_to_served_seconds(registry.histogram("freshet_event_to_served_seconds",
                                                 "From an event's arrival to the first served model trained on it.",
                                                 kSecondsFresh)),
      registry_(registry) {}

void PipelineMetrics::count_round(const RoundReport& report, bool sifting_rests) {
  rounds.increment();
  steps.add(static_cast<double>(report.steps));
  samples_fresh.add(static_cast<double>(report.samples_fresh));
  samples_replayed.add(static_cast<double>(report.samples_replayed));
  samples_unusable.add(static_cast<double>(report.samples_unusable));
  steps_skipped.add(static_cast<double>(report.skipped_non_finite));
  restored.add(static_cast<double>(report.restored));
  if (report.steps > 0) learning_rate.set(report.learning_rate);
  count_sifting(report, sifting_rests);
}

void PipelineMetrics::count_sifting(const RoundReport& report, bool rests) {
  sifting_active.set(report.samples_considered > 0 && !rests ? 1 : 0);
  if (report.samples_considered == 0) return;
  const auto considered = static_cast<double>(report.samples_considered);
  const auto left_out = static_cast<double>(report.samples_sifted_out);
  samples_considered.add(considered);
  samples_sifted_out.add(left_out);
  forwards_saved.add(left_out);
  backwards_saved.add(left_out);
  forwards_spent.add(static_cast<double>(report.sifting_forwards));
  accepted_share.set(1.0 - left_out / considered);
}

void PipelineMetrics::show_evaluation(std::string_view window, std::span<const MetricValue> values) {
  for (const auto& [name, value] : values) {
    registry_
        .gauge("freshet_live_" + std::string(name), "Progressive (test-then-train) measure of the served model.",
               {{"window", std::string(window)}})
        .set(value);
  }
}

void PipelineMetrics::show_forgetting(const std::string& slice, double accuracy, double forgetting) {
  registry_.gauge("freshet_slice_accuracy", "Accuracy on the slice's held-out set.", {{"slice", slice}}).set(accuracy);
  registry_.gauge("freshet_slice_forgetting", "Best accuracy of the slice so far minus now.", {{"slice", slice}})
      .set(forgetting);
}

// Each from the first time that it can be told: until then there is no such sample.
void PipelineMetrics::show_transfer(const ForgettingReport& report) {
  const auto show = [&](const char* name, const char* help, const std::optional<double>& value) {
    if (value) registry_.gauge(name, help).set(*value);
  };
  show("freshet_mean_forgetting", "Mean over the past slices of their best score so far minus now.",
       report.mean_forgetting);
  show("freshet_max_forgetting", "The largest of all slices' best score so far minus now.", report.max_forgetting);
  show("freshet_backward_transfer", "Mean over the past slices of the score now minus that when just learnt.",
       report.backward_transfer);
  show("freshet_forward_transfer",
       "Mean over the slices of the score before any round trained on them minus that of the untrained model.",
       report.forward_transfer);
}

Counter& PipelineMetrics::findings(FindingKind kind, std::string_view detector, const std::string& statistic) {
  return registry_.counter(
      "freshet_drift_findings_total",
      "What drift detectors found: warnings, alarms, and changes that a second test confirmed or dismissed.",
      {{"kind", std::string(finding_name(kind))}, {"detector", std::string(detector)}, {"statistic", statistic}});
}

void PipelineMetrics::count_finding(const DriftFinding& finding) {
  findings(finding.kind, finding.detector, finding.statistic).increment();
}

void PipelineMetrics::show_drift(const DriftReport& report) {
  if (!findings_shown_) {
    for (const DriftWatchStatus& watch : report.watches) {
      for (const FindingKind kind :
           {FindingKind::kWarning, FindingKind::kAlarm, FindingKind::kConfirmed, FindingKind::kDismissed}) {
        findings(kind, watch.detector, watch.statistic);
      }
    }
    findings_shown_ = true;
  }
  for (const DriftWatchStatus& watch : report.watches) {
    const MetricLabels labels = {{"detector", std::string(watch.detector)}, {"statistic", watch.statistic}};
    registry_.gauge("freshet_drift_statistic", "What a drift detector watches, in its own terms.", labels)
        .set(watch.value);
    registry_
        .gauge("freshet_drift_state", "What a drift detector says now: 0 nothing, 1 a warning, 2 an alarm.", labels)
        .set(static_cast<double>(watch.state));
  }
}

Counter& PipelineMetrics::verdicts(GateReason reason) {
  return registry_.counter("freshet_gate_verdicts_total", "Candidates that the gate judged, by what it found.",
                           {{"verdict", std::string(gate_reason_name(reason))}});
}

void PipelineMetrics::count_verdict(GateReason reason) { verdicts(reason).increment(); }

void PipelineMetrics::show_gate(const GateReport& report) {
  if (!report.enabled) return;
  if (!verdicts_shown_) {
    for (std::size_t i = 0; i < kGateReasons; ++i) verdicts(static_cast<GateReason>(i));
    verdicts_shown_ = true;
  }
  registry_.gauge("freshet_gate_seconds", "Time that ingest has spent on judging since the start.").set(report.seconds);
  registry_
      .gauge("freshet_gate_trusted_version",
             "The version that a worse one would give way to; 0: the one that is served.")
      .set(static_cast<double>(report.trusted_version));
  registry_
      .gauge("freshet_gate_evidence_worse",
             "How much speaks for what is served being worse than the trusted version, in nats.")
      .set(report.evidence_worse);
  registry_.gauge("freshet_gate_veto", "1 while events of the past keep candidates from being served.")
      .set(report.veto_stands ? 1 : 0);
  registry_.gauge("freshet_label_noise_ratio", "Share of labels that look drawn blindly since the last change.")
      .set(report.noise_share);
}

void PipelineMetrics::show_own(std::span<const OwnMeasure> measures) {
  for (const auto& [name, value] : measures) {
    registry_
        .gauge("freshet_own_measure", "What the model's own metrics() says of the held-out events.", {{"name", name}})
        .set(value);
  }
}

}  // namespace freshet
