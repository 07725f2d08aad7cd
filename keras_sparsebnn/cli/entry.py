"""The `sparsebnn` command: parses arguments, runs a subcommand, reports errors in one line.

Starting up imports argparse and nothing heavy; a subcommand imports what it needs when it
runs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from keras_sparsebnn import __version__
from keras_sparsebnn.errors import SparseBNNError, one_line

__all__ = ["COMMANDS", "build_parser", "run_command"]

COMMANDS = {
    "train": "train a network whose layers select their own kernels",
    "experiment": "make a matrix of runs, resumable, and compare them",
    "search": "find the groups or the codewords of each layer, under a budget",
    "convert": "make a .tflite of a trained run and check it against Keras",
    "inspect": "show what is in a .tflite, op by op, byte by byte",
    "benchmark": "time .tflite files against each other",
    "device": "list phones and boards to benchmark on, or say what one is",
    "pretrained": "list, copy and measure the models that come with the package",
    "oblivious": "classify images that the server does not see",
    "plot": "draw what layers selected, their bits, or latency on devices",
}

ERROR, BROKEN_PIPE = 2, 141


class _Parser(argparse.ArgumentParser):
    """One line per error; argparse would print the usage first."""

    def error(self, message: str) -> NoReturn:
        self.exit(ERROR, f"{self.prog}: error: {message}. See {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(
        prog="sparsebnn",
        description="Sub-bit binary neural networks for Keras: train, convert, run, measure.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sparsebnn {__version__}")
    subparsers = parser.add_subparsers(
        title="commands",
        dest="command",
        metavar="<subcommand>",
        required=True,
        parser_class=_Parser,
    )
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        _module(name).add_arguments(subparser)
    return parser


def _module(command: str):  # type: ignore[no-untyped-def]
    return importlib.import_module(f"keras_sparsebnn.cli.{command}")


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror} ({os.fspath(error.filename)})"
    text = one_line(error)
    if isinstance(error, MemoryError):
        return f"Expected enough memory, got too little: {text}"
    if isinstance(error, ModuleNotFoundError) and type(error) is ModuleNotFoundError:
        return f"{text}. Run: pip install 'keras-sparsebnn[convert]'"
    return text


def run_command(argv: Sequence[str] | None) -> int:
    """What `cli.main` does; Ctrl-C goes through as `KeyboardInterrupt`."""
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # started with it closed: 2>&-
            setattr(sys, stream, open(os.devnull, "w"))  # noqa: PTH123, SIM115
    try:
        args, unknown = build_parser().parse_known_args(argv)
        if unknown:  # argparse would name the program's own help
            named = _Parser(prog=f"sparsebnn {args.command}")
            named.error(f"unrecognized arguments: {' '.join(unknown)}")
    except SystemExit as done:  # argparse has said why
        return done.code if isinstance(done.code, int) else ERROR
    try:
        status = int(_module(args.command).run(args))
        sys.stdout.flush()
    except BrokenPipeError:
        # `sparsebnn ... | head`: nobody listens, so neither must the flush at exit fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (SparseBNNError, OSError, ImportError, MemoryError) as error:
        print(f"sparsebnn {args.command}: error: {_one_line(error)}", file=sys.stderr)
        return ERROR
    return status
