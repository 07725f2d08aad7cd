"""Tables for terminals."""

from __future__ import annotations

from collections.abc import Sequence

from keras_sparsebnn.errors import printable

__all__ = ["aligned"]


def aligned(rows: Sequence[Sequence[str]], *, left: int = 2) -> list[str]:
    """One line a row: the first `left` columns flush left, the others right.

    Example:
        >>> aligned([["layer", "kbit"], ["binary0", "5.1"]], left=1)
        ['layer    kbit', 'binary0   5.1']
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
