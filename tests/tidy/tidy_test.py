#!/usr/bin/env python3
"""Shows that tidy.py can fail: plants each violation in a small clean tree and expects to be told where it is."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

TIDY = pathlib.Path(__file__).with_name("tidy.py")
CLEAN = {
    "core/status.h": "#pragma once\n",
    "stream/source.h": '#pragma once\n#include "core/status.h"\n',
    "storage/store.h": "#pragma once\n",
    "learners/model.cc": "#include <torch/torch.h>\n",
    "serving/http.cc": '#include "core/status.h"\n#include <vector>\n',
    "daemon/pipeline.h": '#pragma once\n#include "stream/source.h"\n#include "storage/store.h"\n',
    "tests/stream/source_test.cc": '#include "stream/source.h"\n#include "daemon/pipeline.h"\n',
    "tests/learners/model_test.cc": "#include <torch/torch.h>\n",
    "docs/page.md": "Nothing left over.\n",
}
# (file, line to append, part of the finding)
VIOLATIONS = [
    ("stream/source.h", '#include "storage/store.h"', "rooms meet in core"),
    ("storage/store.h", '#include "stream/source.h"', "rooms meet in core"),
    ("learners/model.cc", '#include "storage/store.h"', "rooms meet in core"),
    ("serving/http.cc", '#  include "stream/source.h"', "rooms meet in core"),
    ("core/status.h", '#include "stream/source.h"', "rooms meet in core"),
    ("serving/http.cc", '#include "daemon/pipeline.h"', "rooms meet in core"),
    ("serving/http.cc", '#include "http.h"', "repository root"),
    ("daemon/pipeline.h", '#include "../core/status.h"', "repository root"),
    ("serving/http.cc", "#include <core/status.h>", "in quotes"),
    ("daemon/pipeline.h", "#include <torch/torch.h>", "outside learners"),
    ("serving/http.cc", "#include <torch/script.h>", "outside learners"),
    ("storage/store.h", "#include <torch/extension.h>", "outside learners"),
    ("tests/stream/source_test.cc", "#include <ATen/ATen.h>", "outside learners"),
    ("storage/store.h", "#include <ATen/core/Tensor.h>", "knows nothing of LibTorch"),
    ("core/status.h", "// TODO: later", "leftover"),
    ("docs/page.md", "FIXME", "leftover"),
    ("learners/model.cc", "int x;  // XXX", "leftover"),
    ("tests/stream/source_test.cc", "std::this_thread::sleep_for(1s);", "sleeps or is switched off"),
    ("tests/stream/source_test.cc", "usleep(10);", "sleeps or is switched off"),
    ("tests/stream/source_test.cc", "TEST(Source, DISABLED_Reads) {}", "sleeps or is switched off"),
]


def run_tidy(root):
    result = subprocess.run([sys.executable, str(TIDY), "--root", str(root)], capture_output=True, text=True)
    return result.returncode, result.stdout


class TidyTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        for name, text in CLEAN.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def test_a_clean_tree_passes(self):
        self.assertEqual(run_tidy(self.root), (0, ""))

    def test_every_violation_is_found_where_it_is(self):
        for name, line, finding in VIOLATIONS:
            with self.subTest(file=name, line=line):
                path = self.root / name
                before = path.read_text()
                path.write_text(before + line + "\n")
                code, output = run_tidy(self.root)
                path.write_text(before)
                self.assertEqual(code, 1)
                self.assertIn(f"{name}:{before.count(chr(10)) + 1}: ", output)
                self.assertIn(finding, output)

    def test_a_header_without_a_guard_is_found(self):
        (self.root / "core/status.h").write_text("\n")
        self.assertIn("core/status.h:1: no #pragma once", run_tidy(self.root)[1])


if __name__ == "__main__":
    unittest.main()
