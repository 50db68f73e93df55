#!/usr/bin/env python3
"""The dashboard: every expression can be parsed and asks for metrics, labels and recorded series that there are; the
file is what its script makes."""
import itertools
import json
import re
import subprocess
import sys
import unittest

import expressions

DASHBOARD = expressions.ROOT / "helm" / "freshet" / "dashboards" / "freshet.json"
SCRIPT = expressions.ROOT / "cmake" / "dev" / "dashboard.py"
ROWS = ["At a glance", "Throughput", "Lag", "Freshness", "Live quality", "Forgetting", "Sifting", "Memory and state",
        "Gate and versions", "Tuning", "Serving", "Process and disk"]
MARKS = {"Drift", "Swap", "Rollback", "Study"}


def plain(expression):
    """As Grafana would send it."""
    return expression.replace("$__rate_interval", "5m").replace("$__interval", "1m")


class DashboardTest(unittest.TestCase):
    def setUp(self):
        self.dashboard = json.loads(DASHBOARD.read_text())
        self.panels = [panel for panel in self.dashboard["panels"] if panel["type"] != "row"]
        self.known = expressions.series() | {"ALERTS": {"alertname", "alertstate"}}
        self.variables = {variable["name"] for variable in self.dashboard["templating"]["list"]}

    def test_is_what_its_script_makes(self):
        done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_expression_asks_for_what_there_is(self):
        asked = 0
        for panel in self.panels:
            self.assertTrue(panel["targets"], panel["title"])
            for target in panel["targets"]:
                self.assertEqual(expressions.findings(plain(target["expr"]), self.known), [], panel["title"])
                asked += 1
        for mark in self.dashboard["annotations"]["list"]:
            self.assertEqual(expressions.findings(plain(mark["expr"]), self.known), [], mark["name"])
        self.assertGreater(asked, 80)

    def test_the_check_can_fail(self):
        self.assertTrue(expressions.findings("freshet_live_acuracy", self.known))
        self.assertTrue(expressions.findings('freshet_lag_events{slice="a"}', self.known))

    def test_every_selector_follows_the_variables(self):
        for panel in self.panels:
            for target in panel["targets"]:
                for name, matchers in expressions.selectors(plain(target["expr"])):
                    self.assertLessEqual({"namespace": "$namespace", "job": "$job", "pod": "$pod", "model": "$model"}.items(),
                                         matchers.items(), f"{panel['title']}: {name}")
        used = set(re.findall(r"\$(\w+)", DASHBOARD.read_text())) - {"__rate_interval", "__all"}
        self.assertEqual(used, self.variables)

    def test_variables_ask_for_what_there_is(self):
        for variable in self.dashboard["templating"]["list"]:
            if variable["type"] != "query":
                continue
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            self.assertEqual(expressions.findings(asked.group(1), self.known), [])
            self.assertIn(asked.group(2), expressions.TARGET_LABELS)

    def test_legends_name_labels_that_there_are(self):
        for panel in self.panels:
            for target in panel["targets"]:
                there = set(expressions.TARGET_LABELS)
                for name, _ in expressions.selectors(plain(target["expr"])):
                    there |= self.known[name]
                self.assertLessEqual(set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])), there, panel["title"])

    def test_every_metric_of_ours_is_on_it(self):
        asked = {name for panel in self.panels for target in panel["targets"]
                 for name, _ in expressions.selectors(plain(target["expr"]))}
        recorded = {rule["record"]: rule["expr"] for group in expressions.rule_groups() for rule in group["rules"]
                    if "record" in rule}
        for name in asked & set(recorded):
            asked |= {name for name, _ in expressions.selectors(recorded[name])}
        asked = {re.sub("_(bucket|sum|count)$", "", name) for name in asked}
        # The same measured in other ways; a dashboard need not draw them all.
        left_out = {f"freshet_live_{name}" for name in ("brier", "f1", "f1_weighted", "precision", "recall", "r2")}
        self.assertEqual(set(expressions.page_metrics()) - asked, left_out)

    def test_rows_and_marks(self):
        self.assertEqual([panel["title"] for panel in self.dashboard["panels"] if panel["type"] == "row"], ROWS)
        self.assertLessEqual(MARKS, {mark["name"] for mark in self.dashboard["annotations"]["list"]})
        self.assertIn("datasource", self.variables)

    def test_panels_lie_beside_each_other(self):
        ids = [panel["id"] for panel in self.dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        titles = [panel["title"] for panel in self.panels]
        self.assertEqual(len(titles), len(set(titles)))
        places = [(panel["title"], panel["gridPos"]) for panel in self.dashboard["panels"]]
        for title, place in places:
            self.assertLessEqual(place["x"] + place["w"], 24, title)
        for (title, a), (other, b) in itertools.combinations(places, 2):
            apart = (a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"] or a["y"] + a["h"] <= b["y"]
                     or b["y"] + b["h"] <= a["y"])
            self.assertTrue(apart, f"{title} and {other} overlap")

    def test_every_panel_says_what_to_look_for(self):
        for panel in self.panels:
            self.assertGreater(len(panel["description"]), 5, panel["title"])
            self.assertEqual(panel["datasource"], {"type": "prometheus", "uid": "$datasource"})


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
