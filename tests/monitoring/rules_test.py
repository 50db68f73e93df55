#!/usr/bin/env python3
"""Recording rules and alerts: promtool is content, every alert is seen to fire and to clear, asks for metrics that there
are, and has its page in docs/operations.md."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml

import expressions

# Where `./dev test` puts Prometheus.
CACHE = pathlib.Path(os.environ.get("FRESHET_CACHE", pathlib.Path.home() / ".cache" / "freshet"))
PROMTOOL = str(pathlib.Path(os.environ.get("FRESHET_PROMETHEUS", CACHE / "prometheus-2.42")) / "promtool")
OPERATIONS = expressions.ROOT / "docs" / "operations.md"


def promtool(*words):
    done = subprocess.run([PROMTOOL, *map(str, words)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def alerts():
    return [rule for group in expressions.rule_groups() for rule in group["rules"] if "alert" in rule]


def rule_tests():
    return sorted(expressions.RULE_TESTS.glob("*.yaml"))


class RulesTest(unittest.TestCase):
    def test_promtool_is_content(self):
        code, said = promtool("check", "rules", expressions.RULES)
        self.assertEqual(code, 0, said)
        self.assertNotIn("duplicate", said)

    def test_each_alert_behaves_as_its_test_says(self):
        code, said = promtool("test", "rules", *rule_tests())
        self.assertEqual(code, 0, said)

    def test_each_alert_is_seen_to_fire_and_then_to_clear(self):
        seen = {}
        for file in rule_tests():
            for case in yaml.safe_load(file.read_text())["tests"]:
                for step in case["alert_rule_test"]:
                    fires = bool(step["exp_alerts"])
                    before = seen.setdefault(step["alertname"], [])
                    if fires or "fires" in before:
                        before.append("fires" if fires else "clears")
        for alert in alerts():
            self.assertEqual(set(seen.get(alert["alert"], [])), {"fires", "clears"}, alert["alert"])
        self.assertEqual(set(seen), {alert["alert"] for alert in alerts()})

    def test_a_changed_limit_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            rules = pathlib.Path(folder) / "freshet.rules.yaml"
            tests = pathlib.Path(folder) / "tests"
            tests.mkdir()
            text = expressions.RULES.read_text()
            rules.write_text(text.replace("freshet:lag_seconds:max > 300", "freshet:lag_seconds:max > 3000"))
            self.assertNotEqual(rules.read_text(), text)
            copy = tests / "stream.yaml"
            copy.write_text((expressions.RULE_TESTS / "stream.yaml").read_text())
            code, said = promtool("test", "rules", copy)
            self.assertNotEqual(code, 0)
            self.assertIn("FreshetLagging", said)

    def test_rules_ask_for_what_there_is(self):
        known = expressions.series() | {"up": set()}
        wrong = [finding for group in expressions.rule_groups() for rule in group["rules"]
                 for finding in expressions.findings(rule["expr"], known)]
        self.assertEqual(wrong, [])

    def test_the_check_can_fail(self):
        known = expressions.series()
        self.assertTrue(expressions.findings("rate(freshet_no_such_total[5m])", known))
        self.assertTrue(expressions.findings('freshet_lag_seconds{topic="x"}', known))
        self.assertTrue(expressions.findings("sum(freshet_lag_seconds", known))
        self.assertEqual(expressions.findings('max(freshet_lag_seconds{partition="0"}) by (model)', known), [])

    def test_each_alert_says_what_it_must(self):
        names = [alert["alert"] for alert in alerts()]
        self.assertEqual(len(names), len(set(names)))
        for alert in alerts():
            name = alert["alert"]
            self.assertTrue(name.startswith("Freshet"), name)
            self.assertIn(alert["labels"]["severity"], ("info", "warning", "critical"), name)
            self.assertEqual(set(alert["annotations"]), {"summary", "description", "runbook_url"}, name)
            self.assertEqual(alert["annotations"]["runbook_url"], f"docs/operations.md#{name.lower()}")
            self.assertIn("{{ $labels.model }}", alert["annotations"]["summary"], name)

    def test_each_alert_has_its_page(self):
        text = OPERATIONS.read_text()
        pages = dict(re.findall(r"^### (Freshet\w+)\n(.*?)(?=^#|\Z)", text, re.M | re.S))
        self.assertEqual(set(pages), {alert["alert"] for alert in alerts()})
        for name, page in pages.items():
            for word in ("**Means.**", "**Causes.**", "**Look.**", "**Do.**"):
                self.assertIn(word, page, name)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
