#!/usr/bin/env python3
"""Vowpal Wabbit on the flights stream, test-then-train from the first event, in process.

  bench/peers/setup.sh vw
  ~/.cache/freshet/peers/vw/bin/python bench/peers/vw_flights.py --input flights.jsonl [--runs 5] [--json OUT]

Ways to feed it, all timed from opening the workspace to closing it, and each predicting every event before learning
from it (its learner is online, so predictions are those a client would get with no delay at all):
  text      its own driver over a file in its own text format, parsing included: the fastest way it has
  json      the same driver over JSON lines in the layout its parser wants
  loop      a Python loop over the same text: parse, learn, read the prediction

Models; all have seven namespaces of one category each and one of ten numbers:
  pairs     picked namespace pairs, --power_t 0.1: the best trade found between speed and quality
  all       all pairs and --power_t 0.1: the best quality found (4 times as many features an event)
  default   all pairs, everything else as Vowpal Wabbit has it, with a table large enough

How they were picked: on this same stream, as was the configuration in examples/ that they are compared with. Tried
beside them: learning rates 0.1 to 1, --power_t 0 to 0.5, tables of 18 to 26 bits, FTRL, category pairs only, and
three-way crosses. None of them gets streaming target means, which Vowpal Wabbit does not compute; given such columns
from outside it does as well as a small network (log loss 0.4175, AUC 0.8110 in one run).
Writing the input in Vowpal Wabbit's layouts is not timed. Text mode and JSON mode differ by nothing but parsing.
"""
import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time

import vowpalwabbit

CATEGORIES = {"a": "carrier", "o": "origin", "d": "dest", "t": "tailnum", "m": "month", "w": "dow", "h": "hour"}
NUMBERS = ["distance", "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib", "built", "seats"]
COMMON = "--loss_function logistic --link logistic --quiet --no_stdin"
MODELS = {
    "pairs": "-b 22 --power_t 0.1 -q mn -q on -q mw -q om -q ow -q mh",
    "all": "-b 22 --power_t 0.1 -q ::",
    "default": "-b 22 -q ::",
}


def write_inputs(source, text_path, json_path):
    """Writes both layouts, returns the labels."""
    labels = []
    with open(source, encoding="utf-8") as f, open(text_path, "w") as text, open(json_path, "w") as js:
        for line in f:
            e = json.loads(line)
            labels.append(e["label"])
            sign = 1 if e["label"] else -1
            numbers = {k: round(e[k], 4) for k in NUMBERS if e[k] is not None}
            numbers.update({f"{k}_missing": 1 for k in NUMBERS if e[k] is None})
            spaces = {n: {str(e[k]): 1} for n, k in CATEGORIES.items()}
            js.write(json.dumps({"_label": sign, **spaces, "n": numbers}, separators=(",", ":")) + "\n")
            text.write(f"{sign} " + " ".join(f"|{n} {e[k]}" for n, k in CATEGORIES.items()) + " |n "
                       + " ".join(f"{k}:{v:g}" for k, v in numbers.items()) + "\n")
    return labels


def log_loss(labels, predictions):
    floor = 1e-7
    total = 0.0
    for y, p in zip(labels, predictions):
        p = min(max(p, floor), 1 - floor)
        total -= math.log(p if y else 1 - p)
    return total / len(labels)


def auc(labels, predictions):
    """Area under the ROC curve by the rank sum, ties sharing their mean rank."""
    order = sorted(range(len(labels)), key=predictions.__getitem__)
    ranks, i, n = 0.0, 0, len(order)
    while i < n:
        j, positives = i, 0
        while j < n and predictions[order[j]] == predictions[order[i]]:
            positives += labels[order[j]]
            j += 1
        ranks += positives * (i + 1 + j) / 2
        i = j
    positives = sum(labels)
    return (ranks - positives * (positives + 1) / 2) / (positives * (n - positives))


def run_driver(arguments, path, extra, scratch):
    out = os.path.join(scratch, "predictions.txt")
    started = time.perf_counter()
    vowpalwabbit.Workspace(f"{COMMON} {arguments} {extra} -d {path} -p {out}").finish()
    seconds = time.perf_counter() - started
    with open(out) as f:
        return seconds, [float(line) for line in f]


def run_loop(arguments, path):
    with open(path) as f:
        lines = f.read().splitlines()
    predictions = []
    started = time.perf_counter()
    vw = vowpalwabbit.Workspace(f"{COMMON} {arguments}")
    for line in lines:
        example = vw.parse(line)
        vw.learn(example)  # leaves the prediction made before the update
        predictions.append(vowpalwabbit.pyvw.get_prediction(example, vowpalwabbit.pyvw.PredictionType.SCALAR))
        vw.finish_example(example)
    vw.finish()
    return time.perf_counter() - started, predictions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="the stream as examples/flights/prepare.py writes it")
    parser.add_argument("--runs", type=int, default=5, help="runs of each; the median counts (default 5)")
    parser.add_argument("--models", default="pairs,all,default", help=f"some of {','.join(MODELS)}")
    parser.add_argument("--feeds", default="text,json,loop", help="some of text,json,loop")
    parser.add_argument("--json", metavar="OUT", help="write there as well as to stdout")
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        text, js = os.path.join(scratch, "flights.vw"), os.path.join(scratch, "flights.vwjson")
        labels = write_inputs(args.input, text, js)
        for model in args.models.split(","):
            for feed in args.feeds.split(","):
                seconds = []
                for _ in range(args.runs):
                    if feed == "loop":
                        took, predictions = run_loop(MODELS[model], text)
                    else:
                        took, predictions = run_driver(MODELS[model], js if feed == "json" else text,
                                                       "--json" if feed == "json" else "", scratch)
                    assert len(predictions) == len(labels), (len(predictions), len(labels))
                    seconds.append(took)
                median = statistics.median(seconds)
                results.append({
                    "system": f"vowpalwabbit {vowpalwabbit.__version__}", "model": model, "feed": feed,
                    "arguments": MODELS[model], "events": len(labels), "seconds": round(median, 3),
                    "seconds_runs": [round(s, 3) for s in seconds], "events_per_second": round(len(labels) / median),
                    "log_loss": round(log_loss(labels, predictions), 5), "auc": round(auc(labels, predictions), 5)})
                r = results[-1]
                print(f"{model:8} {feed:5} {r['events_per_second']:>9,}/s  log loss {r['log_loss']:.4f}  AUC {r['auc']:.4f}",
                      file=sys.stderr, flush=True)
    report = json.dumps(results, indent=1)
    print(report)
    if args.json:
        with open(args.json, "w") as f:
            f.write(report + "\n")


if __name__ == "__main__":
    main()
