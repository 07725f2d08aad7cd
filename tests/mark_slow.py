"""Writes tests/slow.txt, the tests that `make test-fast` leaves out, from a run's durations.

python tests/mark_slow.py build/tests.xml [...]     # what `make test` wrote
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("slow.txt")
SECONDS = 1.0  # of a test function, all its parameters and fixtures together

HEAD = f"""\
# Tests that take more than {SECONDS:g} s, all parameters together, and how long. Written by
# `make slow-tests` from the last `make test`; `make test-fast` leaves them out.
"""


def durations(report: Path) -> Counter[str]:
    """Seconds by test function, `path::Class::test`, of a JUnit report."""
    found: Counter[str] = Counter()
    for case in ET.parse(report).iter("testcase"):
        *folders, file = (parts := case.attrib["classname"].split("."))[: _module(parts)]
        path = "/".join([*folders, f"{file}.py"])
        classes, name = parts[len(folders) + 1 :], case.attrib["name"].partition("[")[0]
        found["::".join([path, *classes, name])] += float(case.attrib["time"])
    return found


def _module(parts: list[str]) -> int:
    """How many parts of a dotted name are the module: tests.unit.test_x, then classes."""
    return next(i for i, part in enumerate(parts, start=1) if part.startswith("test_"))


def listed() -> dict[str, float]:
    """The list as it is."""
    lines = LIST.read_text("utf-8").splitlines() if LIST.is_file() else []
    pairs = (line.rsplit(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {test: float(seconds) for test, seconds in pairs}


def exists(test: str) -> bool:
    """Whether the function is still in the file."""
    file, *_, function = test.split("::")
    path = ROOT / file
    return path.is_file() and f"def {function}(" in path.read_text("utf-8")


def main() -> None:
    measured = sum((durations(Path(report)) for report in sys.argv[1:]), Counter())
    # And those that did not run, after `make test-fast`.
    kept = {t: s for t, s in listed().items() if t not in measured and exists(t)}
    slow = kept | {test: s for test, s in measured.items() if s > SECONDS}
    LIST.write_text(HEAD + "".join(f"{t} {s:.1f}\n" for t, s in sorted(slow.items())), "utf-8")
    rest = sum(s for test, s in measured.items() if test not in slow)
    print(f"{len(slow)} slow tests; the others of this run took {rest:.0f} s")


if __name__ == "__main__":
    main()
