"""The `sparsebnn` command: `entry` parses; each subcommand is a module of its name."""

from __future__ import annotations

import signal
import sys

TYPE_CHECKING = False  # `typing` takes milliseconds, in which Ctrl-C would print a traceback
if TYPE_CHECKING:
    from collections.abc import Sequence

    from keras_sparsebnn.cli.entry import COMMANDS, build_parser

__all__ = ["COMMANDS", "build_parser", "main"]

INTERRUPTED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        argv: arguments without the program's name; the process's own if None. Only then does
            the command take the process over: what native code writes to stderr is dropped,
            and once the command is done Ctrl-C ends the process without a word.

    Returns:
        The exit status: 0, 2 for a wrong argument or anything the user can mend, 130 after
        Ctrl-C, 141 when the reader of the output went away.
    """
    try:
        try:
            # Not at the top: from here on, Ctrl-C is answered in one line.
            from keras_sparsebnn.cli import entry, process

            if argv is None:
                process.drop_native_stderr()
            return entry.run_command(argv)
        finally:
            if argv is None and signal.getsignal(signal.SIGINT) == signal.default_int_handler:
                signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        print("sparsebnn: interrupted", file=sys.stderr)
        return INTERRUPTED


def __getattr__(name: str) -> object:
    if name in __all__:
        from keras_sparsebnn.cli import entry

        return getattr(entry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
