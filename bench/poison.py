#!/usr/bin/env python3
"""What labels gone bad do to what is served, with the gate and without it.

    bench/poison.py --input flights.jsonl [--share 0.3] [--from 120000] [--events 25000] [--seeds 3]

A copy of the stream has `share` of the labels of a stretch turned round. Three backtests a seed: the stream as it is,
and the copy with the gate and without it. Every prediction that was served is scored against the *true* labels, which
only this script keeps: over the whole run, over the stretch, and over as many events after it. Prints a table and, with
--json, the figures.
"""
import argparse
import json
import math
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def poisoned_copy(source, target, begin, end, share, seed, label):
    """Returns the true labels, one a line of the source."""
    chance = random.Random(seed)
    truth = []
    with open(source) as lines, open(target, "w") as out:
        for number, line in enumerate(lines):
            event = json.loads(line)
            truth.append(event[label])
            if begin <= number < end and chance.random() < share:
                event[label] = 1 - event[label]
                line = json.dumps(event) + "\n"
            out.write(line)
    return truth


def backtest(binary, config, stream, sets, folder):
    said = pathlib.Path(folder) / "predictions.csv"
    command = [binary, "backtest", "--config", config, "--input", stream, "--quiet", "--predictions", said]
    for name, value in sets.items():
        command += ["--set", f"{name}={value}"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    losses = {}
    with open(said) as lines:
        next(lines)
        for line in lines:
            _, offset, _, p = line.split(",")
            losses[int(offset)] = float(p)
    return losses, json.loads(done.stdout)


def log_loss(predictions, truth, begin, end):
    total = count = 0
    for offset in range(begin, min(end, len(truth))):
        p = predictions.get(offset)
        if p is None:
            continue
        p = min(max(p, 1e-7), 1 - 1e-7)
        total -= math.log(p if truth[offset] else 1 - p)
        count += 1
    return total / count


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--input", required=True)
    arguments.add_argument("--config", default=HERE.parent / "examples/flights.yaml")
    arguments.add_argument("--binary", default=HERE.parent / "build/release/freshet")
    arguments.add_argument("--label", default="label")
    arguments.add_argument("--share", type=float, default=0.3)
    arguments.add_argument("--from", dest="begin", type=int, default=120_000)
    arguments.add_argument("--events", type=int, default=25_000)
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments.add_argument("--without-target-means", action="store_true",
                           help="leave out the features that are means of labels, one a line of the configuration")
    arguments.add_argument("--json")
    options = arguments.parse_args()
    more = dict(pair.split("=", 1) for pair in options.set)
    begin, end = options.begin, options.begin + options.events
    spans = {"run": (0, 10**9), "stretch": (begin, end), "after": (end, end + options.events)}
    found = {}
    for seed in range(1, options.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            spoilt = pathlib.Path(folder) / "spoilt.jsonl"
            config = options.config
            if options.without_target_means:
                config = pathlib.Path(folder) / "config.yaml"
                lines = pathlib.Path(options.config).read_text().splitlines(keepends=True)
                config.write_text("".join(line for line in lines if "target_mean" not in line))
            truth = poisoned_copy(options.input, spoilt, begin, end, options.share, seed, options.label)
            runs = {
                "clean, gate": (options.input, {}),
                "poisoned, gate": (spoilt, {}),
                "poisoned, no gate": (spoilt, {"serving.gate.enabled": "false"}),
            }
            for name, (stream, sets) in runs.items():
                chosen = {**more, **sets, "model.seed": seed}
                said, report = backtest(options.binary, config, stream, chosen, folder)
                row = {span: log_loss(said, truth, *place) for span, place in spans.items()}
                gate = report.get("gate")
                if gate:
                    row["verdicts"] = gate["verdicts"]
                    row["rollbacks"] = gate["rollbacks"]
                    row["gate_share"] = gate["gate_seconds"] / report["seconds"]
                found.setdefault(name, []).append(row)
                print(f"seed {seed}  {name:18}", json.dumps(row), file=sys.stderr)
    print(f"| {'run':18} | {'loss, run':>10} | {'stretch':>8} | {'after':>8} |  rejected |")
    print("|---|---|---|---|---|")
    base = found["clean, gate"]
    for name, rows in found.items():
        cells = []
        for span in spans:
            mean = statistics.mean(row[span] for row in rows)
            ratio = mean / statistics.mean(row[span] for row in base)
            cells.append(f"{mean:.4f} ({(ratio - 1) * 100:+.1f} %)")
        verdicts = [row.get("verdicts", {}) for row in rows]
        rejected = statistics.mean(sum(v.values()) - v["passed"] for v in verdicts) if verdicts[0] else 0
        print(f"| {name:18} | {' | '.join(cells)} | {rejected:.0f} |")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
