"""`sparsebnn oblivious`: a model as a Boolean circuit, for inference on data nobody sees."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from keras_sparsebnn._text_table import aligned
from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's options."""
    actions = parser.add_subparsers(
        dest="action", metavar="<action>", required=True, parser_class=type(parser)
    )
    circuit = actions.add_parser(
        "circuit",
        help="say what a model costs as a Boolean circuit, layer by layer, or export it",
        description="Says what a model costs as a Boolean circuit, layer by layer.",
    )
    circuit.add_argument(
        "model", metavar="model.tflite", help="an LCE file of bits from end to end"
    )
    _accumulator(circuit)
    circuit.add_argument(
        "--bristol",
        metavar="OUT",
        help="write the circuit in Bristol Fashion; it has no weights",
    )
    circuit.add_argument("--json", action="store_true", help="print one JSON object")


def _accumulator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--accumulator",
        choices=tuple(ACCUMULATORS),
        default="lba",
        help="how bits are counted: lba, by digit position, has half of the ANDs of a tree of "
        "adders; bounded and fixed are counters, for comparison (default lba)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the action."""
    return {"circuit": _circuit}[args.action](args)


def _circuit(args: argparse.Namespace) -> int:
    from keras_sparsebnn.oblivious import and_counts, read_program, write_bristol

    program = read_program(args.model)
    architecture = program.architecture
    counts = and_counts(architecture, args.accumulator)
    report: dict[str, Any] = {
        "architecture": architecture.digest,
        "accumulator": args.accumulator,
        "ands": sum(counts),
        "layers": [
            {
                "kind": layer.kind,
                "taps": layer.taps,
                "output": list(layer.output),
                "ands": count,
            }
            for layer, count in zip(architecture.layers, counts, strict=True)
        ],
    }
    if args.bristol is not None:
        from keras_sparsebnn.cli.outputs import check_output

        path = check_output(args.bristol, [args.model])
        print("Writing the circuit ...", file=sys.stderr)
        report["bristol"] = write_bristol(architecture, path, args.accumulator)
    if args.json:
        print(json.dumps(report, indent=2))
        return 0
    rows = [["layer", "output", "bits counted", "ANDs"]]
    rows += [
        [
            layer["kind"],
            "x".join(map(str, layer["output"])),
            str(layer["taps"]) if layer["kind"] != "pool" else "",
            f"{layer['ands']:,}",
        ]
        for layer in report["layers"]
    ]
    print("\n".join(aligned([*rows, ["all", "", "", f"{report['ands']:,}"]])))
    print(f"\nAccumulator {args.accumulator}. Architecture {architecture.digest[:16]}.")
    if "bristol" in report:
        print(f"Wrote {args.bristol}: {report['bristol']['gates']:,} gates.")
    return 0
