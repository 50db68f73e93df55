#!/usr/bin/env python3
"""River on the flights stream: logistic regression with AdaGrad, test-then-train from the first event, in process.

  bench/peers/setup.sh river
  ~/.cache/freshet/peers/river/bin/python bench/peers/river_flights.py --input flights.jsonl [--first N] [--json OUT]

Categories one-hot, numbers standardised online, a missing number left out. Timed: everything after JSON parsing, that
is building the feature dictionary, scaling, predicting, learning and River's own metrics.
"""
import argparse
import itertools
import json
import time

import river
from river import linear_model, metrics, optim, preprocessing

CATEGORIES = ["carrier", "origin", "dest", "tailnum", "month", "dow", "hour"]
NUMBERS = ["distance", "temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib", "built", "seats"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, help="the stream as examples/flights/prepare.py writes it")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N events")
    parser.add_argument("--json", metavar="OUT", help="write there as well as to stdout")
    args = parser.parse_args()
    with open(args.input, encoding="utf-8") as f:
        events = [json.loads(line) for line in itertools.islice(f, args.first)]
    scaler = preprocessing.StandardScaler()
    model = linear_model.LogisticRegression(optimizer=optim.AdaGrad(0.05))
    loss, area = metrics.LogLoss(), metrics.ROCAUC(n_thresholds=200)
    started = time.perf_counter()
    for e in events:
        numbers = {k: e[k] for k in NUMBERS if e[k] is not None}
        scaler.learn_one(numbers)
        x = scaler.transform_one(numbers)
        for k in CATEGORIES:
            x[f"{k}={e[k]}"] = 1.0
        p = model.predict_proba_one(x)
        loss.update(e["label"], p)
        area.update(e["label"], p)
        model.learn_one(x, e["label"])
    seconds = time.perf_counter() - started
    report = json.dumps({
        "system": f"river {river.__version__}", "model": "logistic regression, AdaGrad 0.05", "events": len(events),
        "seconds": round(seconds, 3), "events_per_second": round(len(events) / seconds),
        "log_loss": round(loss.get(), 5), "auc": round(area.get(), 5)}, indent=1)
    print(report)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            f.write(report + "\n")


if __name__ == "__main__":
    main()
