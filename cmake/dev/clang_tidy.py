#!/usr/bin/env python3
"""Runs clang-tidy over the sources of a compilation database, in parallel, and skips what it has passed before.

A file's verdict is remembered under a hash of everything in the repository that it depends on: its own text, the
text of the headers it reaches through #include "..." (all written from the repository root), its compile command
and .clang-tidy. Only clean verdicts are kept.
"""
import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import re
import subprocess
import sys

INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = "clang-tidy-16"


def closure(path, seen):
    """All repository files that `path` includes, itself too, as {path: text}."""
    if path in seen or not path.is_file():
        return seen
    seen[path] = path.read_bytes()
    for name in INCLUDE.findall(seen[path]):
        name = name.decode(errors="replace")
        closure(ROOT / name, seen)
        closure(path.parent / name, seen)
    return seen


def key_of(entry, settings):
    digest = hashlib.sha256(settings)
    digest.update(entry["command"].replace(str(ROOT), ".").encode())
    for path, text in sorted(closure(pathlib.Path(entry["file"]), {}).items()):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(text).digest())
    return digest.hexdigest()


def check(entry, build):
    return subprocess.run([TOOL, "--quiet", "-p", str(build), entry["file"]],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)


def sources(build, wanted):
    """The database's entries for tracked sources, or for the files named; a header stands for all that include it."""
    entries = [e for e in json.loads((build / "compile_commands.json").read_text())
               if "/build/" not in e["file"].replace(str(ROOT), "") and e["file"].startswith(str(ROOT))]
    if wanted:
        names = {pathlib.Path(w).resolve() for w in wanted}
        entries = [e for e in entries if names & closure(pathlib.Path(e["file"]), {}).keys()]
    return entries


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()

    version = subprocess.run([TOOL, "--version"], capture_output=True, check=True).stdout
    settings = version + (ROOT / ".clang-tidy").read_bytes()
    options.cache.mkdir(parents=True, exist_ok=True)
    entries = sources(options.build, options.files)
    keys = {e["file"]: key_of(e, settings) for e in entries}
    stale = [e for e in entries if not (options.cache / keys[e["file"]]).exists()]
    # The largest first: a long file that starts last would run alone.
    stale.sort(key=lambda e: -sum(map(len, closure(pathlib.Path(e["file"]), {}).values())))
    print(f"    {len(entries)} files, {len(entries) - len(stale)} unchanged since they passed", flush=True)

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = {pool.submit(check, e, options.build): e["file"] for e in stale}
        for done in concurrent.futures.as_completed(running):
            result, name = done.result(), running[done]
            if result.returncode == 0:
                (options.cache / keys[name]).touch()
                continue
            failed += 1
            print(result.stdout.replace(str(ROOT) + "/", "") + result.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
