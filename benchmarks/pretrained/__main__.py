"""Trains, converts and measures a model of `keras_sparsebnn.pretrained`, and writes its folder.

    python -m benchmarks.pretrained NAME [--data-dir DIR] [--runs DIR] [--to DIR] [--samples]

NAME is a file beside this one, which holds the settings and the words of the card. Stop it any
way you like and start it again: the training goes on from its last checkpoint, and one that is
finished is not made again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import environment  # noqa: F401  sets what TensorFlow reads
from benchmarks.errors import one_line_errors
from benchmarks.pretrained.make import RECIPES, add_samples, make
from benchmarks.result_files import ROOT
from keras_sparsebnn._files import read_json
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.pretrained.model import FOLDER, PretrainedModel


@one_line_errors()
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pretrained",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = sorted(path.stem for path in RECIPES.glob("*.json"))
    parser.add_argument("name", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--data-dir", metavar="DIR", help="where the data set lies")
    parser.add_argument(
        "--runs",
        type=Path,
        default=ROOT / "build" / "pretrained",
        metavar="DIR",
        help="gets the folder of the run (default: build/pretrained)",
    )
    parser.add_argument(
        "--to",
        type=Path,
        default=FOLDER,
        metavar="DIR",
        help="gets the folder of the model (default: in the package)",
    )
    parser.add_argument(
        "--samples",
        action="store_true",
        help="only choose the samples of a model that is there",
    )
    args = parser.parse_args(argv)
    from keras_sparsebnn.training import TrainingInterruptedError

    try:
        if args.samples:
            folder = args.to / args.name
            add_samples(PretrainedModel(folder, read_json(folder / "card.json")), args.data_dir)
            return 0
        make(args.name, args.data_dir, args.runs, args.to)
    except TrainingInterruptedError as interruption:
        print(interruption, file=sys.stderr)
        return 128 + interruption.signal
    except (SparseBNNError, OSError) as error:
        print(f"benchmarks.pretrained: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
