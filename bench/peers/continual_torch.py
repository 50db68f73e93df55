#!/usr/bin/env python3
"""Continual learning on MNIST in plain PyTorch, one thread: the loop that a user writes, over tensors in memory.

  bench/continual/prepare.sh; bench/peers/setup.sh continual
  ~/.cache/freshet/peers/continual/bin/python bench/peers/continual_torch.py [--strategy er] [--buffer 500] [--seeds 5]

The protocol of bench/continual/protocol.h (split): five tasks of two digits, each event seen once; a mini-batch of 10
fresh events and 10 drawn from the memory (a reservoir), which takes the fresh ones in after the step; MLP 784-100-100-10,
SGD 0.03, the initial weights of Glorot. Prints a JSON object. Seconds are those of the training loop alone, without loading, shuffling and scoring.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import sys
import time

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
import numpy  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

TASKS = [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]


def load(folder, name):
    images = numpy.fromfile(folder / f"{name}-images-idx3-ubyte", dtype=numpy.uint8, offset=16).reshape(-1, 784)
    labels = numpy.fromfile(folder / f"{name}-labels-idx1-ubyte", dtype=numpy.uint8, offset=8)
    return torch.from_numpy(images).float() / 255, torch.from_numpy(labels).long()


def mlp(initial):
    model = nn.Sequential(nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
    for layer in model if initial == "glorot" else ():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return model


class Reservoir:
    """Vitter's algorithm R over preallocated tensors."""

    def __init__(self, capacity, logits):
        self.x = torch.zeros(capacity, 784)
        self.y = torch.zeros(capacity, dtype=torch.long)
        self.logits = torch.zeros(capacity, 10) if logits else None
        self.capacity, self.seen = capacity, 0

    def sample(self, count):
        size = min(self.seen, self.capacity)
        return torch.randperm(size)[:count]

    def insert(self, x, y, logits):
        for i in range(len(y)):
            at = self.seen if self.seen < self.capacity else random.randrange(self.seen + 1)
            self.seen += 1
            if at < self.capacity:
                self.x[at], self.y[at] = x[i], y[i]
                if self.logits is not None:
                    self.logits[at] = logits[i]


def train_task(model, optimizer, memory, x, y, args):
    """One pass in order; returns seconds, by the clock and of this thread's processor time."""
    begin, cpu = time.perf_counter(), time.thread_time()
    for at in range(0, len(y), args.batch):
        fresh_x, fresh_y = x[at:at + args.batch], y[at:at + args.batch]
        optimizer.zero_grad()
        logits = None
        if memory is None or memory.seen == 0:
            logits = model(fresh_x)
            loss = functional.cross_entropy(logits, fresh_y)
        else:
            chosen = memory.sample(args.batch)
            logits = model(torch.cat((fresh_x, memory.x[chosen])))
            if args.strategy == "er":
                loss = functional.cross_entropy(logits, torch.cat((fresh_y, memory.y[chosen])))
            else:
                fresh, old = logits[:len(fresh_y)], logits[len(fresh_y):]
                loss = functional.cross_entropy(fresh, fresh_y)
                loss = loss + args.alpha * functional.mse_loss(old, memory.logits[chosen])
                loss = loss + args.beta * functional.cross_entropy(old, memory.y[chosen])
        loss.backward()
        optimizer.step()
        if memory is not None:
            memory.insert(fresh_x, fresh_y, logits.detach()[:len(fresh_y)])
    return time.perf_counter() - begin, time.thread_time() - cpu


@torch.no_grad()
def accuracy(model, x, y):
    return (model(x).argmax(1) == y).float().mean().item()


def run(args, train, test, seed):
    torch.manual_seed(seed)
    random.seed(seed)
    model = mlp(args.initial)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.learning_rate)
    memory = Reservoir(args.buffer, args.strategy == "der_pp") if args.buffer else None
    tasks = [tuple(range(10))] if args.joined else TASKS
    seconds, cpu, events, matrix = 0.0, 0.0, 0, []
    for task in tasks:
        rows = torch.isin(train[1], torch.tensor(task)).nonzero().squeeze(1)
        rows = rows[torch.randperm(len(rows))][:args.events_max or None]
        x, y = train[0][rows], train[1][rows]
        spent = train_task(model, optimizer, memory, x, y, args)
        seconds, cpu = seconds + spent[0], cpu + spent[1]
        events += len(y)
        scored = TASKS if args.joined else TASKS[:len(matrix) + 1]
        parts = [torch.isin(test[1], torch.tensor(digits)) for digits in scored]
        matrix.append([accuracy(model, test[0][part], test[1][part]) for part in parts])
    last = matrix[-1]
    best = [max(row[t] for row in matrix if t < len(row)) for t in range(len(last))]
    return {"seed": seed, "accuracy": statistics.mean(last), "events_per_second": events / seconds,
            "events_per_cpu_second": events / cpu,
            "forgetting": statistics.mean(b - n for b, n in list(zip(best, last))[:-1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = pathlib.Path(os.environ.get("FRESHET_CACHE", pathlib.Path.home() / ".cache/freshet"))
    parser.add_argument("--data", type=pathlib.Path, default=cache / "mnist")
    parser.add_argument("--strategy", choices=("er", "der_pp", "finetune"), default="er")
    parser.add_argument("--buffer", type=int, default=500)
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=0.03)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--beta", type=float, default=0.5)
    parser.add_argument("--initial", choices=("fan_in", "glorot"), default="glorot",
                        help="PyTorch's own initial weights, or those of the DER paper")
    parser.add_argument("--joined", action="store_true", help="all classes at once")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--events-max", type=int, default=0, help="of each task; 0: all")
    args = parser.parse_args()
    if args.strategy == "finetune":
        args.buffer = 0
    torch.set_num_threads(1)
    train, test = load(args.data, "train"), load(args.data, "t10k")
    runs = []
    for seed in args.seeds:
        runs.append(run(args, train, test, seed))
        print(f"seed {seed}: {runs[-1]}", file=sys.stderr, flush=True)
    print(json.dumps({"peer": f"torch {torch.__version__}", "strategy": args.strategy, "buffer": args.buffer,
                      "accuracy": statistics.mean(r["accuracy"] for r in runs),
                      "forgetting": statistics.mean(r["forgetting"] for r in runs),
                      "events_per_second": statistics.median(r["events_per_second"] for r in runs), "runs": runs}))


if __name__ == "__main__":
    main()
