"""`sparsebnn device`: which devices there are, and what they are."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from keras_sparsebnn._text_table import aligned

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's options."""
    parser.add_argument(
        "action",
        choices=("list", "info"),
        help="list: this machine and what adb sees; info: what devices are, and their state",
    )
    parser.add_argument(
        "devices",
        nargs="*",
        metavar="DEVICE",
        help="of info: adb, adb:SERIAL, ssh:USER@HOST or local (default)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Prints."""
    return _list(args) if args.action == "list" else _info(args)


def _list(args: argparse.Namespace) -> int:
    from keras_sparsebnn.devices.find import visible
    from keras_sparsebnn.errors import SparseBNNError

    if args.devices:
        raise SparseBNNError(
            f"Expected nothing after list, got {args.devices[0][:100]}. Did you mean: info?"
        )
    found = visible()
    if args.json:
        print(json.dumps(dict(found), indent=2))
        return 0
    print("\n".join(aligned([["device", "state"], *map(list, found)])))
    print("\nA board goes by ssh:USER@HOST.")
    return 0


def _info(args: argparse.Namespace) -> int:
    from keras_sparsebnn.devices.facts import rows
    from keras_sparsebnn.devices.find import open_device
    from keras_sparsebnn.errors import SparseBNNError

    found: dict[str, dict[str, Any]] = {}
    failed = False
    for name in args.devices or ["local"]:
        try:
            device = open_device(name)
            found[device.spec] = device.facts()
        except SparseBNNError as error:
            failed = True
            print(f"sparsebnn device: error: {error}", file=sys.stderr)
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        tables = [
            "\n".join([spec, *(f"  {line}" for line in aligned(list(map(list, rows(facts)))))])
            for spec, facts in found.items()
            if facts
        ]
        if tables:
            print("\n\n".join(tables))
    return 2 if failed else 0
