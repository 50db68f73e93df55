"""What a PromQL expression asks for, and what there is to ask for.

Metrics are those of docs/metrics.md, which another test holds to the sources and to a live daemon, those that
Prometheus makes for every target, and what our recording rules record.
"""
import pathlib
import re

import promql_parser
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "helm" / "freshet" / "rules" / "freshet.rules.yaml"
RULE_TESTS = ROOT / "helm" / "freshet" / "rules" / "tests"
METRICS_PAGE = ROOT / "docs" / "metrics.md"
TARGET_LABELS = {"job", "instance", "namespace", "pod", "model"}


def selectors(expression):
    """(name, {label: value}) of each selector; ValueError for what cannot be parsed."""
    found = []

    def visit(node):
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(expression), visit)
    return [(selector.name, {matcher.name: matcher.value for matcher in selector.matchers.matchers})
            for selector in found]


def page_metrics():
    """Name to (kind, labels) of every metric on the page."""
    metrics = {}
    for row in METRICS_PAGE.read_text().splitlines():
        match = re.match(r"\| `([a-z0-9_*]+)` \| (\w+) \| ([^|]*) \|", row)
        if not match:
            continue
        name, kind, labels = match.groups()
        names = [name]
        if name.endswith("*"):
            names = [name[:-1] + measure for measure in re.findall(r"`([a-z0-9_]+)`", row.split("is one of")[1])]
        for each in names:
            metrics[each] = (kind, set(re.findall(r"`(\w+)`", labels)))
    return metrics


def rule_groups():
    return yaml.safe_load(RULES.read_text())["groups"]


def series():
    """Name to labels beside the target's, of every series that can be asked for."""
    known = {}
    for name, (kind, labels) in page_metrics().items():
        if kind == "histogram":
            known[name + "_bucket"] = labels | {"le"}
            known[name + "_sum"] = known[name + "_count"] = labels
        else:
            known[name] = labels
    for group in rule_groups():
        for rule in group["rules"]:
            if "record" in rule:
                known[rule["record"]] = set()
    return known


def findings(expression, known):
    """What is wrong with an expression: each as a text."""
    try:
        asked = selectors(expression)
    except ValueError as error:
        return [f"{error}: {expression}"]
    wrong = [] if asked else [f"asks for nothing: {expression}"]
    for name, matchers in asked:
        if name not in known:
            wrong.append(f"there is no {name}: {expression}")
            continue
        for label in set(matchers) - TARGET_LABELS - known[name]:
            wrong.append(f"{name} has no label {label}: {expression}")
    return wrong
