#!/usr/bin/env python3
"""Writes helm/freshet/values.schema.json, so that a wrong value is refused before anything is installed.

The chart's own values are described by the comments in values.yaml (`# --` the words, `# @schema` what the default does not
tell). The daemon's configuration, the value `config`, is described by docs/configuration.md, which is made from its option
table. What a table cannot say (bounds of durations, options that exclude each other) is left to the daemon's own check.

    schema.py          writes the schema
    schema.py --check  exits 1 when it is not what it should be
"""
import argparse
import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[1]
CHART = ROOT / "helm/freshet"
REFERENCE = ROOT / "docs/configuration.md"
NUMBER = r"[0-9][0-9_]*(\.[0-9]+)?([eE][-+]?[0-9]+)?"


class Malformed(Exception):
    pass


# ---- the daemon's configuration ----


def tables(page):
    """The rows of each table of a Markdown page, under the heading it stands below."""
    heading, rows = "", {}
    for line in page.splitlines():
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("| ") and not line.startswith("|---"):
            rows.setdefault(heading, []).append(line.strip()[2:-1].rstrip())
    return rows


def option_rows(page):
    """(name, type, default, allowed, help) of every option."""
    for lines in tables(page).values():
        for line in lines:
            if not re.match(r"`[a-z_]+\.[a-z0-9_.]+` \| ", line):
                continue
            name, kind, default, allowed, _, words = line.split(" | ", 5)
            yield name.strip("`"), kind, default.strip("`"), allowed, words.strip()


def bound_of(text, kind):
    """JSON schema's words for '1 to 100', 'above 0, at most 1', where they speak of plain numbers."""
    if kind not in ("whole number", "number", "count or names", "list of whole numbers", "list of numbers"):
        return {}
    number = r"(-?[0-9.]+(?:e[-+]?[0-9]+)?)"
    found = {}
    for pattern, key in ((rf"^{number} to ", "minimum"), (rf" to {number}", "maximum"), (rf"above {number}", "exclusiveMinimum"),
                         (rf"at least {number}", "minimum"), (rf"at most {number}", "maximum"),
                         (rf"below {number}", "exclusiveMaximum")):
        match = re.search(pattern, text)
        if match:
            value = float(match.group(1))
            found[key] = int(value) if value.is_integer() else value
    return found


def option_schema(kind, allowed, feature, detectors):
    none = "none`" in allowed
    or_none = "|none" if none else ""
    bounds = bound_of(allowed, kind)
    whole = {"type": ["integer", "string"], "pattern": f"^({NUMBER}[kM]?{or_none})$", **bounds}
    real = {"type": ["number", "string"], "pattern": f"^(-?{NUMBER}{or_none})$", **bounds}
    text = {"type": "string", "minLength": 1}
    scalars = {"type": ["string", "number", "boolean"]}
    if kind == "choice":
        names = [name.strip("` ") for name in allowed.split(",")]
        # In YAML `off` is false; the template writes it as the word again.
        return {"enum": names + ([False] if "off" in names else [])}
    plain = {
        "boolean": {"type": "boolean"},
        "whole number": whole,
        "number": real,
        "text": text,
        "duration": {"type": "string", "pattern": rf"^([0-9]+(\.[0-9]+)? ?(ms|s|m|h|d|w)|0{or_none})$"},
        "size": {"type": ["integer", "string"], "pattern": rf"^([0-9_]+|[0-9]+(\.[0-9]+)? ?(B|kB|[MG]B|[KMGT]iB){or_none})$"},
        "list of whole numbers": {"type": "array", "items": {**whole, "type": ["integer", "string"]}},
        "list of numbers": {"type": "array", "items": real},
        "list of texts": {"type": ["array", "string"], "items": text},
        "map": {"type": "object", "additionalProperties": scalars},
        "count or names": {"type": ["integer", "string", "array"], "items": text, **bounds},
        "features": {"type": ["string", "object"], "pattern": "^auto$", "additionalProperties": feature},
        "detectors": {"type": "array", "items": detectors},
    }
    if kind not in plain:
        raise Malformed(f"docs/configuration.md has a type that schema.py does not know: '{kind}'")
    chosen = dict(plain[kind])
    if none and "array" not in chosen["type"]:
        types = chosen["type"] if isinstance(chosen["type"], list) else [chosen["type"]]
        chosen["type"] = types + ["null"]
    return chosen


def feature_schema(page):
    rows = tables(page)["Features"]
    kinds = [match.group(1) for match in (re.match(r"`([a-z_]+)` \| [^|]* \| [^|]*$", row) for row in rows) if match]
    keys = [match.group(1) for match in (re.match(r"`([a-z_]+)` \| [a-z_]+ \| `", row) for row in rows) if match]
    if "number" not in kinds or "half_life" not in keys:
        raise Malformed("docs/configuration.md: the tables under Features are not as schema.py reads them")
    kind = {"enum": kinds}
    return {"type": ["string", "object"], "pattern": f"^({'|'.join(kinds)})$", "required": ["kind"], "additionalProperties": False,
            "properties": {"kind": kind, **{key: {} for key in keys}}}


def detector_schema(page):
    kinds, options = [], []
    for row in tables(page)["Detectors"]:
        first, option = row.split(" | ")[:2] if not row.startswith("|") else ("", row[1:].split(" | ")[0])
        match = re.match(r"`([a-z_]+)`", first)
        if match:
            kinds.append(match.group(1))
        match = re.match(r"\s*`([a-z_]+)`", option)
        if match and match.group(1) not in options:
            options.append(match.group(1))
    if "adwin" not in kinds or "delta" not in options or "threshold" not in options:
        raise Malformed("docs/configuration.md: the table under Detectors is not as schema.py reads it")
    scalars = {"type": ["string", "number", "boolean"]}
    return {"type": ["string", "object"], "pattern": f"^({'|'.join(kinds)})$", "required": ["kind"], "additionalProperties": False,
            # In YAML a bare `on` is true; the template writes it as the word again.
            "properties": {"kind": {"enum": kinds}, "on": {"type": "string"}, "true": {"type": "string"}, **{name: scalars for name in options}}}


def config_schema(page):
    root = {"type": "object", "properties": {}, "additionalProperties": False}
    feature, detectors = feature_schema(page), detector_schema(page)
    count = 0
    for name, kind, default, allowed, words in option_rows(page):
        *sections, last = name.split(".")
        at = root
        for section in sections:
            at = at["properties"].setdefault(section, {"type": ["object", "null"], "properties": {}, "additionalProperties": False})
        at["properties"][last] = {**option_schema(kind, allowed, feature, detectors), "description": f"{words} Default: {default}."}
        count += 1
    if count < 100:
        raise Malformed(f"docs/configuration.md: only {count} options were found")
    return root


# ---- the chart's values ----


def comments_of(text):
    """The comment block above each key, by its path."""
    path, block, found = [], [], {}
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            block.append(stripped[1:].strip())
            continue
        match = re.match(r"( *)([A-Za-z][A-Za-z0-9]*):", line)
        if match and (block or len(match.group(1)) // 2 <= len(path)):
            depth = len(match.group(1)) // 2
            path = path[:depth] + [match.group(2)]
            found[".".join(path)] = block
        block = []
    return found


def described(name, block):
    """(words, facts) of a comment block: what follows `# --`, or all of it, and what stands in `# @schema`."""
    facts, words, begun = {}, [], any(line.startswith("-- ") for line in block)
    for line in block:
        if line.startswith("@schema "):
            facts.update(yaml.safe_load(line[len("@schema "):]))
        elif line.startswith("-- "):
            words = [line[3:]]
        elif line:
            words.append(line)
    if not words:
        raise Malformed(f"values.yaml: '{name}' is not described: write `# -- …` above it")
    return " ".join(words), facts, begun


def type_of(value):
    for python, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object")):
        if isinstance(value, python):
            return name
    raise Malformed(f"values.yaml: no type for {value!r}; null has none, give an empty value")


def value_schema(name, value, comments, config):
    words, facts, leaf = described(name, comments.get(name, []))
    if facts.get("$ref") == "config":
        return {"description": words, **config}
    if isinstance(value, dict) and not leaf:
        return {"description": words, "type": "object", "additionalProperties": False,
                "properties": {key: value_schema(f"{name}.{key}", item, comments, config) for key, item in value.items()}}
    return {"description": words, "type": type_of(value), **facts}


def chart_schema(values_text, page):
    comments = comments_of(values_text)
    # The first block is about the file, not about a value.
    config = config_schema(page)
    properties = {name: value_schema(name, value, comments, config) for name, value in yaml.safe_load(values_text).items()}
    # Helm hands these to every chart that is a part of another one.
    properties["global"] = {"description": "Values of the charts around this one; nothing here reads them.", "type": "object"}
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the chart freshet", "type": "object",
            "additionalProperties": False, "properties": properties}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    arguments = parser.parse_args()
    target = CHART / "values.schema.json"
    try:
        schema = chart_schema((CHART / "values.yaml").read_text(), REFERENCE.read_text())
    except Malformed as error:
        sys.exit(f"schema.py: {error}")
    text = json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
    if not arguments.check:
        target.write_text(text)
    elif not target.is_file() or target.read_text() != text:
        sys.exit(f"{target.relative_to(ROOT)} is not what docs/configuration.md and values.yaml make: run ./dev chart generate")


if __name__ == "__main__":
    main()
