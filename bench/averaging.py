#!/usr/bin/env python3
"""Raw, moving-average and averaged weights of the same training on held-out flights, seed by seed.

  bench/averaging.py --input flights.jsonl [--seeds 5] [--learning-rates 0.02,0.05] [--runs RUNS.jsonl]

Which weights are served changes nothing in the training, so two runs with one seed differ in nothing else. Each run is
`freshet backtest` with a tenth of the flights held out by a hash of their key (training never sees them), over the
stream cut at several ends. Four measures come of it:

  all            test-then-train over all flights: the usual figure of a backtest
  held out       the same over the held-out flights alone, by the model that was served when they came
  next           the last --next flights of a cut stream, by the weights that were served before them and kept as they
                 were (the features' statistics go on): how well one set of weights lasts
  whole year     all held-out flights of the stream so far, by the weights that stand at its end

The table shows the mean over seeds (and ends), and the paired difference from raw with a 95 % interval over the seeds.
Runs that stand in the file --runs already are not done again.
"""
import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
T_95 = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
HELD_OUT = ["evaluation.held_out.share=0.1", "evaluation.held_out.per_slice=100000", "log.level=error"]
MEASURES = ["all", "held out", "next", "whole year"]


def weights(decays, counts):
    kinds = [("raw", ["serving.weights=raw"])]
    kinds += [(f"ema {d}", ["serving.weights=ema", f"learning.ema.decay={d}"]) for d in decays]
    kinds += [(f"average {n}", ["serving.weights=average", f"learning.average.last={n}"]) for n in counts]
    return kinds


def backtest(args, source, end, sets):
    command = [args.freshet, "backtest", "--quiet", "--config", args.config, "--input", source, "--baseline-after",
               str(end - args.next)]
    for entry in HELD_OUT + sets:
        command += ["--set", entry]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    got = json.loads(done.stdout)
    scores = {"all": got, "held out": got["held_out"]["as_they_came"], "next": got["baseline"]["frozen_weights"],
              "whole year": got["held_out"]["final_model"]}
    events = {"all": got["events"], "held out": got["held_out"]["events"], "next": got["baseline"]["events"],
              "whole year": got["held_out"]["events_kept"]}
    return {m: {"log_loss": scores[m]["log_loss"], "auc": scores[m]["auc"], "events": events[m]} for m in MEASURES}


def interval(values):
    if len(values) < 2:
        return float("nan")
    return T_95[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))


def table(runs, kinds, rate, seeds, ends):
    def value(name, seed, measure, score):
        # Over the whole stream where the measure runs along it, over the ends where it is one model's.
        at = ends[-1:] if measure in ("all", "held out") else ends
        return statistics.mean(runs[(name, rate, seed, end)][measure][score] for end in at)

    events = {m: [runs[("raw", rate, seeds[0], end)][m]["events"] for end in ends] for m in MEASURES}
    print(f"\nlearning rate {rate}, {len(seeds)} seeds; held out {events['held out'][-1]:,} flights, next "
          f"{events['next'][-1]:,} at each of {len(ends)} ends, whole year {events['whole year']}\n")
    print("| weights | " + " | ".join(f"{m}: log loss, AUC" for m in MEASURES) + " |")
    print("|---|" + "---|" * len(MEASURES))
    for name, _ in kinds:
        cells = []
        for measure in MEASURES:
            means = [statistics.mean(value(name, s, measure, score) for s in seeds) for score in ("log_loss", "auc")]
            cell = f"{means[0]:.5f}, {means[1]:.5f}"
            if name != "raw":
                for score, unit in (("log_loss", 1e5), ("auc", 1e5)):
                    differences = [unit * (value(name, s, measure, score) - value("raw", s, measure, score))
                                   for s in seeds]
                    cell += f"; {statistics.mean(differences):+.0f} ± {interval(differences):.0f}"
            cells.append(cell)
        print(f"| {name} | " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True)
    parser.add_argument("--config", default=str(HERE.parent / "examples/flights.yaml"))
    parser.add_argument("--freshet", default=str(HERE.parent / "build/release/freshet"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ends", type=int, default=4, help="the stream is cut at so many even parts")
    parser.add_argument("--next", type=int, default=10000)
    parser.add_argument("--learning-rates", default="0.02")
    parser.add_argument("--decays", default="0.8,0.9,0.95,0.99,0.999,0.9999")
    parser.add_argument("--counts", default="2,4,8,16")
    parser.add_argument("--runs", metavar="FILE")
    args = parser.parse_args()
    kinds = weights(args.decays.split(","), args.counts.split(","))
    rates = args.learning_rates.split(",")
    seeds = list(range(1, args.seeds + 1))
    lines = pathlib.Path(args.input).read_bytes().splitlines(keepends=True)
    ends = [len(lines) * (i + 1) // args.ends for i in range(args.ends)]
    runs = {}
    if args.runs and pathlib.Path(args.runs).exists():
        for line in pathlib.Path(args.runs).read_text(encoding="utf-8").splitlines():
            run = json.loads(line)
            runs[tuple(run["key"])] = run["measures"]
    with tempfile.TemporaryDirectory() as scratch:
        for end in ends:
            source = f"{scratch}/{end}.jsonl"
            pathlib.Path(source).write_bytes(b"".join(lines[:end]))
            for seed in seeds:
                for rate in rates:
                    for name, sets in kinds:
                        key = (name, rate, seed, end)
                        if key in runs:
                            continue
                        runs[key] = backtest(args, source, end, sets + [f"model.seed={seed}",
                                                                        f"learning.learning_rate={rate}"])
                        if args.runs:
                            with open(args.runs, "a", encoding="utf-8") as file:
                                file.write(json.dumps({"key": key, "measures": runs[key]}) + "\n")
                print(f"stream to flight {end:,}, seed {seed}: done", file=sys.stderr, flush=True)
    for rate in rates:
        table(runs, kinds, rate, seeds, ends)


if __name__ == "__main__":
    main()
