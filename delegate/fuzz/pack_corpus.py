"""Packs inputs of a fuzzer into its seed corpus: one .zip, the same bytes on every machine.

    build/fuzz/fuzz_delegate -merge=1 -use_counters=0 build/fuzz/least \
        build/fuzz/corpus/fuzz_delegate build/fuzz/seeds/fuzz_delegate
    python delegate/fuzz/pack_corpus.py build/fuzz/least delegate/fuzz/fuzz_delegate.zip
"""

from __future__ import annotations

import argparse
import io
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a .zip can say


def pack(inputs: Iterable[bytes]) -> bytes:
    """The .zip of all inputs that differ: the shortest first, numbered, not compressed."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for number, data in enumerate(sorted(set(inputs), key=lambda data: (len(data), data))):
            archive.writestr(zipfile.ZipInfo(f"{number:04}", EARLIEST), data)
    return target.getvalue()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the inputs, a file each")
    parser.add_argument("archive", type=Path, help="the .zip to write")
    arguments = parser.parse_args()
    inputs = [path.read_bytes() for path in arguments.folder.iterdir()]
    arguments.archive.write_bytes(pack(inputs))
    print(f"{arguments.archive}: {len(set(inputs))} inputs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
