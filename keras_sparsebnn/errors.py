"""Errors that a user can act on; the command line prints them as one line."""

from __future__ import annotations

import re

__all__ = ["SparseBNNError", "first_line", "one_line", "printable"]

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""Ends of lines, and what terminals take for commands."""


def printable(text: str) -> str:
    """`text` without what a terminal would obey, for names that come from files and devices.

    Example:
        >>> printable("a\x1b[2Jb")
        'a?[2Jb'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


def one_line(error: BaseException | str) -> str:
    """What any error says, in one line; its type where it says nothing.

    Example:
        >>> one_line(OSError("no\\n  room")), one_line(MemoryError())
        ('no room', 'MemoryError')
    """
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: Exception) -> str:
    """A library's error as the end of a sentence: its first line, 200 characters at most.

    Example:
        >>> first_line(RuntimeError("No device.\\n  at graph.cc:12"))
        'No device.'
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200].rstrip(".") + "."


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
