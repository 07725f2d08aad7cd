"""Writes the generated tables in README.md and docs/; with --figures the figures, too.

    python -m docs.generate [--check] [--figures]

Tables come from the records in benchmarks/ and, for docs/networks.md, from the networks
themselves. --check writes nothing; it names the tables that are not what the records give, and
the figure of the package if its imports have changed.
"""

from __future__ import annotations

import argparse
import os
import sys

from docs.generate import figures
from docs.generate.tables import TABLES, stale, write


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m docs.generate", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    parser.add_argument("--figures", action="store_true", help="draw the figures again, too")
    args = parser.parse_args()
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # larq needs Keras 2
    if args.check:
        found = stale(TABLES) + figures.stale()
        for line in found:
            print(f"{line}. Run: python -m docs.generate", file=sys.stderr)
        return int(bool(found))
    write(TABLES)
    if args.figures:
        figures.draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
