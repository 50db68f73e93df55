#!/usr/bin/env python3
"""ER on Split-MNIST in Freshet, plain PyTorch and Avalanche, turn by turn on the same machine, one thread each.

  bench/continual/prepare.sh; bench/peers/setup.sh continual; ./dev bench continual --quick
  bench/continual_vs_peers.py [--turns 5] [--buffer 500] [--json OUT]

A turn is one seed through bench/peers/continual_torch.py, bench/peers/continual_avalanche.py and continual_bench, the
same protocol: MLP 784-100-100-10, SGD 0.03, mini-batches of 10 fresh and 10 replayed events, each event fresh once.
Events per second are those of training alone, by the clock and of the training thread's processor time. The ratio
counts, turn by turn: machines are noisy, turns drift together.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PEERS = {"torch": "continual_torch.py", "avalanche": "continual_avalanche.py"}


def run_peer(python, script, seed, args):
    command = [python, str(HERE / "peers" / script), "--buffer", str(args.buffer), "--seeds", str(seed)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return json.loads(done.stdout)["runs"][0]


def run_freshet(binary, seed, args, scratch):
    out = os.path.join(scratch, "freshet.json")
    command = [binary, "--run", "er", "--buffer", str(args.buffer), "--seeds", "1", "--first-seed", str(seed), "--json", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(out) as file:
        return json.load(file)["runs"][0]["seeds"][0]


def spread(values):
    return {"median": round(statistics.median(values), 3), "least": round(min(values), 3), "most": round(max(values), 3)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = pathlib.Path(os.environ.get("FRESHET_CACHE", pathlib.Path.home() / ".cache/freshet"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--buffer", type=int, default=500)
    parser.add_argument("--bench", default=str(HERE.parent / "build/release/bench/continual_bench"))
    parser.add_argument("--python", default=str(cache / "peers/continual/bin/python"))
    parser.add_argument("--json", metavar="OUT")
    args = parser.parse_args()
    turns = []
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(1, args.turns + 1):
            turn = {name: run_peer(args.python, script, seed, args) for name, script in PEERS.items()}
            turn["freshet"] = run_freshet(args.bench, seed, args, scratch)
            turns.append(turn)
            print(f"turn {seed}: " + "  ".join(f"{name} {run['events_per_second']:,.0f}/s ({run['accuracy']:.3f})"
                                             for name, run in turn.items()), file=sys.stderr, flush=True)
    result = {"turns": args.turns, "buffer": args.buffer}
    for name in ("freshet", *PEERS):
        runs = [turn[name] for turn in turns]
        result[name] = {"events_per_second": round(statistics.median(run["events_per_second"] for run in runs)),
                        "events_per_cpu_second": round(statistics.median(run["events_per_cpu_second"] for run in runs)),
                        "accuracy": round(statistics.mean(run["accuracy"] for run in runs), 4),
                        "forgetting": round(statistics.mean(run["forgetting"] for run in runs), 4)}
    for name in PEERS:
        for unit in ("second", "cpu_second"):
            result[f"ratio_to_{name}_by_{unit}"] = spread(
                [turn["freshet"][f"events_per_{unit}"] / turn[name][f"events_per_{unit}"] for turn in turns])
    text = json.dumps(result, indent=2)
    print(text)
    if args.json:
        pathlib.Path(args.json).write_text(text + "\n")


if __name__ == "__main__":
    main()
