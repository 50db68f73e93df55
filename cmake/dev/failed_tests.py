#!/usr/bin/env python3
"""Prints which tests of a ctest run failed, with the end of what each one said: failed_tests.py JUNIT_FILE.

The last words of a long run are what a CI system keeps; there the failures stand, not where they happened.
"""

import re
import sys
import xml.etree.ElementTree

LINES_MAX = 40  # of a test
SHOWN_MAX = 10  # tests; of the others the names alone
LINE_CHARS_MAX = 400


def failures(root):
    for case in root.iter("testcase"):
        status = case.get("status", "")
        skipped = case.find("skipped")
        why = skipped.get("message", "") if skipped is not None else ""
        if status == "fail" or (status == "notrun" and not why.startswith("SKIP_")):
            said = re.sub(r"\[NON-XML-CHAR-0x1B\]\[[0-9;]*m", "", case.findtext("system-out") or "")
            yield case.get("name", "?") + (f" ({why})" if why else ""), said


def main():
    try:
        root = xml.etree.ElementTree.parse(sys.argv[1]).getroot()
    except (OSError, xml.etree.ElementTree.ParseError) as error:
        print(f"no summary of the failed tests: {error}")
        return
    failed = list(failures(root))
    for name, output in failed[:SHOWN_MAX]:
        lines = [line for line in output.splitlines() if line.strip()]
        left = f", the last {LINES_MAX} of {len(lines)} lines" if len(lines) > LINES_MAX else ""
        print(f"\n---- {name}{left}")
        for line in lines[-LINES_MAX:]:
            print("    " + line[:LINE_CHARS_MAX])
    if failed:
        print(f"\n{len(failed)} failed:")
        for name, _ in failed:
            print(f"    {name}")


if __name__ == "__main__":
    main()
