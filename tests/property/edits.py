"""Golden files, and changes of their bytes for hypothesis to choose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = {path.name: path.read_bytes() for path in sorted(GOLDEN.glob("*.tflite"))}

# 32-bit words that break readers: huge lengths, offsets to self, backwards and past the end.
_WORDS = st.sampled_from([0, 1, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFC, 0x10000000])
Edit = tuple[int, int | None, int]
EDITS = st.lists(
    st.tuples(st.integers(0, 2**16), st.one_of(st.integers(0, 255), st.none()), _WORDS),
    min_size=1,
    max_size=6,
)


def edited(data: bytes, edits: Sequence[Edit]) -> bytes:
    """`data` with a byte or an aligned word replaced by each edit."""
    changed = bytearray(data)
    for place, byte, word in edits:
        if byte is None:
            at = place % (len(changed) // 4) * 4
            changed[at : at + 4] = word.to_bytes(4, "little")
        else:
            changed[place % len(changed)] = byte
    return bytes(changed)
