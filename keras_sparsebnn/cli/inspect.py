"""`sparsebnn inspect`: what is in a .tflite."""

from __future__ import annotations

import argparse
import json

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's options."""
    parser.add_argument("model", metavar="model.tflite", help="any .tflite, ours or not")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints the report."""
    from keras_sparsebnn.converters import inspect

    report = inspect(args.model)
    print(json.dumps(report.to_dict(), indent=2) if args.json else report)
    return 0
