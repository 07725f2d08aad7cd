"""The ResNet-18 with selected kernels that several scripts measure."""

from __future__ import annotations

import argparse
from typing import Any

OPTIONS = ("size", "classes", "codewords")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=224, help="side of the images, in pixels")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--codewords", type=int, default=32)


def build(args: argparse.Namespace) -> Any:
    from keras_sparsebnn import models

    shape = (args.size, args.size, 3)
    return models.resnet18(shape, args.classes, codewords=args.codewords, block="bireal")


def described(args: argparse.Namespace) -> dict[str, Any]:
    """As a result names it."""
    return {
        "name": "resnet18",
        "input_shape": [args.size, args.size, 3],
        "classes": args.classes,
        "codewords": args.codewords,
    }
