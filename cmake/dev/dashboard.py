#!/usr/bin/env python3
"""Makes helm/freshet/dashboards/freshet.json, the Grafana dashboard.

    cmake/dev/dashboard.py > helm/freshet/dashboards/freshet.json
    cmake/dev/dashboard.py --check                 the file is as it would be made now

A panel is a line or two below: title, what to look for, expressions with their legends, unit. In an expression `{}` and
`{…}` stand for the selectors that the dashboard's variables choose, with more matchers or without.
"""
import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "helm" / "freshet" / "dashboards" / "freshet.json"
CHOSEN = 'namespace=~"$namespace",job=~"$job",pod=~"$pod",model=~"$model"'
SOURCE = {"type": "prometheus", "uid": "$datasource"}
COLUMNS = 24


def select(expression):
    """Puts the variables into each `{…}`."""
    return re.sub(r"\{([^}]*)\}", lambda match: "{" + CHOSEN + ("," + match.group(1) if match.group(1) else "") + "}",
                  expression)


def targets(queries, **more):
    return [{"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": select(expression), "legendFormat": legend, **more}
            for i, (expression, legend) in enumerate(queries)]


def panel(kind, title, words, queries, width, height, defaults, options, **more):
    return {"type": kind, "title": title, "description": words, "datasource": SOURCE, "targets": targets(queries, **more),
            "gridPos": {"w": width, "h": height}, "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options}


def lines(title, words, queries, unit="short", stacked=False, width=8, steps=False, most=None):
    custom = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 20 if stacked else 5, "showPoints": "never",
              "spanNulls": False, "stacking": {"mode": "normal" if stacked else "none", "group": "A"}}
    if steps:
        custom["lineInterpolation"] = "stepAfter"
    defaults = {"unit": unit, "custom": custom, "color": {"mode": "palette-classic"}}
    if unit not in ("none",):
        defaults["min"] = 0
    if most is not None:
        defaults["max"] = most
    return panel("timeseries", title, words, queries, width, 8, defaults,
                 {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}})


def number(title, words, query, unit, limits=(), width=4):
    """One number; from each of `limits` on in its colour."""
    steps = [{"color": "green", "value": None}] + [{"color": color, "value": value} for value, color in limits]
    return panel("stat", title, words, [(query, "{{model}}")], width, 4,
                 {"unit": unit, "color": {"mode": "thresholds"}, "thresholds": {"mode": "absolute", "steps": steps}},
                 {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area",
                  "textMode": "auto"}, instant=False)


def heat_of_slices(title, words, query, scheme, most, width=12):
    """A cell for each slice and moment."""
    return panel("status-history", title, words, [(query, "{{slice}}")], width, 10,
                 {"unit": "percentunit", "decimals": 1, "min": 0, "max": most, "color": {"mode": scheme},
                  "custom": {"lineWidth": 0, "fillOpacity": 90}},
                 {"showValue": "never", "rowHeight": 0.95, "legend": {"showLegend": False},
                  "tooltip": {"mode": "single"}}, interval="1m")


def heat_of_times(title, words, bucket, width=8):
    """How many fell into each bucket of a histogram."""
    return panel("heatmap", title, words, [(f"sum by (le) (increase({bucket}{{}}[$__rate_interval]))", "{{le}}")], width, 8,
                 {"custom": {}},
                 {"calculate": False, "yAxis": {"unit": "s"}, "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64},
                  "cellGap": 1, "tooltip": {"show": True, "yHistogram": False}}, format="heatmap")


def quantiles(histogram):
    return [(f"histogram_quantile({q}, sum by (le, model) (rate({histogram}_bucket{{}}[$__rate_interval])))",
             f"{{{{model}}}} p{int(q * 100)}") for q in (0.5, 0.9, 0.99)]


def rate(counter, legend):
    return f"rate({counter}{{}}[$__rate_interval])", legend


ROWS = [
    ("At a glance", [
        number("Learning", "0: it learns. 1: it has stopped with an error, see the log; the last good model is served.",
               "max(freshet_learning_stopped{})", "none", [(1, "red")]),
        number("Lag", "How far it is behind the topic; grows as well while no broker can be heard.",
               "max(freshet:lag_seconds:max{})", "s", [(60, "orange"), (300, "red")]),
        number("Event to served, p99", "From an event's arrival to a served version trained on it.",
               "max(freshet:event_to_served_seconds:p99_5m{})", "s", [(30, "orange"), (60, "red")]),
        number("Age of the version", "Since the served version went live.", "max(freshet:model_age_seconds{})", "s",
               [(600, "orange"), (1800, "red")]),
        number("Mean forgetting", "Best accuracy of each past slice so far minus now, mean.",
               "max(freshet_mean_forgetting{})", "percentunit", [(0.05, "orange"), (0.1, "red")]),
        number("Disk used", "Of the volume with the state.", "max(1 - freshet:disk_available:ratio{})", "percentunit",
               [(0.8, "orange"), (0.9, "red")]),
        number("Served version", "Counts up with every round that goes live.", "max(freshet_model_version{})", "none"),
        number("Events learnt", "A second.", "sum(freshet:events:rate5m{})", "short"),
        number("Log loss, recent", "Of the served model on events before they were learnt.",
               'max(freshet_live_log_loss{window="recent"})', "none"),
        number("Rejected candidates", "Share of the last hour's that the gate turned away.",
               "max(freshet:gate_rejected:ratio1h{})", "percentunit", [(0.5, "orange"), (0.9, "red")]),
        number("Dead letters", "Share of the records that cannot be learnt from.", "max(freshet:dead_letters:ratio10m{})",
               "percentunit", [(0.001, "orange"), (0.01, "red")]),
        number("Alerts firing", "Of the rules that come with the chart.",
               'count(ALERTS{alertname=~"Freshet.*",alertstate="firing"}) or vector(0)', "none", [(1, "red")]),
    ]),
    ("Throughput", [
        lines("Records and events", "Read and decoded differ by what was skipped; decoded and learnt by what waits.",
              [rate("freshet_events_consumed_total", "read"), rate("freshet_events_decoded_total", "decoded"),
               rate("freshet_events_total", "learnt"), rate("freshet_events_held_out_total", "held out")], "cps"),
        lines("Skipped and dead records", "A new reason that rises: the producer's format has changed.",
              [("sum by (reason) (rate(freshet_records_skipped_total{}[$__rate_interval])) > 0", "skipped: {{reason}}"),
               ("sum by (reason) (rate(freshet_dead_letters_total{}[$__rate_interval])) > 0", "dead: {{reason}}")], "cps"),
        lines("Samples trained on", "Fresh ones and replayed ones; unusable ones have a label or weight without a part in the loss.",
              [rate("freshet_samples_fresh_total", "fresh"), rate("freshet_samples_replayed_total", "replayed"),
               rate("freshet_samples_unusable_total", "unusable")], "cps", stacked=True),
        lines("Rounds and steps", "Failed rounds and skipped steps should stay at zero.",
              [rate("freshet_rounds_total", "rounds"), rate("freshet_rounds_failed_total", "rounds failed"),
               rate("freshet_training_steps_total", "steps"), rate("freshet_training_steps_skipped_total", "steps skipped"),
               rate("freshet_weights_restored_total", "weights restored")], "cps"),
        lines("Duration of a round", "Training alone. Longer than a round takes to gather: training is what holds it back.",
              quantiles("freshet_round_duration_seconds"), "s"),
        lines("Learning rate", "Of the last step; schedules and drift move it.", [("freshet_learning_rate{}", "{{model}}")],
              "none", steps=True),
    ]),
    ("Lag", [
        lines("Lag in seconds", "By partition. Grows too while no broker can be heard.",
              [("freshet_lag_seconds{}", "partition {{partition}}")], "s"),
        lines("Lag in records", "By partition; what was last known while no broker can be heard.",
              [("freshet_lag_events{}", "partition {{partition}}")]),
        lines("Held back", "Paused: learning is slower than the stream. Store waits: the disk is full. Redoing: after a restart.",
              [("freshet_consumer_paused{}", "paused"), ("freshet_redoing{}", "redoing"),
               rate("freshet_store_waits_total", "store waits, a second")], steps=True),
        lines("Partitions", "Read by this process, and how often the group shared them out anew.",
              [("freshet_assigned_partitions{}", "assigned"), ("increase(freshet_rebalances_total{}[$__rate_interval])", "rebalances")],
              steps=True),
        lines("Kafka", "Round trips, and errors by kind.",
              [("freshet_broker_rtt_seconds{}", "round trip to broker {{broker}}, s"),
               ("sum by (error) (rate(freshet_kafka_errors_total{}[$__rate_interval])) > 0", "{{error}}, a second")]),
        lines("Missing records", "Lost: deleted by the broker before they were read. Gaps: offsets that hold no record, as compaction leaves them.",
              [("freshet_offsets_lost_total{}", "lost"), ("freshet_offset_gaps_total{}", "gaps"),
               ('freshet_notices_total{outcome!="delivered"}', "notices {{outcome}}")], steps=True),
    ]),
    ("Freshness", [
        lines("Event to served", "From an event's arrival to the first served version that was trained on it.",
              quantiles("freshet_event_to_served_seconds"), "s"),
        heat_of_times("Event to served, all events", "How many took how long.", "freshet_event_to_served_seconds_bucket"),
        lines("Age", "Of the served version, and of the newest event by its own time.",
              [("freshet:model_age_seconds{}", "served version"), ("freshet:event_time_age_seconds{}", "newest event, by event time")], "s"),
    ]),
    ("Live quality", [
        lines("Log loss", "Of the served model, each event before it was learnt: recent window against the whole stream. Marks are above all panels.",
              [("freshet_live_log_loss{}", "{{window}}")], "none"),
        lines("Accuracy and AUC", "The same, higher is better.",
              [("freshet_live_accuracy{}", "accuracy, {{window}}"), ("freshet_live_auc{}", "AUC, {{window}}"),
               ("freshet_live_f1_macro{}", "F1 macro, {{window}}")], "percentunit", most=1),
        lines("Errors of a regression", "Root of the mean square, and mean absolute.",
              [("freshet_live_rmse{}", "RMSE, {{window}}"), ("freshet_live_mae{}", "MAE, {{window}}")], "none"),
        lines("Drift: what the detectors watch", "In each detector's own terms.",
              [("freshet_drift_statistic{}", "{{detector}} on {{statistic}}")], "none"),
        lines("Drift: findings", "Only confirmed ones are changes; warnings and alarms come on any stream.",
              [("sum by (kind) (increase(freshet_drift_findings_total{}[$__rate_interval]))", "{{kind}}"),
               ("max(freshet_drift_state{})", "state (1 warning, 2 alarm)")], steps=True),
        lines("Labels and own measures", "Share of labels that look drawn blindly; what a model's own metrics() says.",
              [("freshet_label_noise_ratio{}", "label noise"), ("freshet_own_measure{}", "{{name}}")], "none"),
    ]),
    ("Forgetting", [
        heat_of_slices("Forgetting by slice", "Best accuracy of the slice so far minus now; red is forgotten.",
                       "max by (slice) (freshet_slice_forgetting{})", "continuous-GrYlRd", 0.3),
        heat_of_slices("Accuracy by slice", "On held-out events of the slice.", "max by (slice) (freshet_slice_accuracy{})",
                       "continuous-RdYlGr", 1),
        lines("Forgetting", "Over the past slices.", [("freshet_mean_forgetting{}", "mean"), ("freshet_max_forgetting{}", "largest")],
              "percentunit", width=12),
        lines("Transfer", "Backward below zero: old slices suffer from what was learnt since. Forward above zero: new slices gain from what was learnt before.",
              [("freshet_backward_transfer{}", "backward"), ("freshet_forward_transfer{}", "forward")], "none", width=12),
    ]),
    ("Sifting", [
        lines("Samples sifted", "Looked at, and left out of training.",
              [rate("freshet_samples_sifted_total", "looked at"), rate("freshet_samples_sifted_out_total", "left out")], "cps"),
        lines("Passes saved and spent", "It pays while what is saved is more than what choosing takes.",
              [rate("freshet_sifting_forwards_saved_total", "forward, saved"), rate("freshet_sifting_backwards_saved_total", "backward, saved"),
               rate("freshet_sifting_forwards_spent_total", "forward, spent")], "cps"),
        lines("Kept", "Share of the last round's samples; active 0 means that it rests since it would not pay.",
              [("freshet_sifting_accepted_ratio{}", "kept"), ("freshet_sifting_active{}", "active")], "percentunit", most=1),
    ]),
    ("Memory and state", [
        lines("Replay memory", "Events held, and how many it may hold.",
              [("freshet_replay_events{}", "events"), ("freshet_replay_capacity_events{}", "capacity")]),
        lines("Reading a replay sample", "The whole sample of a round. It rises when the events no longer fit the page cache.",
              quantiles("freshet_replay_read_seconds"), "s"),
        lines("Checkpoints", "Duration.", quantiles("freshet_checkpoint_duration_seconds"), "s"),
        lines("Checkpoints written, size", "None while events come: see FreshetCheckpointsStalled.",
              [("freshet_checkpoint_bytes{}", "size"), ], "bytes"),
        lines("Store", "Events appended; writes refused by the disk; checkpoints.",
              [rate("freshet_store_appended_events_total", "appended"), rate("freshet_store_write_failures_total", "refused"),
               rate("freshet_checkpoints_total", "checkpoints"), ("freshet_checkpoint_fallbacks_total{}", "damaged checkpoints, in all")], "short"),
        lines("Erasures", "Keys forgotten, their events, and keys that wait.",
              [("freshet_erasures_total{}", "keys"), ("freshet_events_erased_total{}", "events"), ("freshet_erasures_waiting{}", "waiting")],
              steps=True),
    ]),
    ("Gate and versions", [
        lines("Verdicts", "Candidates by what the gate found.",
              [("sum by (verdict) (rate(freshet_gate_verdicts_total{}[$__rate_interval]))", "{{verdict}}")], "cps", stacked=True),
        lines("Versions", "Served, and the one that would be gone back to.",
              [("freshet_model_version{}", "served"), ("freshet_gate_trusted_version{} > 0", "trusted")], "none", steps=True),
        lines("Swaps and rollbacks", "How often a version went live, and how often one gave way again.",
              [("increase(freshet_model_swaps_total{}[$__rate_interval])", "swaps"),
               ("increase(freshet_model_rollbacks_total{}[$__rate_interval])", "rollbacks")], steps=True),
        lines("Evidence against what is served", "In nats; at ln(1/alpha), 3.0 by default, it is rolled back.",
              [("freshet_gate_evidence_worse{}", "{{model}}"), ("freshet_gate_veto{}", "veto of the past")], "none", width=12),
        lines("Cost of the gate", "Share of a core that ingest spends on judging.",
              [("deriv(freshet_gate_seconds{}[$__rate_interval])", "{{model}}")], "percentunit", width=12),
    ]),
    ("Tuning", [
        lines("Study", "0 idle, 1 a study runs, 2 a challenger learns beside, 3 it takes over.",
              [("freshet_tuning_phase{}", "phase")], "none", steps=True),
        lines("Trials", "Of the running study, or of the last.", [("freshet_tuning_trials{}", "{{state}}")], steps=True),
        lines("Outcome", "Best objective (higher is better), and what became of challengers.",
              [("freshet_tuning_best_objective{}", "best objective"), ("freshet_tuning_challengers_total{}", "challengers {{end}}"),
               ("freshet_tuning_studies_total{}", "studies")], "none", steps=True),
    ]),
    ("Serving", [
        lines("Requests", "By status.", [("sum by (code) (rate(freshet_http_requests_total{}[$__rate_interval])) > 0", "{{code}}")],
              "reqps", stacked=True),
        lines("Time of a prediction request", "Parsing, encoding, the model, the answer.", quantiles("freshet_http_infer_seconds"), "s"),
        heat_of_times("Time of all requests", "Every route, as the server sees it.", "freshet_http_request_seconds_bucket"),
        lines("Rows predicted", "More than requests: clients send batches.", [rate("freshet_http_predictions_total", "rows")], "cps"),
        lines("Connections", "Open ones, and requests under way.",
              [("freshet_http_connections{}", "connections"), ("freshet_http_requests_in_flight{}", "requests in flight")]),
        lines("Turned away", "Connections refused beyond serving.connections_max, or closed to make way for others; requests cut off as too slow; errors.",
              [rate("freshet_http_connections_refused_total", "refused"), rate("freshet_http_timeouts_total", "too slow"),
               rate("freshet_http_connections_evicted_total", "made way"),
               rate("freshet_http_tls_handshakes_failed_total", "failed handshakes"),
               ('sum(rate(freshet_http_requests_total{code=~"5.."}[$__rate_interval]))', "5xx")], "reqps"),
        lines("Certificate", "Time until the certificate in use expires.",
              [("freshet_tls_certificate_expiry_timestamp_seconds{} - time()", "{{pod}}{{instance}}")], "s"),
        lines("Tokens and certificates", "Changed files that were read again: taken, or refused and the old ones kept.",
              [("sum by (secret, result) (increase(freshet_secret_reloads_total{}[$__rate_interval]))", "{{secret}} {{result}}")]),
    ]),
    ("Process and disk", [
        lines("Processor", "Cores in use.", [rate("process_cpu_seconds_total", "{{pod}}{{instance}}")], "none"),
        lines("Memory", "Resident. The page cache is not in it.", [("process_resident_memory_bytes{}", "{{pod}}{{instance}}")], "bytes"),
        lines("Disk", "Free on the volume with the state.",
              [("freshet_disk_available_bytes{}", "free"), ("freshet_disk_size_bytes{}", "size")], "bytes"),
        lines("Files and threads", "Open descriptors against their limit.",
              [("process_open_fds{}", "open files"), ("process_max_fds{}", "limit"), ("process_threads{}", "threads")]),
        lines("Address space", "Maps files of the store too; of little meaning by itself.",
              [("process_virtual_memory_bytes{}", "{{pod}}{{instance}}")], "bytes"),
        lines("Starts", "Time since the start of the process: a saw tooth is a process that keeps dying.",
              [("time() - process_start_time_seconds{}", "{{pod}}{{instance}}"), ("freshet_build_info{} * 0", "{{version}}")], "s"),
    ]),
]

# Marks over all panels: name, expression that is above zero where something happened, text, colour, shown from the start.
MARKS = [
    ("Drift", 'sum by (model, detector, statistic) (increase(freshet_drift_findings_total{kind="confirmed"}[2m])) > 0',
     "confirmed change: {{detector}} on {{statistic}}", "orange", True),
    ("Rollback", "increase(freshet_model_rollbacks_total{}[2m]) > 0", "rolled back", "red", True),
    ("Study", "increase(freshet_tuning_studies_total{}[2m]) > 0", "a study begins", "purple", True),
    ("Challenger adopted", 'increase(freshet_tuning_challengers_total{end="adopted"}[2m]) > 0', "new settings take over",
     "blue", True),
    ("Swap", "increase(freshet_model_swaps_total{}[2m]) > 0", "a version went live", "light-green", False),
    ("Start", "changes(process_start_time_seconds{}[2m]) > 0", "the process was started", "gray", True),
]


def variable(name, label, query, every=".*"):
    return {"name": name, "label": label, "type": "query", "datasource": SOURCE, "definition": query,
            "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
            "allValue": every, "current": {"text": ["All"], "value": ["$__all"]}}


def dashboard():
    panels, top = [], 0
    for title, row in ROWS:
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1}})
        top += 1
        left = height = 0
        for each in row:
            size = each["gridPos"]
            if left + size["w"] > COLUMNS:
                top, left, height = top + height, 0, 0
            size.update(x=left, y=top)
            left += size["w"]
            height = max(height, size["h"])
            panels.append(each)
        top += height
    for i, each in enumerate(panels, 1):
        each["id"] = i
    marks = [{"name": name, "datasource": SOURCE, "enable": shown, "hide": False, "iconColor": color,
              "expr": select(expression), "step": "60s", "titleFormat": name, "textFormat": text, "tagKeys": "model"}
             for name, expression, text, color, shown in MARKS]
    return {
        "uid": "freshet", "title": "Freshet", "tags": ["freshet"], "schemaVersion": 39, "editable": True,
        "description": "Whether it learns, lags, forgets and serves. Made by cmake/dev/dashboard.py.",
        "time": {"from": "now-6h", "to": "now"}, "refresh": "30s", "graphTooltip": 1, "timezone": "browser",
        "annotations": {"list": marks},
        "templating": {"list": [
            {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1,
             "current": {}},
            variable("namespace", "Namespace", "label_values(freshet_build_info, namespace)"),
            variable("job", "Job", 'label_values(freshet_build_info{namespace=~"$namespace"}, job)'),
            variable("pod", "Pod", 'label_values(freshet_build_info{namespace=~"$namespace",job=~"$job"}, pod)'),
            # A model there must be: other processes have process_* too.
            variable("model", "Model", 'label_values(freshet_build_info{namespace=~"$namespace",job=~"$job"}, model)', ".+"),
        ]},
        "panels": panels,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    text = json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
    if not parser.parse_args().check:
        print(text, end="")
    elif DASHBOARD.read_text() != text:
        print("helm/freshet/dashboards/freshet.json is not as cmake/dev/dashboard.py makes it; run it again", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
