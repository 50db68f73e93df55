#!/usr/bin/env python3
"""Alarms of River's drift detectors on made-up streams: what tests/learners/drift/river_alarms.txt holds.

  bench/peers/setup.sh drift
  PYTHON=~/.cache/freshet/peers/drift/bin/python
  $PYTHON tests/learners/drift/river_alarms.py > tests/learners/drift/river_alarms.txt
  $PYTHON tests/learners/drift/river_alarms.py --rates > tests/learners/drift/river_kswin_rates.txt
  $PYTHON tests/learners/drift/river_alarms.py --against build/dev/freshet --streams 200

The last one compares the alarms of `freshet drift` with River's on random streams. A stream is made by splitmix64 and
by + - * / and square roots alone, so that recorded_streams.h makes the same numbers to the bit.
"""
import argparse
import math
import random
import subprocess
import sys

from river import drift

MASK = (1 << 64) - 1


class SplitMix:
    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return ((z ^ (z >> 31)) >> 11) * 2.0**-53


def noise_of(kind, rng, level):
    if kind == "uniform":
        return rng.uniform() - 0.5
    if kind == "bell":
        return rng.uniform() + rng.uniform() + rng.uniform() + rng.uniform() - 2.0
    if kind == "pareto":
        return 1.0 / math.sqrt(1.0 - rng.uniform()) - 2.0
    if kind == "slash":
        top = rng.uniform() - 0.5
        return top / (1.0 - rng.uniform())
    return 0.0


class Stream:
    """knots: (position, level, scale, width, "ramp" or "mix"): over `width` events level and scale become these."""

    def __init__(self, name, noise, seed, length, cut, knots, period=0, amplitude=0.0):
        self.name, self.noise, self.seed, self.length, self.cut = name, noise, seed, length, cut
        self.knots, self.period, self.amplitude = knots, period, amplitude

    def line(self):
        knots = " ".join(f"{p} {level!r} {scale!r} {width} {mode}" for p, level, scale, width, mode in self.knots)
        return (f"stream {self.name} {self.noise} {self.seed} {self.length} {self.cut!r} {self.period} "
                f"{self.amplitude!r} {len(self.knots)} {knots}")

    def values(self):
        rng = SplitMix(self.seed)
        for t in range(self.length):
            _, level, scale, _, _ = self.knots[0]
            for position, next_level, next_scale, width, mode in self.knots[1:]:
                if t < position:
                    break
                if t >= position + width:
                    level, scale = next_level, next_scale
                    continue
                share = float(t - position) / float(width)
                if mode == "ramp":
                    level = level + (next_level - level) * share
                    scale = scale + (next_scale - scale) * share
                elif rng.uniform() < share:
                    level, scale = next_level, next_scale
            if self.period:
                level = level + self.amplitude * (abs(2.0 * (float(t % self.period) / float(self.period)) - 1.0) - 0.5)
            if self.noise == "binary":
                yield 1.0 if rng.uniform() < level else 0.0
            else:
                yield level + scale * noise_of(self.noise, rng, level)


def step(*parts):
    """Parts (position, level, scale), changing at once."""
    return [(p, level, scale, 0, "ramp") for p, level, scale in parts]


def recorded_streams():
    s = []
    for i, noise in enumerate(("uniform", "bell")):
        s.append(Stream(f"abrupt_up_{noise}", noise, 11 + i, 6000, 0.5, step((0, 0.3, 0.4), (3000, 0.7, 0.4))))
        s.append(Stream(f"abrupt_down_{noise}", noise, 21 + i, 6000, 0.5, step((0, 0.8, 0.5), (2500, 0.2, 0.5))))
        s.append(Stream(f"small_step_{noise}", noise, 31 + i, 10000, 0.5, step((0, 0.45, 0.3), (5000, 0.55, 0.3))))
        s.append(Stream(f"spread_{noise}", noise, 41 + i, 6000, 0.8, step((0, 0.5, 0.2), (3000, 0.5, 2.0))))
        s.append(Stream(f"stairs_{noise}", noise, 51 + i, 10000, 0.6,
                        step((0, 0.2, 0.5), (2000, 0.4, 0.5), (4000, 0.6, 0.5), (6000, 0.8, 0.5), (8000, 1.0, 0.5))))
        s.append(Stream(f"there_and_back_{noise}", noise, 61 + i, 9000, 0.5,
                        step((0, 0.3, 0.6), (3000, 0.8, 0.6), (6000, 0.3, 0.6))))
        s.append(Stream(f"gradual_mix_{noise}", noise, 71 + i, 8000, 0.5,
                        [(0, 0.2, 0.4, 0, "ramp"), (3000, 0.8, 0.4, 2000, "mix")]))
        s.append(Stream(f"gradual_ramp_{noise}", noise, 81 + i, 8000, 0.5,
                        [(0, 0.2, 0.4, 0, "ramp"), (2000, 0.8, 0.4, 4000, "ramp")]))
        s.append(Stream(f"none_{noise}", noise, 91 + i, 10000, 0.6, step((0, 0.5, 0.5))))
        s.append(Stream(f"periodic_{noise}", noise, 101 + i, 8000, 0.6, step((0, 0.5, 0.5)), 1000, 0.6))
        s.append(Stream(f"fast_period_{noise}", noise, 111 + i, 6000, 0.6, step((0, 0.5, 0.5)), 50, 0.6))
    for i, (low, high) in enumerate(((0.05, 0.15), (0.1, 0.4), (0.3, 0.6), (0.5, 0.2), (0.02, 0.5), (0.2, 0.25))):
        s.append(Stream(f"binary_abrupt_{i}", "binary", 121 + i, 8000, 0.5, step((0, low, 0.0), (4000, high, 0.0))))
    for i, rate in enumerate((0.0, 0.01, 0.1, 0.3, 0.5, 1.0)):
        s.append(Stream(f"binary_none_{i}", "binary", 131 + i, 10000, 0.5, step((0, rate, 0.0))))
    s.append(Stream("binary_mix", "binary", 141, 10000, 0.5,
                    [(0, 0.1, 0.0, 0, "ramp"), (4000, 0.4, 0.0, 3000, "mix")]))
    s.append(Stream("binary_ramp", "binary", 142, 10000, 0.5,
                    [(0, 0.1, 0.0, 0, "ramp"), (3000, 0.5, 0.0, 5000, "ramp")]))
    s.append(Stream("binary_learning", "binary", 143, 12000, 0.5,
                    [(0, 0.5, 0.0, 0, "ramp"), (0, 0.1, 0.0, 4000, "ramp"), (8000, 0.35, 0.0, 0, "ramp")]))
    s.append(Stream("binary_periodic", "binary", 144, 10000, 0.5, step((0, 0.3, 0.0)), 2000, 0.4))
    for i, noise in enumerate(("pareto", "slash")):
        s.append(Stream(f"heavy_none_{noise}", noise, 151 + i, 8000, 1.0, step((0, 0.5, 0.5))))
        s.append(Stream(f"heavy_abrupt_{noise}", noise, 161 + i, 8000, 1.0, step((0, 0.5, 0.5), (4000, 2.0, 0.5))))
        s.append(Stream(f"heavy_spread_{noise}", noise, 171 + i, 8000, 1.0, step((0, 0.5, 0.2), (4000, 0.5, 2.0))))
    s.append(Stream("constant", "none", 181, 5000, 0.5, step((0, 3.25, 0.0))))
    s.append(Stream("constant_step", "none", 182, 5000, 2.0, step((0, 1.0, 0.0), (2500, 3.0, 0.0))))
    s.append(Stream("large_numbers", "bell", 183, 6000, 1e6, step((0, 1e6, 1e3), (3000, 1.002e6, 1e3))))
    s.append(Stream("tiny_numbers", "bell", 184, 6000, 2e-6, step((0, 1e-6, 1e-6), (3000, 3e-6, 1e-6))))
    return s


# Which detector with which settings is given what: the numbers themselves, or 1 where they are above the cut.
KINDS = {"adwin": drift.ADWIN, "page_hinkley": drift.PageHinkley, "ddm": drift.binary.DDM, "eddm": drift.binary.EDDM,
         "hddm_a": drift.binary.HDDM_A, "hddm_w": drift.binary.HDDM_W}
CASES = [
    ("adwin", {}, "raw"),
    ("adwin", {"delta": 0.2, "clock": 1, "max_buckets": 3, "min_window_length": 10, "grace_period": 50}, "raw"),
    ("adwin", {}, "cut"),
    ("page_hinkley", {}, "raw"),
    ("page_hinkley", {"min_instances": 100, "delta": 0.05, "threshold": 8.0, "alpha": 0.999, "mode": "up"}, "raw"),
    ("page_hinkley", {"threshold": 5.0, "mode": "down"}, "raw"),
    ("page_hinkley", {"threshold": 20.0}, "cut"),
    ("ddm", {}, "cut"),
    ("ddm", {"warm_start": 200, "warning_threshold": 1.5, "drift_threshold": 4.0}, "cut"),
    ("eddm", {}, "cut"),
    ("eddm", {"warm_start": 60, "alpha": 0.9, "beta": 0.75}, "cut"),
    ("hddm_a", {}, "cut"),
    ("hddm_a", {"drift_confidence": 0.01, "warning_confidence": 0.1, "two_sided_test": True}, "cut"),
    ("hddm_a", {}, "raw"),
    ("hddm_w", {}, "cut"),
    ("hddm_w", {"drift_confidence": 0.0001, "lambda_val": 0.01, "two_sided_test": True}, "cut"),
    ("hddm_w", {}, "raw"),
]


def positions(kind, settings, values):
    detector = KINDS[kind](**settings)
    alarms, warnings = [], []
    for t, x in enumerate(values):
        detector.update(x)
        if detector.drift_detected:
            alarms.append(t)
        elif getattr(detector, "warning_detected", False):
            warnings.append(t)
    return alarms, warnings


def words(settings):
    return [f"{k}={str(v).lower() if isinstance(v, bool) else v}" for k, v in settings.items()]


def hash_of(numbers):
    """FNV-1a over the numbers as text: zones of warning are long, so that only their hash is kept."""
    h = 0xCBF29CE484222325
    for byte in " ".join(str(n) for n in numbers).encode():
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return f"{h:016x}"


def record():
    print("# Made by river_alarms.py with River 0.22.0.")
    for stream in recorded_streams():
        print(stream.line())
        values = list(stream.values())
        print(f"check {stream.name} {values[len(values) // 2].hex()} {values[-1].hex()}")
        for kind, settings, form in CASES:
            given = values if form == "raw" else [1.0 if x > stream.cut else 0.0 for x in values]
            alarms, warnings = positions(kind, settings, given)
            print("alarms", stream.name, form, kind, len(settings), *words(settings), len(alarms), *alarms,
                  len(warnings), hash_of(warnings))


def record_rates():
    """KSWIN draws at random: alarms a stream, over many streams."""
    print("# Made by river_alarms.py --rates with River 0.22.0: noise, low, high, streams, length, step at, mean and")
    print("# standard deviation of the alarms before the step, the same after it.")
    for noise, low, high in (("uniform", 0.5, 0.5), ("bell", 0.3, 0.6), ("binary", 0.2, 0.5)):
        streams, length, at = 40, 2000, 1000
        before, after = [], []
        for seed in range(streams):
            stream = Stream("", noise, 1000 + seed, length, 0.5, step((0, low, 0.5), (at, high, 0.5)))
            detector, count = drift.KSWIN(seed=seed), [0, 0]
            for t, x in enumerate(stream.values()):
                detector.update(x)
                count[t >= at] += detector.drift_detected
            before.append(count[0])
            after.append(count[1])
        figures = []
        for counts in (before, after):
            mean = sum(counts) / streams
            figures += [mean, math.sqrt(sum((c - mean) ** 2 for c in counts) / (streams - 1))]
        print("rate", noise, low, high, streams, length, at, *(f"{f:.4f}" for f in figures), flush=True)


def random_stream(rng, number):
    noise = rng.choice(["uniform", "bell", "binary", "binary", "pareto", "slash"])
    knots, at = [], 0
    for _ in range(rng.randint(1, 5)):
        level, scale = round(rng.random(), 3), round(rng.random(), 3)
        knots.append((at, level, scale, rng.choice([0, 0, 500, 2000]) if knots else 0, rng.choice(["ramp", "mix"])))
        at += rng.randint(2001, 5000)
    return Stream(f"random_{number}", noise, rng.getrandbits(60), at, round(rng.random(), 3), knots,
                  rng.choice([0, 0, 0, 40, 1500]), round(rng.random(), 3))


def compare(binary, streams, seed):
    rng = random.Random(seed)
    bad = runs = 0
    for number in range(streams):
        stream = random_stream(rng, number)
        values = list(stream.values())
        for kind, settings, form in CASES:
            given = values if form == "raw" else [1.0 if x > stream.cut else 0.0 for x in values]
            alarms, warnings = positions(kind, settings, given)
            command = [binary, "drift", "--detector", kind, "--warnings"]
            for word in words(settings):
                command += ["--set", word]
            lines = subprocess.run(command, input="\n".join(map(repr, given)), capture_output=True, text=True,
                                   check=True).stdout.splitlines()
            ours = [int(line) for line in lines if " " not in line]
            warned = [int(line.split()[0]) for line in lines if " " in line]
            runs += 1
            if ours != alarms or warned != warnings:
                bad += 1
                print("differs:", kind, settings, form, stream.line(), ours[:5], alarms[:5])
    print(f"{runs} runs over {streams} streams (seed {seed}), {bad} differ")
    return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rates", action="store_true")
    parser.add_argument("--against", metavar="FRESHET")
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.against:
        return compare(arguments.against, arguments.streams, arguments.seed)
    record_rates() if arguments.rates else record()
    return 0


if __name__ == "__main__":
    sys.exit(main())
