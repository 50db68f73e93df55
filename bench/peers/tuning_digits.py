#!/usr/bin/env python3
"""One study on the optical digits by Syne Tune or Optuna, for bench/tuning_vs_peers.py: prints one JSON line.

  tuning_digits.py --tuner syne_tune_asha|optuna_tpe_halving|optuna_tpe_hyperband|optuna_random_halving --seed N
                   [--trials 64] [--epochs 27] [--workers 2]

The same task for all: MLP 64-h-10 in PyTorch, SGD with momentum, macro F1 on the test part after each epoch, one thread
a worker. Syne Tune's workers are its processes, Optuna's its threads.
"""
import argparse
import json
import os
import pathlib
import struct
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
CACHE = pathlib.Path(os.environ.get("FRESHET_CACHE", pathlib.Path.home() / ".cache/freshet"))
LEVELS = (0.97, 0.98)


def digits():
    import numpy
    data = (CACHE / "digits/digits.bin").read_bytes()
    train, test = struct.unpack_from("<II", data, 4)
    numbers = numpy.frombuffer(data, dtype="<f4", offset=12)
    parts, at = [], 0
    for rows in (train, test):
        parts += [numbers[at:at + 64 * rows].reshape(rows, 64), numbers[at + 64 * rows:at + 65 * rows].astype("int64")]
        at += 65 * rows
    return parts


def macro_f1(labels, predicted):
    import numpy
    table = numpy.zeros((10, 10))
    numpy.add.at(table, (labels, predicted), 1)
    right, both = numpy.diag(table), table.sum(0) + table.sum(1)
    return float(numpy.mean(2 * right[both > 0] / both[both > 0]))


def train(config, epochs, seed, data):
    """Yields the macro F1 after each epoch."""
    import torch
    torch.set_num_threads(1)
    train_x, train_y, test_x, test_y = data
    generator = torch.Generator().manual_seed(seed)
    x, y, test = torch.tensor(train_x), torch.tensor(train_y), torch.tensor(test_x)
    hidden, batch = int(config["hidden"]), int(config["batch_size"])
    model = torch.nn.Sequential(torch.nn.Linear(64, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=float(config["momentum"]),
                                weight_decay=config["weight_decay"], fused=True)
    for _ in range(epochs):
        order = torch.randperm(len(y), generator=generator)
        for begin in range(0, len(y), batch):
            rows = order[begin:begin + batch]
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.inference_mode():
            yield macro_f1(test_y, model(test).argmax(1).numpy())


def syne_tune_worker(argv):
    from syne_tune import Reporter
    parser = argparse.ArgumentParser()
    for name in ("lr", "momentum", "weight_decay"):
        parser.add_argument(f"--{name}", type=float)
    for name in ("hidden", "batch_size", "epochs"):
        parser.add_argument(f"--{name}", type=int)
    args, _ = parser.parse_known_args(argv)
    report = Reporter()
    for epoch, score in enumerate(train(vars(args), args.epochs, 1, digits()), 1):
        report(epoch=epoch, f1=score)


def syne_tune_study(args):
    import logging
    logging.disable(logging.CRITICAL)
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import choice, loguniform
    from syne_tune.optimizer.baselines import ASHA
    from syne_tune.tuner_callback import TunerCallback

    class Watch(TunerCallback):
        def __init__(self):
            self.best, self.epochs, self.to = 0.0, 0, {}

        def on_tuning_start(self, tuner):
            self.begin = time.time()

        def on_trial_result(self, trial, status, result, decision):
            self.epochs += 1
            self.best = max(self.best, result["f1"])
            for level in LEVELS:
                if self.best >= level:
                    self.to.setdefault(level, time.time() - self.begin)

    space = {"lr": loguniform(1e-3, 0.5), "momentum": choice([0.0, 0.9, 0.99]), "weight_decay": loguniform(1e-6, 1e-2),
             "hidden": choice([16, 32, 64, 128, 256]), "batch_size": choice([16, 32, 64, 128]), "epochs": args.epochs}
    watch = Watch()
    scheduler = ASHA(space, metric="f1", do_minimize=False, time_attr="epoch", max_t=args.epochs, grace_period=1,
                     reduction_factor=3, random_seed=args.seed)
    backend = LocalBackend(entry_point=str(pathlib.Path(__file__).resolve()))
    tuner = Tuner(trial_backend=backend, scheduler=scheduler, n_workers=args.workers, sleep_time=0.1,
                  stop_criterion=StoppingCriterion(max_num_trials_started=args.trials), callbacks=[watch],
                  print_update_interval=1e9, save_tuner=False, results_update_interval=1e9)
    begin = time.time()
    tuner.run()
    return time.time() - begin, args.trials, watch.epochs, watch.best, watch.to


def optuna_study(args):
    import optuna
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    data = digits()
    pruner = (optuna.pruners.HyperbandPruner(min_resource=1, max_resource=args.epochs, reduction_factor=3)
              if args.tuner.endswith("hyperband")
              else optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3))
    sampler = (optuna.samplers.RandomSampler(seed=args.seed) if "random" in args.tuner
               else optuna.samplers.TPESampler(seed=args.seed))
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    seen = {"epochs": 0, "best": 0.0, "to": {}}
    begin = time.time()

    def objective(trial):
        config = {"lr": trial.suggest_float("lr", 1e-3, 0.5, log=True),
                  "momentum": trial.suggest_categorical("momentum", [0.0, 0.9, 0.99]),
                  "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
                  "hidden": trial.suggest_categorical("hidden", [16, 32, 64, 128, 256]),
                  "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128])}
        score = 0.0
        for epoch, score in enumerate(train(config, args.epochs, args.seed * 1000 + trial.number, data), 1):
            seen["epochs"] += 1
            seen["best"] = max(seen["best"], score)
            for level in LEVELS:
                if seen["best"] >= level:
                    seen["to"].setdefault(level, time.time() - begin)
            trial.report(score, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned()
        return score

    study.optimize(objective, n_trials=args.trials, n_jobs=args.workers)
    return time.time() - begin, len(study.trials), seen["epochs"], seen["best"], seen["to"]


def main():
    if any(value.startswith("--st_") for value in sys.argv):  # Syne Tune's worker
        return syne_tune_worker(sys.argv[1:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tuner", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trials", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    import numpy
    import torch
    numpy.random.seed(args.seed)
    torch.manual_seed(args.seed)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["SYNETUNE_FOLDER"] = scratch
        run = syne_tune_study if args.tuner.startswith("syne_tune") else optuna_study
        seconds, trials, epochs, best, to = run(args)
    print(json.dumps({"tuner": args.tuner, "seed": args.seed, "workers": args.workers, "seconds": seconds,
                      "trials": trials, "trials_per_minute": trials / seconds * 60, "epochs": epochs, "best": best,
                      **{f"seconds_to_{level}": value for level, value in to.items()}}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
