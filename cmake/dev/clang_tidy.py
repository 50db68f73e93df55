#!/usr/bin/env python3
"""Runs clang-tidy over the sources of a compilation database, in parallel, and skips what it has passed before.

A file's verdict is remembered under a hash of everything in the repository that it depends on: its own text, the
text of the headers it reaches through #include "..." (all written from the repository root), its compile command
and .clang-tidy. Only clean verdicts are kept.

LibTorch's headers cost clang-tidy some 40 seconds a file, so sources that include them are first checked several at
once, as one translation unit. That pass only acquits: a file that it names in any message, which may be a mere
clash of names between the files, is checked again by itself, and only that verdict is reported.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import json
import pathlib
import re
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = "clang-tidy-16"
INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
LIBTORCH = re.compile(rb"^\s*#\s*include\s+<(torch|ATen)/", re.MULTILINE)
BATCH_FILES_MAX = 12


class Source:
    """One entry of the compilation database."""

    def __init__(self, entry, settings):
        self.path = pathlib.Path(entry["file"])
        self.name = self.path.relative_to(ROOT).as_posix()
        self.flags = flags_of(entry["command"])
        self.texts = closure(self.path, {})
        digest = hashlib.sha256(settings + "\0".join(self.flags).replace(str(ROOT), ".").encode())
        for path, text in sorted(self.texts.items()):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + hashlib.sha256(text).digest())
        self.key = digest.hexdigest()

    def bytes(self):
        return sum(map(len, self.texts.values()))

    def uses_libtorch(self):
        return any(LIBTORCH.search(text) for text in self.texts.values())


def closure(path, seen):
    """All repository files that `path` includes, itself too, as {path: text}."""
    if path in seen or not path.is_file():
        return seen
    seen[path] = path.read_bytes()
    for name in INCLUDE.findall(seen[path]):
        closure(ROOT / name.decode(errors="replace"), seen)
    return seen


def flags_of(command):
    """The compiler's flags, without the program, input, output and dependency file."""
    flags, words = [], iter(shlex.split(command)[1:])
    for word in words:
        if word in ("-o", "-c", "-MF", "-MT"):
            next(words)
        elif word != "-MD":
            flags.append(word)
    return tuple(flags)


def tidy(paths, *options, flags):
    # The flags are gcc's: clang does not know all of its warnings.
    return subprocess.run([TOOL, "--quiet", *options, *map(str, paths), "--", *flags, "-Wno-unknown-warning-option"],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=ROOT)


def check(source):
    result = tidy([source.path], flags=source.flags)
    return result.returncode == 0, result.stdout.replace(f"{ROOT}/", "") + result.stderr


def acquitted(batch, folder):
    """The sources of a batch that one pass over all of them together finds nothing to say about."""
    unit = folder / f"batch-{batch[0].key[:16]}.cc"
    unit.write_text("".join(f'#include "{source.name}"\n' for source in batch))
    result = tidy([unit], "--checks=-bugprone-suspicious-include",
                  r"--header-filter=/(core|learners|tests|bench|daemon)/[^.]*\.(h|cc)$",
                  flags=(*batch[0].flags, "-ferror-limit=0"))
    text = result.stdout + result.stderr
    if "fatal error" in text or (result.returncode != 0 and "error:" not in text):
        return []
    # A message in a header counts against everyone who includes it.
    named = {ROOT / name for name in re.findall(r"^" + re.escape(f"{ROOT}/") + r"([^:\n]+):\d+:", text, re.MULTILINE)}
    return [source for source in batch if not named & source.texts.keys()]


def batches_of(sources, jobs):
    """Batches of LibTorch sources with equal flags, as many as there are jobs to run them."""
    groups = collections.defaultdict(list)
    for source in sources:
        if source.uses_libtorch():
            groups[source.flags].append(source)
    for group in groups.values():
        size = min(BATCH_FILES_MAX, max(2, -(-len(group) // jobs)))
        for start in range(0, len(group), size):
            if len(group[start:start + size]) > 1:
                yield group[start:start + size]


def read_sources(build, wanted):
    """The database's sources in the repository, or those that the named files are part of."""
    settings = (subprocess.run([TOOL, "--version"], capture_output=True, check=True).stdout
                + (ROOT / ".clang-tidy").read_bytes())
    entries = json.loads((build / "compile_commands.json").read_text())
    sources = [Source(entry, settings) for entry in entries
               if entry["file"].startswith(f"{ROOT}/") and not entry["file"].startswith(f"{build.resolve()}/")]
    if wanted:
        names = {pathlib.Path(name).resolve() for name in wanted}
        sources = [source for source in sources if names & source.texts.keys()]
    return sources


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="folder with compile_commands.json")
    parser.add_argument("--cache", type=pathlib.Path, required=True, help="folder that remembers clean verdicts")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()

    options.cache.mkdir(parents=True, exist_ok=True)
    sources = read_sources(options.build, options.files)
    stale = [source for source in sources if not (options.cache / source.key).exists()]
    print(f"    {len(sources)} files, {len(sources) - len(stale)} unchanged since they passed", flush=True)

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        batches = [pool.submit(acquitted, batch, options.build) for batch in batches_of(stale, options.jobs)]
        for batch in concurrent.futures.as_completed(batches):
            for source in batch.result():
                (options.cache / source.key).touch()
        left = [source for source in stale if not (options.cache / source.key).exists()]
        # The largest first: a long file that starts last would run alone.
        left.sort(key=Source.bytes, reverse=True)
        running = {pool.submit(check, source): source for source in left}
        for done in concurrent.futures.as_completed(running):
            clean, text = done.result()
            if clean:
                (options.cache / running[done].key).touch()
            else:
                failed += 1
                print(text, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
