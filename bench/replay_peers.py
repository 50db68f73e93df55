#!/usr/bin/env python3
"""What bench/replay_bench measures, with the buffers that people use today: a Python list of records, and a NumPy memmap.

  bench/peers/setup.sh numpy
  ~/.cache/freshet/peers/numpy/bin/python bench/replay_peers.py [--events 2000000] [--record-bytes 500] [--folder DIR]

Each buffer runs in a process of its own: append rate, resident memory, then batches of 256 drawn uniformly and copied
into one array. The memmap is sampled with its file in the page cache, and with the file dropped from it each second.
The list keeps every record in memory: 20 million of 500 bytes need 11 GB, so choose --events by what the machine has.
Neither keeps an order, a position, or anything at all after a crash.
"""
import argparse
import multiprocessing
import os
import random
import tempfile
import time

import numpy

BATCH = 1024
SAMPLE = 256


def resident():
    fields = {}
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            name, _, value = line.partition(":")
            if name in ("VmHWM", "VmRSS", "RssAnon", "RssFile"):
                fields[name] = int(value.split()[0]) / 1024
    return ", ".join(f"{name} {fields[name]:.0f} MB" for name in ("VmHWM", "VmRSS", "RssAnon", "RssFile"))


def records(args):
    """A batch of records whose bytes are random in one half, like the bench's."""
    block = numpy.zeros((BATCH, args.record_bytes), dtype=numpy.uint8)
    block[:, : args.record_bytes // 2] = numpy.random.default_rng(7).integers(0, 256, (BATCH, args.record_bytes // 2))
    return block


def sample(name, draw, seconds, drop=None):
    begin = time.perf_counter()
    batches, dropping, dropped = 0, 0.0, -1.0
    while (now := time.perf_counter() - begin) - dropping < seconds:
        if drop and now - dropped > 1:
            drop()
            dropped = time.perf_counter() - begin
            dropping += dropped - now
        draw()
        batches += 1
    rate = batches * SAMPLE / (time.perf_counter() - begin - dropping)
    print(f"{name}: {rate:,.0f} events/s; {resident()}", flush=True)


def python_list(args):
    rows = [bytes(row) for row in records(args)]
    begin = time.perf_counter()
    memory = []
    for at in range(args.events):
        memory.append(bytes(bytearray(rows[at % BATCH])))  # a copy of its own, as a decoder makes it
    print(f"list, append: {args.events / (time.perf_counter() - begin):,.0f} events/s; {resident()}", flush=True)
    generator = random.Random(11)
    sample("list, sampling", lambda: numpy.frombuffer(b"".join(generator.sample(memory, SAMPLE)), dtype=numpy.uint8),
           args.seconds)


def memmap(args):
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = os.path.join(folder, "buffer.bin")
        block = records(args)
        begin = time.perf_counter()
        memory = numpy.memmap(path, dtype=numpy.uint8, mode="w+", shape=(args.events, args.record_bytes))
        for at in range(0, args.events, BATCH):
            count = min(BATCH, args.events - at)
            memory[at : at + count] = block[:count]
        print(f"memmap, append: {args.events / (time.perf_counter() - begin):,.0f} events/s; {resident()}", flush=True)
        memory.flush()
        generator = numpy.random.default_rng(11)

        def draw():
            return memory[generator.integers(0, args.events, SAMPLE)].copy()

        def drop():
            nonlocal memory
            del memory  # mapped pages are not dropped
            with open(path, "rb") as file:
                os.fdatasync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            memory = numpy.memmap(path, dtype=numpy.uint8, mode="r", shape=(args.events, args.record_bytes))

        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass
        sample("memmap, sampling, file in the page cache", draw, args.seconds)
        sample("memmap, sampling, file not in the page cache", draw, args.seconds, drop)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--record-bytes", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--folder", help="where the memmap's file goes (default: the system's temporary folder)")
    parser.add_argument("--only", choices=["list", "memmap"])
    args = parser.parse_args()
    print(f"{args.events} events of {args.record_bytes} bytes", flush=True)
    for name, run in (("list", python_list), ("memmap", memmap)):
        if args.only not in (None, name):
            continue
        process = multiprocessing.Process(target=run, args=(args,))
        process.start()
        process.join()
        if process.exitcode != 0:
            raise SystemExit(f"{name} failed")


if __name__ == "__main__":
    main()
