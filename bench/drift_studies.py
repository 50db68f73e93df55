#!/usr/bin/env python3
"""What studies after a confirmed change are worth: the cumulative loss of a stream with tuning.on_drift off and on.

  bench/drift_studies.py [--streams sea hyperplane agrawal flights] [--seeds 5] [--events 100000] [--set K=V ...]
                         [--flights flights.jsonl] [--json OUT]

Streams, made here from their papers: SEA (Street and Kim, 2001; four concepts, 10 % noise, abrupt), a rotating hyperplane
(Hulten, Spencer and Domingos, 2001; gradual), Agrawal's loans (Agrawal, Imielinski and Swami, 1993; functions 1 to 4, 5 %
noise, abrupt). `flights` are those of examples/flights/prepare.py, whose carriers change places from June on; a seed there
is the seed of model and study. `constant` is SEA without a change: no study may begin. A seed makes the stream, the model
and the study. Cumulative loss is the mean of the progressive log loss over all events.
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
START_MS = 1_600_000_000_000


def sea(random_, events, thresholds=(8.0, 9.0, 7.0, 9.5)):
    for i in range(events):
        x = [random_.uniform(0, 10) for _ in range(3)]
        label = x[0] + x[1] <= thresholds[i * len(thresholds) // events]
        yield {"a": x[0], "b": x[1], "c": x[2]}, label != (random_.random() < 0.1)


def constant(random_, events):
    return sea(random_, events, (8.0,))


def hyperplane(random_, events, features=10, change=0.001):
    weights = [random_.random() for _ in range(features)]
    signs = [random_.choice((-1, 1)) for _ in range(features)]
    for _ in range(events):
        x = [random_.random() for _ in range(features)]
        label = sum(w * v for w, v in zip(weights, x)) >= sum(weights) / 2
        yield {f"x{f}": v for f, v in enumerate(x)}, label != (random_.random() < 0.05)
        for f in range(features):
            weights[f] += signs[f] * change
            if random_.random() < 0.1 * change:
                signs[f] = -signs[f]


def agrawal_label(function, row):
    age, salary, level = row["age"], row["salary"], row["elevel"]
    if function == 1:
        return age < 40 or age >= 60
    if function == 2:
        low, high = (50e3, 100e3) if age < 40 else (75e3, 125e3) if age < 60 else (25e3, 75e3)
        return low <= salary <= high
    if function == 3:
        return level in ((0, 1) if age < 40 else (1, 2, 3) if age < 60 else (2, 3, 4))
    if age < 40:
        low, high = (25e3, 75e3) if level in (0, 1) else (50e3, 100e3)
    elif age < 60:
        low, high = (50e3, 100e3) if level in (1, 2, 3) else (75e3, 125e3)
    else:
        low, high = (50e3, 100e3) if level in (2, 3, 4) else (25e3, 75e3)
    return low <= salary <= high


def agrawal(random_, events):
    for i in range(events):
        salary = random_.uniform(20e3, 150e3)
        zipcode = random_.randrange(9)
        row = {"salary": salary, "commission": 0.0 if salary >= 75e3 else random_.uniform(10e3, 75e3),
               "age": random_.randint(20, 80), "elevel": random_.randrange(5), "car": random_.randrange(20),
               "zipcode": zipcode, "hvalue": random_.uniform(50e3, 150e3) * (9 - zipcode),
               "hyears": random_.randint(1, 30), "loan": random_.uniform(0, 500e3)}
        label = agrawal_label(1 + i * 4 // events, row)
        yield row, label != (random_.random() < 0.05)


STREAMS = {"sea": sea, "hyperplane": hyperplane, "agrawal": agrawal, "constant": constant}
KINDS = {"elevel": "category", "car": "category", "zipcode": "category"}


def write_stream(name, seed, events, folder):
    """The stream's file and its configuration."""
    random_ = random.Random(seed)
    source = folder / f"{name}.jsonl"
    fields = []
    with source.open("w", encoding="utf-8") as out:
        for i, (row, label) in enumerate(STREAMS[name](random_, events)):
            fields = list(row)
            event = dict(row, id=i, ts=START_MS + i * 1000, y=int(label))
            out.write(json.dumps(event) + "\n")
    features = "".join(f"    {field}: {KINDS.get(field, 'number')}\n" for field in fields)
    config = folder / f"{name}.yaml"
    config.write_text(f"""model: {{name: {name}, architecture: mlp, hidden: [32, 16], task: binary, embedding_rows: 1024}}
stream:
  label: y
  time: ts
  key: id
  features:
{features}memory: {{capacity_events: 20000}}
learning: {{batch_size: 64, round: {{every_events: 512}}}}
evaluation: {{held_out: {{tuning_share: 0.02}}}}
""", encoding="utf-8")
    return source, config


def swapped_flights(source, folder):
    """Carriers change places from June on: each has the delays of another."""
    rows = [json.loads(line) for line in pathlib.Path(source).read_text(encoding="utf-8").splitlines()]
    carriers = sorted({row["carrier"] for row in rows})
    swapped = dict(zip(carriers, carriers[1:] + carriers[:1]))
    out = folder / "flights.jsonl"
    with out.open("w", encoding="utf-8") as file:
        for row in rows:
            if row["month"] >= 6:
                row["carrier"] = swapped[row["carrier"]]
            file.write(json.dumps(row) + "\n")
    return out, HERE.parent / "examples/flights.yaml"


def run(binary, config, source, seed, tuned, sets):
    command = [binary, "backtest", "--quiet", "--config", str(config), "--input", str(source), "--set", "log.level=error",
               "--set", f"model.seed={seed}", "--set", f"tuning.seed={seed}", "--set",
               f"tuning.on_drift={'true' if tuned else 'false'}"]
    for one in sets:
        command += ["--set", one]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", nargs="+", default=["sea", "hyperplane", "agrawal"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--flights", help="as examples/flights/prepare.py writes it")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--freshet", default=str(HERE.parent / "build/release/freshet"))
    parser.add_argument("--json", metavar="OUT")
    args = parser.parse_args()
    results = {}
    print("stream      seed  loss off  loss on   difference  confirmed  studies  adopted  dropped  seconds off/on")
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        for name in args.streams:
            rows = []
            for seed in range(1, args.seeds + 1):
                if name == "flights":
                    source, config = swapped_flights(args.flights, folder)
                else:
                    source, config = write_stream(name, seed, args.events, folder)
                off = run(args.freshet, config, source, seed, False, args.set)
                on = run(args.freshet, config, source, seed, True, args.set)
                tuning = on.get("tuning", {})
                rows.append({"seed": seed, "off": off["log_loss"], "on": on["log_loss"],
                             "confirmed": on.get("drift", {}).get("confirmed", 0), "studies": tuning.get("studies", 0),
                             "adopted": tuning.get("adopted", 0), "dropped": tuning.get("dropped", 0),
                             "notices": tuning.get("notices", []), "seconds_off": off["seconds"],
                             "seconds_on": on["seconds"]})
                row = rows[-1]
                print(f"{name:<11} {seed:>4}  {row['off']:.5f}   {row['on']:.5f}   {row['on'] - row['off']:+.5f}    "
                      f"{row['confirmed']:>9}  {row['studies']:>7}  {row['adopted']:>7}  {row['dropped']:>7}  "
                      f"{row['seconds_off']:.1f}/{row['seconds_on']:.1f}", flush=True)
            differences = [row["on"] - row["off"] for row in rows]
            error = statistics.stdev(differences) / math.sqrt(len(rows)) if len(rows) > 1 else math.nan
            print(f"{name:<11} mean  {statistics.mean(r['off'] for r in rows):.5f}   "
                  f"{statistics.mean(r['on'] for r in rows):.5f}   {statistics.mean(differences):+.5f} "
                  f"(standard error {error:.5f})", flush=True)
            results[name] = rows
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
