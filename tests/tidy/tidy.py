#!/usr/bin/env python3
"""Holds the source tree to the rules that a compiler does not know. Prints file:line: rule, exits 1 on any finding.

- The rooms form a star: stream, storage, learners and serving include core and themselves, never each other; core
  includes itself alone; daemon is included by daemon, tests and benchmarks.
- Includes in quotes are written from the repository root and exist.
- LibTorch stays in learners: its headers never appear in core, stream, storage or serving, and its heavy ones
  (5 to 16 seconds a file) nowhere but in learners, the tests of learners, and benchmarks.
- No leftovers (the words in LEFTOVERS), and no test that is switched off or sleeps to wait.
"""
import argparse
import pathlib
import re
import sys

ROOMS = ("stream", "storage", "learners", "serving")
SOURCE_FOLDERS = ROOMS + ("core", "daemon", "tests", "bench")
TORCH_FOLDERS = ("learners/", "tests/learners/", "tests/conformance/", "bench/", "cmake/")
HEAVY_TORCH = {"torch/torch.h", "torch/script.h", "torch/extension.h", "torch/all.h", "ATen/ATen.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX)\b")
BAD_TEST = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|\bDISABLED_")
TEXT = {".cc", ".h", ".py", ".sh", ".md", ".txt", ".cmake", ".yaml", ".yml", ".json", ".html", ".js", ".css", ""}


def text_files(root):
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = parts[0].startswith(".") and parts[0] != ".ci"
        if hidden or parts[0] == "build" or "__pycache__" in parts or not path.is_file():
            continue
        if path.suffix in TEXT and path.stat().st_size < 1 << 20:
            yield path


def allowed_rooms(folder):
    """Which rooms a file in `folder` may include."""
    if folder in ROOMS:
        return {folder, "core"}
    if folder == "core":
        return {"core"}
    return set(ROOMS) | {"core", "daemon", "tests", "bench"}


def include_findings(root, name, line):
    match = INCLUDE.match(line)
    if not match:
        return
    quoted, target = match.group(1) == '"', match.group(2)
    folder = name.split("/")[0]
    room = target.split("/")[0]
    if quoted:
        if not (root / target).is_file() or ".." in target:
            yield f'"{target}" is not a file, seen from the repository root'
        elif room in SOURCE_FOLDERS and room not in allowed_rooms(folder):
            yield f"{folder}/ includes {target}: rooms meet in core/ alone"
    elif (root / target).is_file() and room in SOURCE_FOLDERS:
        yield f"<{target}> is ours: include it in quotes"
    if target in HEAVY_TORCH and not name.startswith(TORCH_FOLDERS):
        yield f"<{target}> outside learners/"
    elif room in ("torch", "ATen", "c10") and folder in ("core", "stream", "storage", "serving"):
        yield f"<{target}> in {folder}/, which knows nothing of LibTorch"


def findings(root):
    for path in text_files(root):
        name = path.relative_to(root).as_posix()
        if name.startswith("tests/tidy/"):
            continue
        cxx = path.suffix in (".cc", ".h")
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            where = f"{name}:{number}"
            if cxx and name.split("/")[0] in SOURCE_FOLDERS:
                for finding in include_findings(root, name, line):
                    yield f"{where}: {finding}"
            if LEFTOVERS.search(line):
                yield f"{where}: a leftover: {line.strip()[:60]}"
            if cxx and name.startswith("tests/") and BAD_TEST.search(line):
                yield f"{where}: a test that sleeps or is switched off: {line.strip()[:60]}"
        # A NAME_body.h is text that its users include once for each variant of it.
        guarded = path.suffix == ".h" and not name.endswith("_body.h") and name.split("/")[0] in SOURCE_FOLDERS
        if guarded and "#pragma once" not in path.read_text():
            yield f"{name}:1: no #pragma once"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    found = list(findings(parser.parse_args().root))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
