#!/usr/bin/env python3
"""Freshet's backtest beside Vowpal Wabbit on the whole flights stream, turn by turn on the same machine.

  bench/peers/setup.sh vw
  ~/.cache/freshet/peers/vw/bin/python bench/flights_vs_vw.py --input flights.jsonl [--turns 5] [--model pairs] [--json OUT]

Each turn runs Vowpal Wabbit's own driver over a prepared file in its text format (its fastest way, see
bench/peers/vw_flights.py for the models), then `freshet backtest` over the JSON lines, with decoding, replay memory,
storage, evaluation and checkpoints. The ratio counts, pair by pair: machines are noisy, pairs drift together.
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
sys.path.insert(0, str(HERE / "peers"))
import vw_flights  # noqa: E402


def run_freshet(binary, config, source):
    done = subprocess.run([binary, "backtest", "--quiet", "--config", config, "--input", source, "--set",
                           "log.level=error"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--model", default="pairs", choices=sorted(vw_flights.MODELS))
    parser.add_argument("--freshet", default=str(HERE.parent / "build/release/freshet"))
    parser.add_argument("--config", default=str(HERE.parent / "examples/flights.yaml"))
    parser.add_argument("--json", metavar="OUT")
    args = parser.parse_args()
    turns = []
    with tempfile.TemporaryDirectory() as scratch:
        text = os.path.join(scratch, "flights.vw")
        labels = vw_flights.write_inputs(args.input, text, os.path.join(scratch, "flights.vwjson"))
        for turn in range(args.turns):
            seconds, predictions = vw_flights.run_driver(vw_flights.MODELS[args.model], text, "", scratch)
            ours = run_freshet(args.freshet, args.config, args.input)
            theirs = len(labels) / seconds
            turns.append({"vw": theirs, "freshet": ours["events_per_second"], "ratio": ours["events_per_second"] / theirs})
            print(f"turn {turn + 1}: vw {theirs:,.0f}/s  freshet {ours['events_per_second']:,.0f}/s  "
                  f"ratio {turns[-1]['ratio']:.2f}", file=sys.stderr, flush=True)
        result = {
            "vw_arguments": vw_flights.MODELS[args.model],
            "vw_events_per_second": round(statistics.median(t["vw"] for t in turns)),
            "freshet_events_per_second": round(statistics.median(t["freshet"] for t in turns)),
            "ratio_median": round(statistics.median(t["ratio"] for t in turns), 3),
            "ratios": [round(t["ratio"], 3) for t in turns],
            "vw_log_loss": round(vw_flights.log_loss(labels, predictions), 5),
            "vw_auc": round(vw_flights.auc(labels, predictions), 5),
            "freshet_log_loss": round(ours["log_loss"], 5), "freshet_auc": round(ours["auc"], 5),
            "freshet_peak_rss_bytes": ours["peak_rss_bytes"],
        }
    print(json.dumps(result, indent=1))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
