"""Errors that a user can act on; the command line prints them as one line."""

from __future__ import annotations

import re

__all__ = ["SparseBNNError", "printable"]

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Ends of lines, and what terminals take for commands."""


def printable(text: str) -> str:
    """`text` without what a terminal would obey, for names that come from files and devices.

    Example:
        >>> printable("a\x1b[2Jb")
        'a?[2Jb'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


class SparseBNNError(ValueError):
    """Base of this package's own errors: *Expected X, got Y (where). What to do.*

    Always one line of what can be printed: the names that it quotes come from files, and may
    hold anything.

    Example:
        >>> str(SparseBNNError("Expected a name, got 'a\\nb'."))
        "Expected a name, got 'a b'."
    """

    def __init__(self, message: str) -> None:
        super().__init__(_UNPRINTABLE.sub(" ", message))
