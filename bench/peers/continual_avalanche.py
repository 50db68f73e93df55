#!/usr/bin/env python3
"""Continual learning on Split-MNIST with Avalanche's own replay, one thread.

  bench/continual/prepare.sh; bench/peers/setup.sh continual
  ~/.cache/freshet/peers/continual/bin/python bench/peers/continual_avalanche.py [--buffer 500] [--seeds 1 2 3 4 5]

The protocol of bench/continual/protocol.h (split), as near as Avalanche's parts come: five experiences of two digits in
one pass, MLP 784-100-100-10, SGD 0.03, mini-batches of 10 fresh and 10 replayed events. `Naive` with `ReplayPlugin`,
whose memory (an ExperienceBalancedBuffer by default) takes events in at the end of an experience, so that the events of
the current task are never replayed within it. Data are tensors in memory; loggers are off. Prints a JSON object.
Seconds are those of strategy.train(), without loading and scoring.
"""
import argparse
import contextlib
import io
import json
import os
import pathlib
import statistics
import sys
import time
import warnings

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
warnings.filterwarnings("ignore")
import torch  # noqa: E402
from avalanche.benchmarks import nc_benchmark  # noqa: E402
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin  # noqa: E402
from avalanche.training.supervised import Naive  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import continual_torch as plain  # noqa: E402


class Digits(torch.utils.data.Dataset):
    """Images and labels in memory, with the list of targets that Avalanche looks for."""

    def __init__(self, images, labels):
        self.images, self.targets = images, labels.tolist()

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, i):
        return self.images[i], self.targets[i]


def benchmark_of(train, test, args, seed):
    images, labels = train
    if args.events_max:
        kept = torch.randperm(len(labels))[:args.events_max * 5]
        images, labels = images[kept], labels[kept]
    return nc_benchmark(Digits(images, labels), Digits(*test), n_experiences=5, task_labels=False, seed=seed,
                        fixed_class_order=list(range(10)))


def run(args, train, test, seed):
    torch.manual_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        benchmark = benchmark_of(train, test, args, seed)
    model = plain.mlp()
    replay = ReplayPlugin(mem_size=args.buffer, batch_size=10, batch_size_mem=10)
    strategy = Naive(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.03),
                     criterion=torch.nn.CrossEntropyLoss(), train_mb_size=10, train_epochs=1, eval_mb_size=1000,
                     plugins=[replay], evaluator=EvaluationPlugin(loggers=[]))
    seconds, cpu, events, matrix = 0.0, 0.0, 0, []
    for experience in benchmark.train_stream:
        begin, cpu_begin = time.perf_counter(), time.thread_time()
        strategy.train(experience, num_workers=0)
        seconds += time.perf_counter() - begin
        cpu += time.thread_time() - cpu_begin
        events += len(experience.dataset)
        parts = [torch.isin(test[1], torch.tensor(digits)) for digits in plain.TASKS[:len(matrix) + 1]]
        model.eval()
        matrix.append([plain.accuracy(model, test[0][part], test[1][part]) for part in parts])
        model.train()
    last = matrix[-1]
    best = [max(row[t] for row in matrix if t < len(row)) for t in range(len(last))]
    return {"seed": seed, "accuracy": statistics.mean(last), "events_per_second": events / seconds,
            "events_per_cpu_second": events / cpu,
            "forgetting": statistics.mean(b - n for b, n in list(zip(best, last))[:-1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = pathlib.Path(os.environ.get("FRESHET_CACHE", pathlib.Path.home() / ".cache/freshet"))
    parser.add_argument("--data", type=pathlib.Path, default=cache / "mnist")
    parser.add_argument("--buffer", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--events-max", type=int, default=0, help="of each task; 0: all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    train, test = plain.load(args.data, "train"), plain.load(args.data, "t10k")
    runs = []
    for seed in args.seeds:
        runs.append(run(args, train, test, seed))
        print(f"seed {seed}: {runs[-1]}", file=sys.stderr, flush=True)
    print(json.dumps({"peer": "avalanche-lib 0.6.0", "strategy": "er", "buffer": args.buffer,
                      "accuracy": statistics.mean(r["accuracy"] for r in runs),
                      "forgetting": statistics.mean(r["forgetting"] for r in runs),
                      "events_per_second": statistics.median(r["events_per_second"] for r in runs), "runs": runs}))


if __name__ == "__main__":
    main()
