"""`sparsebnn convert`: a trained run to a checked .tflite."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from keras_sparsebnn.errors import SparseBNNError

__all__ = ["add_arguments", "check_writable", "run"]

MAX_PICTURES = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's options."""
    parser.add_argument("source", metavar="run/", help="a run folder, a .keras or an .h5 file")
    parser.add_argument("-o", "--output", required=True, metavar="model.tflite")
    parser.add_argument(
        "--format",
        choices=("lce",),
        default="lce",
        help="lce: for Larq Compute Engine (default)",
    )
    parser.add_argument(
        "--verify",
        type=int,
        default=64,
        metavar="N",
        help="compare Keras and LCE on N test pictures before writing; 0 skips it (default 64)",
    )


def run(args: argparse.Namespace) -> int:
    """Converts, verifies, and only then writes."""
    from keras_sparsebnn.commands.environment import import_keras
    from keras_sparsebnn.commands.saved_models import load_model, model_file
    from keras_sparsebnn.training.atomic import replaced

    if not 0 <= args.verify <= MAX_PICTURES:
        raise SparseBNNError(f"Expected --verify in [0, {MAX_PICTURES}], got {args.verify}.")
    path = model_file(args.source)
    output = Path(args.output)
    check_writable(output)
    import_keras()
    from keras_sparsebnn.converters import convert_keras_model, verify
    from keras_sparsebnn.freezing import freeze

    model = load_model(path)
    inputs, origin = _inputs(args.source, model, args.verify) if args.verify else (None, "")
    flat = convert_keras_model(model, format=args.format)
    if inputs is not None:
        report = verify(model, flat, inputs)
        print(f"Checked on {len(inputs)} {origin}.\n{report}")
    with replaced(output) as temporary:
        temporary.write_bytes(flat)
    weights = 4 * freeze(model).count_params()
    print(
        f"{path}: {weights:,} bytes of weights as float32 -> {output}: {len(flat):,} bytes "
        f"({weights / len(flat):.1f}x smaller)"
    )
    print(f"Next: sparsebnn benchmark {output}")
    return 0


def _inputs(source: str, model: Any, count: int) -> tuple[Any, str]:
    """Test pictures of the run's dataset; random ones for a lone model file."""
    import numpy as np

    if Path(source).is_dir():
        from keras_sparsebnn import data
        from keras_sparsebnn.commands.saved_models import run_file
        from keras_sparsebnn.training.config import RunConfig

        config = RunConfig.from_dict(
            run_file(source, "run.json"), str(Path(source) / "run.json")
        )
        dataset = data.load(
            config.dataset, data_dir=config.data_dir, image_size=config.image_size
        )
        batches = dataset.test(min(count, 256)).take(-(-count // 256))
        pictures = np.concatenate([x for x, _ in batches])[:count]
        return pictures, f"test pictures of {config.dataset}"
    shape = model.inputs[0].shape[1:]
    if len(model.inputs) != 1 or None in tuple(shape):
        raise SparseBNNError(
            f"Expected a model with one input of known size, got "
            f"{model.input_shape} ({source})."
            " Use --verify 0, and converters.verify in Python with inputs of your own."
        )
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, (count, *shape)).astype(np.float32)
    return inputs, "random inputs (a run folder would give its test pictures)"


def check_writable(output: Path) -> None:
    """Finds out before the long work whether the result can be written.

    Raises:
        SparseBNNError: the folder does not exist, or `output` is one.
    """
    if output.is_dir():
        raise SparseBNNError(f"Expected the name of a file to write, got the folder {output}.")
    if not output.absolute().parent.is_dir():
        raise SparseBNNError(
            f"Expected an existing folder to write to, got {output.parent} (for {output}). "
            f"Run: mkdir -p {output.parent}"
        )
