#!/usr/bin/env python3
"""Distances between samples as scipy and numpy give them: what scipy_distances.txt holds.

  bench/peers/setup.sh drift
  ~/.cache/freshet/peers/drift/bin/python tests/learners/drift/reference/scipy_distances.py \\
      > tests/learners/drift/reference/scipy_distances.txt

The samples are those of recorded_streams.h, as float32.
"""
import pathlib
import sys

import numpy as np
import scipy
from scipy import special, stats
from scipy.spatial import distance

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from river_alarms import Stream, step  # noqa: E402


def sample(noise, seed, count, level, scale):
    values = Stream("", noise, seed, count, 0.5, step((0, level, scale))).values()
    return np.array(list(values), dtype=np.float32).astype(np.float64)


def shares_of(reference, now):
    """Between the deciles of the reference: an edge is the smallest value with that share at or below it."""
    ordered, edges = np.sort(reference), []
    for k in range(1, 10):
        edge = ordered[int(np.ceil(len(ordered) * k / 10)) - 1]
        edges.append(edge)
    bins = [np.bincount(np.searchsorted(edges, x, side="left"), minlength=10) / len(x) for x in (reference, now)]
    return bins


def psi(p, q):
    p, q = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    return float(np.sum((q - p) * np.log(q / p)))


def mmd(x, y):
    s = np.std(x, ddof=1)
    kernel = lambda a, b: np.exp(-((a[:, None] - b[None, :]) ** 2) / (2 * s * s)).mean()
    return kernel(x, x) + kernel(y, y) - 2 * kernel(x, y)


def main():
    print(f"# Made by scipy_distances.py with scipy {scipy.__version__} and numpy {np.__version__}.")
    print("# numbers: noise, level and scale, of the reference (seed 1, 500) and of now (seed 2, 300): ks, p, wasserstein,")
    print("# psi, jensen_shannon, mmd")
    for noise, a, b in (("bell", (0.5, 1.0), (0.5, 1.0)), ("bell", (0.5, 1.0), (0.6, 1.0)),
                        ("bell", (0.5, 1.0), (0.5, 1.6)), ("uniform", (10.0, 4.0), (12.0, 4.0)),
                        ("pareto", (0.0, 1.0), (0.3, 1.0))):
        x, y = sample(noise, 1, 500, *a), sample(noise, 2, 300, *b)
        ks = stats.ks_2samp(x, y, method="asymp")
        p, q = shares_of(x, y)
        figures = (ks.statistic, ks.pvalue, stats.wasserstein_distance(x, y) / np.std(x, ddof=1), psi(p, q),
                   distance.jensenshannon(p, q), mmd(x, y))
        print("numbers", noise, *a, *b, *(repr(float(f)) for f in figures))
    print("# counts: categories, of the reference, of now; chi-square, p, psi, jensen_shannon")
    for reference, now in (((100, 200, 300), (110, 190, 310)), ((100, 200, 300), (60, 90, 250)),
                           ((500, 250, 125, 60, 30), (250, 250, 250, 100, 60))):
        chi = stats.chi2_contingency([reference, now], correction=False)
        p, q = np.array(reference) / sum(reference), np.array(now) / sum(now)
        print("counts", len(now), *reference, *now, repr(float(chi.statistic)), repr(float(chi.pvalue)), repr(psi(p, q)),
              repr(float(distance.jensenshannon(p, q))))
    for a, x in ((0.5, 0.1), (0.5, 3.0), (1.0, 1.0), (2.5, 2.0), (10.0, 30.0), (127.5, 100.0), (127.5, 160.0)):
        print("gamma", a, x, repr(float(special.gammaincc(a, x))))
    for x in (0.3, 0.5, 1.0, 1.358, 2.0, 3.0):
        print("kolmogorov", x, repr(float(special.kolmogorov(x))))


if __name__ == "__main__":
    main()
