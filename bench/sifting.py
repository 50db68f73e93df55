#!/usr/bin/env python3
"""What sifting saves and what it costs: the trainer's CPU time and the model's quality, against training on everything.

    bench/sifting.py run --stream flights --input flights.jsonl --seed 1 --runs runs.jsonl
    bench/sifting.py run --stream mnist --input ~/.cache/freshet/mnist --seed 1 --runs runs.jsonl
    bench/sifting.py table --stream flights --runs runs.jsonl

`run` takes all variants under one seed, one after the other, with training on everything at the beginning, in the middle
and at the end, so that ratios of times come from the same minutes. `table` pairs the runs of each seed and prints means
with 95 % intervals of Student's t. Flights are scored test-then-train over the whole year; MNIST (a folder with its IDX
files, streamed once in an order of the seed's) on events that were held out.
"""
import argparse
import json
import math
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SIFT = "learning.sifting."

MNIST_CONFIG = """
model: {name: digits, architecture: mlp, hidden: [100, 100], task: multiclass, classes: 10}
stream: {topic: digits, label: label, time: ts, key: id, features: {image: {kind: vector, size: 784}}}
memory: {path: /var/lib/freshet, policy: reservoir, capacity_events: 1000000}
learning: {strategy: er, replay_ratio: 0.5, optimizer: sgd, learning_rate: 0.1, batch_size: 32,
           round: {every_events: 256}}
evaluation: {held_out: {share: 0.15, per_slice: 1000}, slices: {by: class}}
"""
AVERAGED = {"serving.weights": "ema", "learning.ema.decay": 0.999}  # of some ten rounds: less noise of the last steps


def sifted(beta, replay_beta=None, reweigh=True, kind="relative_probabilistic", **more):
    sets = {SIFT + "kind": kind, SIFT + "beta": beta, SIFT + "reweigh": str(reweigh).lower()}
    if replay_beta is not None:
        sets[SIFT + "replay_beta"] = replay_beta
    sets.update({SIFT + name: value for name, value in more.items()})
    return sets


def variants(stream):
    found = {}
    for beta in (0.25, 0.5, 1, 1.5, 2, 3) if stream == "flights" else (0.5, 0.95, 1, 2, 3):
        found[f"beta {beta:g}"] = sifted(beta, reweigh=False)
    for beta in (0.5, 0.75, 1, 1.25, 1.5, 2) if stream == "flights" else (0.5, 1, 2, 3):
        found[f"beta {beta:g}, reweighed"] = sifted(beta)
    if stream == "flights":
        for beta, replayed in ((1.5, 0.7), (1.75, 0.6), (1.4, 0.75)):
            found[f"beta {beta:g}, replayed {replayed:g}, reweighed"] = sifted(beta, replayed)
        found["rho, beta 1, reweighed"] = sifted(1, kind="rho")
    found["no sifting, a quarter replayed"] = {"learning.replay_ratio": 0.25}
    found["no sifting, nothing replayed"] = {"learning.strategy": "finetune"}
    return found


def read_idx(path):
    data = pathlib.Path(path).read_bytes()
    dimensions = data[3]
    sizes = struct.unpack(f">{dimensions}I", data[4:4 + 4 * dimensions])
    return sizes, data[4 + 4 * dimensions:]


def write_mnist(folder, seed, path):
    (count, rows, columns), pixels = read_idx(os.path.join(folder, "train-images-idx3-ubyte"))
    _, labels = read_idx(os.path.join(folder, "train-labels-idx1-ubyte"))
    size = rows * columns
    words = [f"{value / 255:.3g}" for value in range(256)]
    order = list(range(count))
    random.Random(seed).shuffle(order)
    with open(path, "w", encoding="ascii") as out:
        for at, i in enumerate(order):
            image = ",".join([words[value] for value in pixels[i * size:(i + 1) * size]])
            out.write(f'{{"id":"{i}","ts":{1700000000000 + at * 1000},"label":{labels[i]},"image":[{image}]}}\n')


def run_freshet(args, config, source, sets):
    command = [args.freshet, "backtest", "--quiet", "--config", config, "--input", source, "--set", "log.level=error",
               f"model.seed={args.seed}"]
    command += [f"{name}={value}" for name, value in {**(AVERAGED if args.averaged else {}), **sets}.items()]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def quality(stream, result):
    if stream == "flights":
        return {"auc": result["auc"], "log_loss": result["log_loss"]}
    return {"accuracy": result["forgetting"]["mean_score"], "log_loss": result["log_loss"]}


def run(args):
    chosen = {name: sets for name, sets in variants(args.stream).items()
              if not args.only or any(only in name for only in args.only)}
    with tempfile.TemporaryDirectory() as temporary, open(args.runs, "a", encoding="ascii") as out:
        config, source = str(HERE.parent / "examples/flights.yaml"), args.input
        if args.stream == "mnist":
            scratch = args.scratch or temporary
            config, source = os.path.join(temporary, "mnist.yaml"), os.path.join(scratch, f"mnist-{args.seed}.jsonl")
            pathlib.Path(config).write_text(MNIST_CONFIG, encoding="ascii")
            if not os.path.exists(source):
                write_mnist(args.input, args.seed, source)
        names = list(chosen)
        middle = len(names) // 2
        order = ["everything"] + names[:middle] + ["everything"] + names[middle:] + ["everything"]
        run_freshet(args, config, source, {})  # warms the page cache
        for name in order:
            result = run_freshet(args, config, source, chosen.get(name, {}))
            line = {"stream": args.stream, "seed": args.seed, "variant": name,
                    "trainer_cpu_seconds": result["trainer_cpu_seconds"], "seconds": result["seconds"],
                    "accepted_share": result.get("sifting", {}).get("accepted_share", 1.0),
                    **quality(args.stream, result)}
            out.write(json.dumps(line) + "\n")
            out.flush()
            print(line, file=sys.stderr, flush=True)


# Two-sided 95 % points of Student's t by degrees of freedom.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228,
           11: 2.201, 12: 2.179, 13: 2.160, 14: 2.145, 15: 2.131, 19: 2.093}


def interval(values):
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, math.nan
    freedom = len(values) - 1
    point = STUDENT[max(known for known in STUDENT if known <= freedom)]
    return mean, point * statistics.stdev(values) / math.sqrt(len(values))


def table(args):
    runs = [json.loads(line) for line in open(args.runs, encoding="ascii")]
    runs = [each for each in runs if each["stream"] == args.stream]
    measure = "auc" if args.stream == "flights" else "accuracy"
    by_seed = {}
    for each in runs:
        by_seed.setdefault(each["seed"], {}).setdefault(each["variant"], []).append(each)
    base = {seed: {key: statistics.median(each[key] for each in found["everything"])
                   for key in ("trainer_cpu_seconds", measure, "log_loss")} for seed, found in by_seed.items()}
    names = list(dict.fromkeys(each["variant"] for each in runs))
    print(f"| {args.stream}, {len(by_seed)} paired seeds | trained on | trainer CPU s | CPU saved | {measure}, points "
          "lost or won | log loss |")
    print("|---|---|---|---|---|---|")
    for name in names:
        pairs = [(statistics.median(each["trainer_cpu_seconds"] for each in found[name]), found[name][0], base[seed])
                 for seed, found in by_seed.items() if name in found]
        cpu = statistics.fmean(seconds for seconds, _, _ in pairs)
        share = statistics.fmean(each["accepted_share"] for _, each, _ in pairs)
        loss = statistics.fmean(each["log_loss"] for _, each, _ in pairs)
        if name == "everything":
            score = statistics.fmean(each[measure] for _, each, _ in pairs)
            print(f"| {name} | 100 % | {cpu:.3f} | | {measure} {score:.4f} | {loss:.4f} |")
            continue
        saved, saved_wide = interval([100 * (1 - seconds / whole["trainer_cpu_seconds"]) for seconds, _, whole in pairs])
        gain, gain_wide = interval([100 * (each[measure] - whole[measure]) for _, each, whole in pairs])
        print(f"| {name} | {100 * share:.0f} % | {cpu:.3f} | {saved:.0f} % ± {saved_wide:.0f} | "
              f"{gain:+.3f} ± {gain_wide:.3f} | {loss:.4f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, action in (("run", run), ("table", table)):
        command = commands.add_parser(name)
        command.set_defaults(action=action)
        command.add_argument("--stream", choices=("flights", "mnist"), default="flights")
        command.add_argument("--runs", required=True, help="results of single runs, JSON lines; `run` adds to it")
        if name == "run":
            command.add_argument("--input", required=True, help="flights.jsonl, or the folder of MNIST")
            command.add_argument("--seed", type=int, default=1)
            command.add_argument("--scratch", help="folder that keeps the streams of MNIST, 120 MB a seed")
            command.add_argument("--averaged", action="store_true", help="serve the moving average of the weights")
            command.add_argument("--only", action="append", help="variants whose name contains this")
            command.add_argument("--freshet", default=str(HERE.parent / "build/release/freshet"))
    args = parser.parse_args()
    args.action(args)


if __name__ == "__main__":
    main()
