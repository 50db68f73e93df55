#!/usr/bin/env python3
"""Studies on the optical digits in Freshet, Syne Tune and Optuna, turn by turn on the same machine.

  bench/peers/setup.sh tuning; ~/.cache/freshet/peers/tuning/bin/python bench/tuning/prepare.py; ./dev bench tuning
  bench/tuning_vs_peers.py [--turns 3] [--first-seed 1] [--runs RUNS.jsonl] [--only freshet,optuna] [--table]

A turn is one seed: 64 trials of at most 27 epochs, grace 1, eta 3, two workers (Optuna also with one, where it is
faster). Peers train in PyTorch, Freshet by its own kernels. The ratio counts, turn by turn. --runs adds to a file, so
that turns can be run in pieces; --table prints what the file holds.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FRESHET = [("freshet asha, random", ["--searcher", "random"]), ("freshet asha, kde", ["--searcher", "kde"]),
           ("freshet asha, gp", ["--searcher", "gp"])]
OPTUNA = [("optuna tpe, halving, 2 threads", "optuna_tpe_halving", 2),
          ("optuna tpe, halving, 1 thread", "optuna_tpe_halving", 1),
          ("optuna random, halving, 1 thread", "optuna_random_halving", 1)]
SYNE_TUNE = [("syne tune asha, 2 processes", "syne_tune_asha", 2)]


def run_freshet(binary, name, options, seed):
    command = [binary, *options, "--scheduler", "asha", "--seeds", "1", "--first-seed", str(seed)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {**json.loads(done.stdout.splitlines()[0]), "name": name}


def run_peer(python, name, tuner, workers, seed):
    command = [python, str(HERE / "peers/tuning_digits.py"), "--tuner", tuner, "--seed", str(seed), "--workers", str(workers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "name": name}


def median(values):
    return statistics.median(values) if values else float("nan")


def table(runs):
    names = list(dict.fromkeys(run["name"] for run in runs))
    print("| tuner | studies | seconds | epochs | trials a minute | best F1, mean (least) | s to 0.97 | s to 0.98 (reached) |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        own = [run for run in runs if run["name"] == name]
        best = [run["best"] for run in own]
        to = {level: [run[f"seconds_to_{level}"] for run in own if f"seconds_to_{level}" in run] for level in (0.97, 0.98)}
        print(f"| {name} | {len(own)} | {median([r['seconds'] for r in own]):.2f} | {median([r['epochs'] for r in own]):.0f} "
              f"| {median([r['trials_per_minute'] for r in own]):,.0f} | {statistics.mean(best):.4f} ({min(best):.4f}) "
              f"| {median(to[0.97]):.2f} | {median(to[0.98]):.2f} ({len(to[0.98])} of {len(own)}) |")
    turns = {}
    for run in runs:
        turns.setdefault(run["seed"], {}).setdefault(run["name"], run)
    for ours in (name for name in names if name.startswith("freshet")):
        for peer in ("syne tune", "optuna"):
            ratios = []
            for turn in turns.values():
                rates = [run["trials_per_minute"] for name, run in turn.items() if name.startswith(peer)]
                if ours in turn and rates:
                    ratios.append(turn[ours]["trials_per_minute"] / max(rates))
            if ratios:
                print(f"{ours} / best of {peer}: {median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = pathlib.Path(os.environ.get("FRESHET_CACHE", pathlib.Path.home() / ".cache/freshet"))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--bench", default=str(HERE.parent / "build/release/bench/tuning_bench"))
    parser.add_argument("--python", default=str(cache / "peers/tuning/bin/python"))
    parser.add_argument("--only", default="freshet,optuna,syne_tune")
    parser.add_argument("--runs", metavar="JSONL", type=pathlib.Path)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    runs = [json.loads(line) for line in args.runs.read_text().splitlines()] if args.runs and args.runs.exists() else []
    only = args.only.split(",")
    for seed in [] if args.table else range(args.first_seed, args.first_seed + args.turns):
        turn = []
        if "freshet" in only:
            turn += [run_freshet(args.bench, name, options, seed) for name, options in FRESHET]
        for peer, kinds in (("optuna", OPTUNA), ("syne_tune", SYNE_TUNE)):
            if peer in only:
                turn += [run_peer(args.python, *kind, seed) for kind in kinds]
        runs += turn
        if args.runs:
            with args.runs.open("a") as file:
                file.writelines(json.dumps(run) + "\n" for run in turn)
        print(f"turn {seed}: " + "  ".join(f"{run['name']} {run['trials_per_minute']:,.0f}/min ({run['best']:.3f})"
                                          for run in turn), file=sys.stderr, flush=True)
    table(runs)


if __name__ == "__main__":
    main()
