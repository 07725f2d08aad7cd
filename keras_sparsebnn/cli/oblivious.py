"""`sparsebnn oblivious`: inference on data that nobody else sees."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from keras_sparsebnn._text_table import aligned
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.oblivious.accumulators import ACCUMULATORS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["add_arguments", "run"]

_MAX_IMAGE_BYTES = 64 << 20
_DEFAULT_ADDRESS = "127.0.0.1:7100"

_EPILOG = """\
Both sides need pip install 'keras-sparsebnn[oblivious]' (Python 3.10 or 3.11). On one machine:

  sparsebnn oblivious serve model.tflite     # in one terminal
  sparsebnn oblivious query image.png        # in another one

On two, either with certificates on both sides (docs/oblivious.md says how to make them),

  sparsebnn oblivious serve model.tflite --listen 10.0.0.5:7100 --tls server/
  sparsebnn oblivious query image.png --connect 10.0.0.5:7100 --tls client/

or through SSH:

  ssh -L 7100:127.0.0.1:7100 -L 7101:127.0.0.1:7101 -R 7102:127.0.0.1:7102 SERVER
  sparsebnn oblivious query image.png --link-port 7102

The server does not see images and classes, the client not the weights, if both run this
program: docs/oblivious.md says what each side learns, and what a side that cheats can do.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's options."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(
        dest="action", metavar="<action>", required=True, parser_class=type(parser)
    )
    _circuit_arguments(
        actions.add_parser(
            "circuit",
            help="say what a model costs as a Boolean circuit, layer by layer, or export it",
            description="Says what a model costs as a Boolean circuit, layer by layer.",
        )
    )
    for name, add, summary, description in (
        (
            "serve",
            _serve_arguments,
            "answer clients without seeing their images",
            "Answers clients, one after the other, without seeing their images. A line says "
            "how each session ended; Ctrl-C ends the server.",
        ),
        (
            "query",
            _query_arguments,
            "have a server classify images that it does not see",
            "Has a server classify images that it does not see. Classes go to stdout, one a "
            "line; progress to stderr.",
        ),
    ):
        action = actions.add_parser(
            name,
            help=summary,
            description=description,
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add(action)
        action.add_argument("--json", action="store_true", help=_JSON_HELP[name])


_JSON_HELP = {
    "serve": "print a JSON object a line: one when it listens, one for each session",
    "query": "print one JSON object",
}


def _circuit_arguments(parser: argparse.ArgumentParser) -> None:
    _model(parser)
    _accumulator(parser)
    parser.add_argument(
        "--bristol",
        metavar="OUT",
        help="write the circuit in Bristol Fashion; it has no weights",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _serve_arguments(parser: argparse.ArgumentParser) -> None:
    _model(parser)
    parser.add_argument(
        "--listen",
        default=_DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help="where clients connect, port 0 for any; SPU takes the next one. Loopback, unless "
        f"you say otherwise (default {_DEFAULT_ADDRESS})",
    )
    _accumulator(parser)
    parser.add_argument(
        "--max-batch",
        type=int,
        default=32,
        metavar="N",
        help="the most images that a client may have classified at once (default 32)",
    )
    parser.add_argument(
        "--session-seconds",
        type=float,
        default=600.0,
        metavar="S",
        help="after which a client has to make room for the next one (default 600)",
    )
    _tls(parser)


def _query_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "image",
        metavar="IMAGE",
        help="an image file, or .npy: uint8 pixels, or floats as the network takes them; "
        "[H, W, C] or a batch [B, H, W, C]",
    )
    parser.add_argument(
        "--connect",
        default=_DEFAULT_ADDRESS,
        metavar="HOST:PORT",
        help=f"where the server listens (default {_DEFAULT_ADDRESS})",
    )
    parser.add_argument(
        "--link-port",
        type=int,
        default=0,
        metavar="PORT",
        help="where SPU listens on this side, and the server connects to (default: a free one)",
    )
    parser.add_argument(
        "--expect",
        metavar="DIGEST",
        help="refuse a server of another architecture; the server prints its own",
    )
    _tls(parser)


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="model.tflite", help="an LCE file of bits from end to end"
    )


def _tls(parser: argparse.ArgumentParser) -> None:
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument(
        "--tls",
        metavar="FOLDER",
        help="encrypt, and ask for certificates: ca.pem, cert.pem and key.pem in this folder",
    )
    choice.add_argument(
        "--no-tls",
        action="store_true",
        help="allow other addresses than loopback without --tls, on a network that is private "
        "itself",
    )


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
    return {"circuit": _circuit, "serve": _serve, "query": _query}[args.action](args)


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


def _serve(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from keras_sparsebnn.oblivious.server import Listening, Session, serve
    from keras_sparsebnn.oblivious.wire import address

    if not 1 <= args.session_seconds <= 86400:
        raise SparseBNNError(
            f"Expected --session-seconds in [1, 86400], got {args.session_seconds:g}."
        )

    def report(event: Listening | Session) -> None:
        fields = {"event": type(event).__name__.lower(), **asdict(event)}
        print(json.dumps(fields) if args.json else event, flush=True)

    serve(
        args.model,
        address(args.listen),
        accumulator=args.accumulator,
        max_batch=args.max_batch,
        session_seconds=args.session_seconds,
        tls=args.tls,
        open_network=args.no_tls,
        report=report,
    )
    return 0


def _query(args: argparse.Namespace) -> int:
    import time

    from keras_sparsebnn.oblivious.client import Client
    from keras_sparsebnn.oblivious.server import MAX_BATCH
    from keras_sparsebnn.oblivious.wire import address

    if not 0 <= args.link_port <= 65535:
        raise SparseBNNError(f"Expected --link-port in [0, 65535], got {args.link_port}.")
    images = _images(args.image)

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    start = time.monotonic()
    with Client(
        address(args.connect),
        batch=min(len(images), MAX_BATCH),
        link_port=args.link_port,
        tls=args.tls,
        open_network=args.no_tls,
        expect=args.expect,
        image_shape=images.shape[1:],
        say=say,
    ) as client:
        classes = client.classify(images).tolist()
    if args.json:
        report = {
            "classes": classes,
            "architecture": client.architecture.digest,
            "seconds": round(time.monotonic() - start, 3),
        }
        print(json.dumps(report))
    else:
        print("\n".join(map(str, classes)))
    return 0


def _images(path: str) -> npt.NDArray[np.float32]:
    """Pixels as networks of this package take them, from -1 to 1: `[B, H, W, C]`."""
    import warnings
    from pathlib import Path

    import numpy as np

    if Path(path).stat().st_size > _MAX_IMAGE_BYTES:
        raise SparseBNNError(f"Expected an image of at most 64 MiB, got a larger one ({path}).")
    try:
        if path.endswith(".npy"):
            pixels = np.load(path, allow_pickle=False)
        else:
            from PIL import Image

            with warnings.catch_warnings():
                warnings.simplefilter("error")  # of images that are too large
                with Image.open(path) as image:
                    grey = image.mode in ("1", "L", "I", "I;16")
                    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except ImportError as error:
        raise SparseBNNError(
            f"Expected an .npy file, as Pillow is not installed, got {path}. "
            "Run: pip install pillow"
        ) from error
    except Exception as error:  # NumPy and Pillow have many types for damaged files
        if isinstance(error, OSError) and error.errno:
            raise  # of the file, and not of what is in it
        raise SparseBNNError(
            f"Expected an image file or .npy, got: {error} ({path})."
        ) from error
    if not isinstance(pixels, np.ndarray):
        raise SparseBNNError(f"Expected one array, got an archive of them ({path}).")
    if pixels.dtype.kind not in "fu" or pixels.ndim not in (2, 3, 4) or not pixels.size:
        raise SparseBNNError(
            f"Expected uint8 or float pixels [H, W, C], got {pixels.dtype} "
            f"{list(pixels.shape)} ({path})."
        )
    values: npt.NDArray[np.float32] = pixels.astype(np.float32)
    if pixels.dtype == np.uint8:
        values = values / 127.5 - 1
    values = values[..., None] if values.ndim == 2 else values
    return values[None] if values.ndim == 3 else values
