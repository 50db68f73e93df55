#!/usr/bin/env python3
"""The check of docs/metrics.md is able to fail."""
import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "cmake" / "dev"))

import metrics_page  # noqa: E402


def declared_in(text):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "stream" / "a.cc"
        source.parent.mkdir()
        source.write_text(text)
        return metrics_page.declarations(pathlib.Path(folder))


class MetricsPageTest(unittest.TestCase):
    def test_reads_declarations(self):
        found, wrong = declared_in('a = registry.counter("freshet_a_total",\n "Ones "\n "and twos.");  // "freshet_no"\n'
                                   'b = m.gauge("freshet_live_" + name, "Of b.", {});\n'
                                   'c = {metrics, "freshet_c_total", "By reason."};')
        self.assertEqual(wrong, [])
        self.assertEqual(found["freshet_a_total"], ("counter", "Ones and twos.", "stream/a.cc"))
        self.assertEqual(found["freshet_live_*"][:2], ("gauge", "Of b."))
        self.assertEqual(found["freshet_c_total"][:2], ("counter", "By reason."))

    def test_reads_names_that_are_constants(self):
        found, wrong = declared_in('constexpr std::string_view kName = "freshet_a_total";\n'
                                   'constexpr const char* kHelp = "Of "\n "a.";\nm.counter(kName, kHelp);')
        self.assertEqual(wrong, [])
        self.assertEqual(found["freshet_a_total"][:2], ("counter", "Of a."))

    def test_a_use_is_no_declaration(self):
        found, wrong = declared_in('m.counter("freshet_a_total", "Of a.");\nx = value("freshet_a_total");')
        self.assertEqual((list(found), wrong), (["freshet_a_total"], []))

    def test_finds_what_it_does_not_understand(self):
        self.assertIn("no declaration", declared_in('x = value("freshet_a_total");')[1][0])
        self.assertIn("something else", declared_in('x.counter("freshet_a", "One.");\nx.gauge("freshet_a", "One.");')[1][0])

    def test_finds_metrics_without_a_group_and_groups_without_metrics(self):
        found, _ = metrics_page.declarations(ROOT)
        self.assertEqual(metrics_page.check_groups(found, ROOT), [])
        found["freshet_new_total"] = found.pop("freshet_events_total")
        wrong = "\n".join(metrics_page.check_groups(found, ROOT))
        self.assertIn("freshet_new_total (daemon/pipeline/pipeline_metrics.cc) is in no group", wrong)
        self.assertIn("freshet_events_total is in a group, but nothing declares it", wrong)

    def test_finds_what_a_daemon_shows_otherwise(self):
        found, _ = metrics_page.declarations(ROOT)
        shown = metrics_page.exposition('# HELP freshet_odd_total Odd.\n# TYPE freshet_odd_total counter\n'
                                        'freshet_odd_total{model="m"} 1\n'
                                        '# HELP freshet_events_total Odd.\n# TYPE freshet_events_total gauge\n'
                                        'freshet_events_total{model="m",shard="1"} 1\n')
        wrong = "\n".join(metrics_page.check_live(shown, found, ROOT))
        self.assertIn("freshet_odd_total is shown", wrong)
        self.assertIn("freshet_events_total is a gauge", wrong)
        self.assertIn("freshet_events_total says 'Odd.'", wrong)
        self.assertIn("freshet_events_total has the labels ['shard'], on the page []", wrong)
        self.assertIn("freshet_rounds_total stands on the page as always there", wrong)


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=2))
