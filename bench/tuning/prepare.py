#!/usr/bin/env python3
"""Writes scikit-learn's optical digits (Alpaydin and Kaynak; 1,797 images of 8 x 8) for tuning_bench and its peers.

  bench/peers/setup.sh tuning
  ~/.cache/freshet/peers/tuning/bin/python bench/tuning/prepare.py [OUT]

Divided by 16, split 80/20 with random_state 0. OUT (default $FRESHET_CACHE/digits/digits.bin): "DIG1", rows to train on,
rows to test on, both uint32; then for each part its images, 64 float32 each, and its labels, float32.
"""
import os
import pathlib
import struct
import sys

import numpy
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def main():
    cache = pathlib.Path(os.environ.get("FRESHET_CACHE", pathlib.Path.home() / ".cache/freshet"))
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else cache / "digits/digits.bin"
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16.0, labels, test_size=0.2, random_state=0)
    train_x, test_x, train_y, test_y = (numpy.asarray(part, dtype="<f4") for part in parts)
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out.with_suffix(".part"), "wb") as file:
        file.write(b"DIG1" + struct.pack("<II", len(train_y), len(test_y)))
        for part in (train_x, train_y, test_x, test_y):
            file.write(part.tobytes())
    out.with_suffix(".part").rename(out)
    print(f"{out}: {len(train_y)} digits to train on, {len(test_y)} to test on")


if __name__ == "__main__":
    main()
