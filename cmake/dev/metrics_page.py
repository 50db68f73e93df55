#!/usr/bin/env python3
"""Makes docs/metrics.md of the metrics that the sources declare and of the groups below.

    cmake/dev/metrics_page.py > docs/metrics.md
    cmake/dev/metrics_page.py --check              the page is as it would be made now
    cmake/dev/metrics_page.py --live EXPOSITION    a daemon's /metrics shows what the page says, and nothing else

Name, kind and help are read from the declarations. A declaration that is in no group, a line of a group that nothing
declares, and a text that looks like a metric's name but is no declaration that is understood, are errors.
"""
import argparse
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "metrics.md"
ROOMS = ("core", "stream", "storage", "learners", "serving", "daemon")

Declared = collections.namedtuple("Declared", "kind help file")
Line = collections.namedtuple("Line", "name labels when unit", defaults=("", "", ""))

# What groups the metrics: title, what to do with them, and a line for each: its labels beside `model`, when it is there
# if not always, and its unit where the name does not say it.
GROUPS = [
    ("Stream", """How far the model is behind the topic, and what became of the records. `freshet_lag_seconds` is the one to alert
on: it also grows while no broker can be heard, when nobody knows how many records wait. `freshet_lag_events` then stays at what was last known. A share
of dead letters that rises means that the producer's format has changed; `reason` says how, and the dead-letter topic holds the records.""", [
        Line("freshet_events_consumed_total"),
        Line("freshet_events_decoded_total"),
        Line("freshet_records_skipped_total", "reason"),
        Line("freshet_dead_letters_total", "reason"),
        Line("freshet_lag_events", "partition", "once a partition has been fetched from", "records"),
        Line("freshet_lag_seconds", "partition", "once a partition has been fetched from"),
        Line("freshet_assigned_partitions", unit="partitions"),
        Line("freshet_consumer_paused", unit="0 or 1"),
        Line("freshet_rebalances_total"),
        Line("freshet_offset_gaps_total"),
        Line("freshet_offsets_lost_total"),
        Line("freshet_broker_rtt_seconds", "broker", "once a broker has answered"),
        Line("freshet_kafka_errors_total", "error", "after the first error of its kind"),
        Line("freshet_notices_total", "outcome", "with `drift.topic`"),
    ]),
    ("Learning", """Whether it learns, and how fast. `rate(freshet_events_total)` is the events learnt from in a second. Rounds that fail
and steps that are skipped should stay at zero; weights that were restored mean that training diverged: lower the learning rate, or clip gradients.""", [
        Line("freshet_events_total"),
        Line("freshet_events_held_out_total"),
        Line("freshet_rounds_total"),
        Line("freshet_rounds_failed_total"),
        Line("freshet_round_duration_seconds"),
        Line("freshet_training_steps_total"),
        Line("freshet_training_steps_skipped_total"),
        Line("freshet_weights_restored_total"),
        Line("freshet_samples_fresh_total"),
        Line("freshet_samples_replayed_total"),
        Line("freshet_samples_unusable_total"),
        Line("freshet_learning_rate", unit="per step"),
        Line("freshet_learning_stopped", unit="0 or 1"),
        Line("freshet_redoing", unit="0 or 1"),
    ]),
    ("Sifting", """What `learning.sifting` leaves out and what that saves. It pays where passes saved exceed those spent on choosing;
where they do not it rests by itself (`freshet_sifting_active` 0). All zero without sifting.""", [
        Line("freshet_samples_sifted_total"),
        Line("freshet_samples_sifted_out_total"),
        Line("freshet_sifting_forwards_saved_total"),
        Line("freshet_sifting_backwards_saved_total"),
        Line("freshet_sifting_forwards_spent_total"),
        Line("freshet_sifting_accepted_ratio"),
        Line("freshet_sifting_active", unit="0 or 1"),
    ]),
    ("Freshness", """How old what is served is. `freshet_event_to_served_seconds` runs from an event's arrival to the first served
version that was trained on it, gate included; events of the held-out sets are not counted. `time() - freshet_model_live_since_seconds` is the age of
the served version, `time() - freshet_event_time_seconds` that of the newest event by its own time.""", [
        Line("freshet_event_to_served_seconds"),
        Line("freshet_model_live_since_seconds", unit="seconds since 1970"),
        Line("freshet_event_time_seconds", unit="seconds since 1970"),
        Line("freshet_model_version", unit="version"),
        Line("freshet_model_swaps_total"),
        Line("freshet_model_rollbacks_total"),
    ]),
    ("Live quality", """The served model's quality on events that it predicted before anyone learnt from them: over the whole
stream (`window="stream"`) and over the last `evaluation.window_events` (`window="recent"`). Compare the two: a recent log loss well above the stream's means that
the stream changed faster than the model follows, or that labels went bad. Which of these there are follows from the task.""", [
        Line("freshet_live_*", "window", "by task, after the first events", "as its name says"),
        Line("freshet_own_measure", "name", "with a TorchScript model that has `metrics`", "the model's own"),
        Line("freshet_label_noise_ratio", "", "with the gate, of classes"),
    ]),
    ("Forgetting", """What the model has unlearnt, on held-out events of each slice (`evaluation.held_out.share`,
`evaluation.slices.by`). Where forgetting rises, raise `learning.replay_ratio` or the memory's capacity, or take another strategy.""", [
        Line("freshet_slice_accuracy", "slice", "with slices, once measured", "share, 0 to 1"),
        Line("freshet_slice_forgetting", "slice", "with slices, once measured", "share, 0 to 1"),
        Line("freshet_mean_forgetting", "", "with slices, once measured", "share, 0 to 1"),
        Line("freshet_max_forgetting", "", "with slices, once measured", "share, 0 to 1"),
        Line("freshet_backward_transfer", "", "with slices, once measured", "share, -1 to 1"),
        Line("freshet_forward_transfer", "", "with slices, once measured", "share, -1 to 1"),
    ]),
    ("Drift", """What the detectors of `drift.detectors` see. Only `kind="confirmed"` is a change that a second test agreed to; warnings
and alarms alone are frequent on any stream.""", [
        Line("freshet_drift_findings_total", "detector, kind, statistic", "with detectors"),
        Line("freshet_drift_statistic", "detector, statistic", "with detectors", "the detector's own"),
        Line("freshet_drift_state", "detector, statistic", "with detectors", "0, 1 or 2"),
    ]),
    ("Gate", """What became of candidates: `passed`; `worse` and `slice_worse` than what is served; `unproven` after a rejection; `paused` and `pinned`
by an operator. Some rejections are chance (`serving.gate.alpha`). Where nearly all are rejected the stream's labels or the model's settings need a look;
`freshet model` shows what the gate said of each version.""", [
        Line("freshet_gate_verdicts_total", "verdict", "with the gate"),
        Line("freshet_gate_seconds", "", "with the gate"),
        Line("freshet_gate_trusted_version", "", "with the gate", "version"),
        Line("freshet_gate_evidence_worse", "", "with the gate", "nats"),
        Line("freshet_gate_veto", "", "with the gate", "0 or 1"),
    ]),
    ("Tuning", """Studies that a confirmed change begins (`tuning.on_drift`).""", [
        Line("freshet_tuning_studies_total"),
        Line("freshet_tuning_phase", unit="0 to 3"),
        Line("freshet_tuning_trials", "state", "once a study has run", "trials"),
        Line("freshet_tuning_best_objective", unit="the objective's own"),
        Line("freshet_tuning_challengers_total", "end"),
    ]),
    ("State and disk", """The replay memory, the store and its volume. A full disk stops learning, not serving: alert on
`freshet_disk_available_bytes` before it is. Time since the last of `freshet_checkpoints_total` is the work that a kill would have redone.""", [
        Line("freshet_replay_events", unit="events"),
        Line("freshet_replay_capacity_events", unit="events"),
        Line("freshet_replay_read_seconds"),
        Line("freshet_store_appended_events_total"),
        Line("freshet_store_write_failures_total"),
        Line("freshet_store_waits_total"),
        Line("freshet_checkpoints_total"),
        Line("freshet_checkpoint_fallbacks_total"),
        Line("freshet_checkpoint_bytes"),
        Line("freshet_checkpoint_duration_seconds"),
        Line("freshet_erasures_total"),
        Line("freshet_erasures_waiting", unit="keys"),
        Line("freshet_events_erased_total"),
        Line("freshet_disk_size_bytes"),
        Line("freshet_disk_available_bytes"),
    ]),
    ("Serving", """Requests and their times. `freshet_http_infer_seconds` is what a prediction takes inside the server;
`freshet_http_request_seconds` is of all routes. Rows that rise while requests do not mean larger batches.""", [
        Line("freshet_http_requests_total", "code"),
        Line("freshet_http_request_seconds"),
        Line("freshet_http_infer_seconds"),
        Line("freshet_http_predictions_total"),
        Line("freshet_http_requests_in_flight", unit="requests"),
        Line("freshet_http_connections", unit="connections"),
        Line("freshet_http_connections_refused_total"),
        Line("freshet_http_timeouts_total"),
        Line("freshet_http_connections_evicted_total"),
        Line("freshet_http_tls_handshakes_failed_total"),
        Line("freshet_secret_reloads_total", "result, secret", "with files of tokens or certificates"),
        Line("freshet_tls_certificate_expiry_timestamp_seconds", "", "with TLS", "seconds since 1970"),
    ]),
    ("Process", """The process itself, under the names that Prometheus' client libraries use.""", [
        Line("process_cpu_seconds_total"),
        Line("process_resident_memory_bytes"),
        Line("process_virtual_memory_bytes"),
        Line("process_threads", unit="threads"),
        Line("process_open_fds", unit="descriptors"),
        Line("process_max_fds", unit="descriptors"),
        Line("process_start_time_seconds", unit="seconds since 1970"),
        Line("freshet_build_info", "compiler, version", unit="always 1"),
    ]),
]

UNITS = (("_seconds_total", "seconds"), ("_total", "count"), ("_seconds", "seconds"), ("_bytes", "bytes"),
         ("_ratio", "share, 0 to 1"))

NAME = re.compile(r'"((?:freshet|process)_[a-z0-9_]*)"')
HELP = re.compile(r'\s*(\+[^,]+)?,\s*((?:"(?:[^"\\]|\\.)*"\s*)+)')
KIND = re.compile(r"\b(counter|gauge|histogram|show)\(\s*$")
REASONS = re.compile(r"\{\s*metrics,\s*$")  # ReasonCounters, a counter for each reason


def without_comments(text):
    return re.sub(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*', lambda match: match.group(1) or "", text)


CONSTANT = re.compile(r'\bconstexpr\s+[\w:\s*]+?\b(k\w+)\s*(?:=\s*|\{)\s*((?:"(?:[^"\\\n]|\\.)*"\s*)+)\}?;')


def with_constants(text):
    """The text with its own constants that hold texts put where they are used."""
    for constant, words in CONSTANT.findall(text):
        text = re.sub(rf"\b{constant}\b", lambda _, words=words: words, CONSTANT.sub("", text))
    return text


def declarations(root):
    """The metrics that the sources declare, by name, and what went wrong."""
    found, wrong, used = {}, [], []
    for room in ROOMS:
        for path in sorted((root / room).rglob("*")):
            if path.suffix not in (".cc", ".h"):
                continue
            name_in_tree = path.relative_to(root).as_posix()
            text = with_constants(without_comments(path.read_text()))
            for match in NAME.finditer(text):
                before, after = text[:match.start()], HELP.match(text, match.end())
                kind = KIND.search(before)
                if kind is None and not REASONS.search(before) or after is None:
                    used.append((match.group(1), name_in_tree))
                    continue
                kind = kind.group(1).replace("show", "gauge") if kind else "counter"
                name = match.group(1) + ("*" if after.group(1) else "")
                words = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', after.group(2)))
                declared = Declared(kind, words, name_in_tree)
                if name in found and found[name][:2] != declared[:2]:
                    wrong.append(f"{name_in_tree}: {name} is declared as something else in {found[name].file}")
                found[name] = declared
    wrong += [f"{file}: {name} is in no declaration that is understood" for name, file in used
              if name not in found and not name.startswith("freshet_live_")]
    return found, wrong


def live_names(root):
    """The measures of freshet_live_*."""
    text = (root / "learners" / "evaluation" / "metrics.cc").read_text()
    return list(dict.fromkeys(re.findall(r'values\.push_back\(\{"([a-z0-9_]+)"', text)))


def unit_of(line):
    if line.unit:
        return line.unit
    for suffix, unit in UNITS:
        if line.name.endswith(suffix):
            return unit
    raise SystemExit(f"{line.name} needs a unit")


def check_groups(declared, root):
    lines = [line for _, _, group in GROUPS for line in group]
    names = [line.name for line in lines]
    wrong = [f"{name} stands in two groups" for name, times in collections.Counter(names).items() if times > 1]
    wrong += [f"{name} ({declared[name].file}) is in no group of {pathlib.Path(__file__).name}"
              for name in sorted(set(declared) - set(names))]
    wrong += [f"{name} is in a group, but nothing declares it" for name in sorted(set(names) - set(declared))]
    for line in lines:
        text = (root / declared[line.name].file).read_text() if line.name in declared else ""
        for label in filter(None, line.labels.split(", ")):
            folder = (root / declared[line.name].file).parent if line.name in declared else root
            near = text + "".join(path.read_text() for path in sorted(folder.glob("*.cc")))
            if f'{{"{label}", ' not in near:
                wrong.append(f"{line.name} has no label {label} in {declared[line.name].file} or beside it")
    return wrong


def page(declared, root):
    out = ["# Metrics", "",
           "<!-- Made by cmake/dev/metrics_page.py out of the declarations in the sources; a test holds it to them and to a "
           "daemon's /metrics. -->", "",
           "What `GET /metrics` shows, in Prometheus' text format. Every sample has the label `model` (`model.name`); the "
           "column *labels* names the others.",
           "Histograms also give `_bucket`, `_sum` and `_count`. Counters begin at 0 with the process: take `rate` or "
           "`increase` of them.",
           "A metric has at most 2,000 series; label sets beyond that share one whose values are `other`.", "",
           "Ready-made: recording rules and alerts in [helm/freshet/rules](../helm/freshet/rules/freshet.rules.yaml), each "
           "alert with its page in [operations.md](operations.md#alerts), and a",
           "[Grafana dashboard](../helm/freshet/dashboards/freshet.json).", ""]
    for title, words, lines in GROUPS:
        out += [f"## {title}", "", words, "", "| metric | type | labels | unit | what it says |", "|---|---|---|---|---|"]
        for line in lines:
            help_text = declared[line.name].help.replace("|", "\\|")
            if line.name.endswith("*"):
                measures = ", ".join(f"`{name}`" for name in live_names(root))
                help_text += f" `*` is one of {measures}."
            if line.when:
                help_text += f" There {line.when}."
            labels = ", ".join(f"`{label}`" for label in filter(None, line.labels.split(", ")))
            out.append(f"| `{line.name}` | {declared[line.name].kind} | {labels} | {unit_of(line)} | {help_text} |")
        out.append("")
    return "\n".join(out).rstrip("\n") + "\n"


def exposition(text):
    """Kind, help and label names of each metric of a text in Prometheus' format."""
    found = {}
    for row in text.splitlines():
        words = row.split(" ", 3)
        if row.startswith("# HELP "):
            found.setdefault(words[2], {"labels": set()})["help"] = words[3] if len(words) > 3 else ""
        elif row.startswith("# TYPE "):
            found.setdefault(words[2], {"labels": set()})["kind"] = words[3]
        elif row:
            name = re.match(r"[a-zA-Z0-9_:]+", row).group()
            for suffix in ("", "_bucket", "_sum", "_count"):
                base = name.removesuffix(suffix)
                if base in found:
                    labels = re.findall(r'([a-zA-Z0-9_]+)="(?:[^"\\]|\\.)*"', row)
                    found[base]["labels"] |= set(labels) - {"model", "le"}
                    break
            else:
                raise SystemExit(f"a sample without its metric: {row}")
    return found


def check_live(shown, declared, root):
    expected = {}
    for _, _, lines in GROUPS:
        for line in lines:
            names = [line.name]
            if line.name.endswith("*"):
                names = [line.name[:-1] + measure for measure in live_names(root)]
            for name in names:
                expected[name] = (line, declared[line.name])
    wrong = [f"{name} is shown, but stands not on the page" for name in sorted(set(shown) - set(expected))]
    for name, (line, declaration) in expected.items():
        if name not in shown:
            if not line.when:
                wrong.append(f"{name} stands on the page as always there, and is not shown")
            continue
        if shown[name].get("kind") != declaration.kind:
            wrong.append(f"{name} is a {shown[name].get('kind')}, on the page a {declaration.kind}")
        if shown[name].get("help") != declaration.help.replace("\\n", "\n"):
            wrong.append(f"{name} says '{shown[name].get('help')}', on the page '{declaration.help}'")
        labels = set(filter(None, line.labels.split(", ")))
        if shown[name]["labels"] != labels:
            wrong.append(f"{name} has the labels {sorted(shown[name]['labels'])}, on the page {sorted(labels)}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--live", type=pathlib.Path, metavar="EXPOSITION")
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    arguments = parser.parse_args()
    declared, wrong = declarations(arguments.root)
    wrong += check_groups(declared, arguments.root)
    if arguments.live and not wrong:
        wrong += check_live(exposition(arguments.live.read_text()), declared, arguments.root)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    text = page(declared, arguments.root)
    if arguments.check:
        if (arguments.root / "docs" / "metrics.md").read_text() != text:
            print("docs/metrics.md is not as cmake/dev/metrics_page.py makes it; run it again", file=sys.stderr)
            return 1
    elif not arguments.live:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
