"""`sparsebnn convert`: a trained run to a checked .tflite, or one .tflite to another."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_sparsebnn._files import replaced
from keras_sparsebnn._rules import FORMATS, INT8_LAYERS, INTERFACE_TYPES, TARGETS, WEIGHTS
from keras_sparsebnn._text_table import aligned
from keras_sparsebnn.cli.outputs import check_output
from keras_sparsebnn.errors import SparseBNNError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from keras_sparsebnn._keras import keras

__all__ = ["add_arguments", "run"]

MAX_IMAGES = 1_000_000

_LCE_OPTIONS = (
    *("inference_input_type", "inference_output_type"),
    *("target", "experimental_default_int8_range"),
)
"""Keywords of `convert_keras_model`; those that are given on the command line pass through."""

_INT8_HELP = {
    "stem": "the float layers before the first binary one compute",
    "shortcuts": "float convolutions behind the stem compute",
    "classifier": "fully connected layers compute",
}

_NOTHING_SAVED = (
    "Note: no filter would be smaller as codebook indices, so the file is an LCE file."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommand's options."""
    parser.add_argument(
        "source",
        metavar="run/",
        help="a run folder, a .keras or an .h5 file; or a .tflite, to change its format",
    )
    parser.add_argument("-o", "--output", required=True, metavar="model.tflite")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="lce",
        help="lce: for Larq Compute Engine or the delegate (default); subbit: smaller, for the "
        "delegate; lossless both ways",
    )
    parser.add_argument(
        "--weights",
        choices=WEIGHTS,
        default="float",
        help="int8: round weights of layers that are not binary to 8 bits, with a scale per "
        "output channel",
    )
    for kind, layers in _INT8_HELP.items():
        parser.add_argument(
            f"--{kind}",
            choices=WEIGHTS,
            default="float",
            help=f"int8: {layers} in 8 bits; needs a run folder, for images to calibrate with",
        )
    parser.add_argument(
        "--calibrate",
        type=int,
        default=256,
        metavar="N",
        help="training images to calibrate int8 layers with (default 256)",
    )
    parser.add_argument(
        "--verify",
        type=int,
        default=64,
        metavar="N",
        help="compare Keras and the file on N test images before writing, and measure what "
        "8 bits change; 0 skips it (default 64); not for a .tflite, which is expanded "
        "again and compared",
    )
    group = parser.add_argument_group("options of LCE's converter (not for a .tflite)")
    for side in ("input", "output"):
        group.add_argument(
            f"--inference-{side}-type",
            choices=INTERFACE_TYPES,
            default=argparse.SUPPRESS,
            help=f"of the file's {side}s; int8 needs a model trained with fake quantization "
            "(default float32)",
        )
    group.add_argument(
        "--target",
        choices=TARGETS,
        default=argparse.SUPPRESS,
        help="processor (default arm)",
    )
    group.add_argument(
        "--default-int8-range",
        nargs=2,
        type=float,
        metavar=("MIN", "MAX"),
        default=argparse.SUPPRESS,
        dest="experimental_default_int8_range",
        help="assume this range of every activation that is not quantized; only for latency "
        "tests, together with --verify 0",
    )


def run(args: argparse.Namespace) -> int:
    """Converts, verifies, and only then writes."""
    if not 0 <= args.verify <= MAX_IMAGES:
        raise SparseBNNError(f"Expected --verify in [0, {MAX_IMAGES}], got {args.verify}.")
    if not 1 <= args.calibrate <= MAX_IMAGES:
        raise SparseBNNError(
            f"Expected --calibrate in [1, {MAX_IMAGES}], got {args.calibrate}."
        )
    layers = _int8_layers(args)
    if layers and not Path(args.source).is_dir():
        is_file = Path(args.source).suffix == ".tflite"
        raise SparseBNNError(
            f"Expected a run folder for --{layers[0]} int8, got {args.source}: it takes images "
            f"to calibrate. In Python: converters."
            f"{'convert_file' if is_file else 'convert_keras_model'}(model, int8_layers="
            f"{layers!r}, calibration_images=images)."
        )
    if "experimental_default_int8_range" in args and args.verify:
        raise SparseBNNError(
            f"Expected --verify 0 with --default-int8-range, got --verify {args.verify}: with "
            "a range that the model does not have, the file computes something else."
        )
    output = check_output(args.output, [args.source])
    if Path(args.source).suffix == ".tflite":
        return _convert_file(args, Path(args.source), output)
    return _convert_model(args, output)


def _convert_model(args: argparse.Namespace, output: Path) -> int:
    from keras_sparsebnn.cli.process import import_keras
    from keras_sparsebnn.saved_models import load_model, model_file

    path = model_file(args.source)
    import_keras()
    from keras_sparsebnn.converters import convert_file, convert_keras_model, expand, verify
    from keras_sparsebnn.converters.errors import ConversionWarning
    from keras_sparsebnn.transforms.freezing import freeze

    model = load_model(path)
    inputs, labels, origin = None, None, ""
    if args.verify:
        inputs, labels, origin = _inputs(args.source, model, args.verify)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConversionWarning)
        plain = convert_keras_model(model, **_lce_options(args))
    for warning in caught:
        if issubclass(warning.category, ConversionWarning):
            print(f"Note: {warning.message}")
    layers = _int8_layers(args)
    flat = convert_file(
        plain,
        args.format,
        weights=args.weights,
        int8_layers=layers,
        calibration_images=_training_images(args) if layers else None,
    )
    if inputs is not None:
        report = verify(model, flat, inputs, labels=labels, progress=True)
        print(f"Checked on {len(inputs)} {origin}.\n{report}")
    with replaced(output) as temporary:
        temporary.write_bytes(flat)
    weights = 4 * freeze(model).count_params()
    _print_sizes({"weights as float32": weights, "LCE file": len(plain)}, flat, args)
    if args.format == "subbit" and expand(flat) is flat:
        print(_NOTHING_SAVED)
    print(
        f"{path}: {weights:,} bytes of weights as float32 -> {output}: {len(flat):,} bytes "
        f"({weights / len(flat):.1f}x smaller)"
    )
    print(f"Next: sparsebnn benchmark {output}")
    return 0


def _convert_file(args: argparse.Namespace, source: Path, output: Path) -> int:
    from keras_sparsebnn.converters import ModelFileError, convert_file, expand
    from keras_sparsebnn.tflite_file import read, read_bytes

    if _lce_options(args):
        raise SparseBNNError(
            f"Expected a run folder or a Keras model for options of LCE's converter, got "
            f"{source}: a .tflite only changes its format."
        )
    try:
        data = read_bytes(source)
        flat = convert_file(data, args.format, weights=args.weights)
        restored = expand(flat)
    except ModelFileError as error:
        raise SparseBNNError(f"{str(error).removesuffix('.')} ({source}).") from error
    if read(restored).root != read(convert_file(data, weights=args.weights)).root:
        raise SparseBNNError(
            f"Expected the sub-bit file to expand to what it was made of, got something else "
            f"({source}). Please report this file."
        )
    with replaced(output) as temporary:
        temporary.write_bytes(flat)
    _print_sizes({str(source): len(data)}, flat, args)
    if args.format == "subbit" and flat is restored:
        print(_NOTHING_SAVED)
    if args.weights == "int8":
        print(
            "What int8 weights change was not measured, as a .tflite brings no images: "
            "convert the run folder for that."
        )
    print(f"{source}: {len(data):,} bytes -> {output}: {len(flat):,} bytes")
    return 0


def _int8_layers(args: argparse.Namespace) -> list[str]:
    return [kind for kind in INT8_LAYERS if getattr(args, kind) == "int8"]


def _lce_options(args: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in vars(args).items() if name in _LCE_OPTIONS}


def _print_sizes(sizes: dict[str, int], flat: bytes, args: argparse.Namespace) -> None:
    """The bytes after each step from an LCE file to the one that is written."""
    from keras_sparsebnn.converters import expand

    rounded = [*_int8_layers(args), *(["weights"] if args.weights == "int8" else [])]
    if rounded:
        sizes[f"with int8 {' and '.join(rounded)}"] = len(expand(flat))
    if args.format == "subbit":
        sizes["sub-bit"] = len(flat)
    rows = [("", "bytes"), *((name, f"{size:,}") for name, size in sizes.items())]
    print("\n".join(aligned(rows, left=1)))


def _training_images(args: argparse.Namespace) -> npt.NDArray[np.float32]:
    """Training images of the run's dataset, as its model saw them."""
    import numpy as np

    from keras_sparsebnn import data
    from keras_sparsebnn.training.run.folder import run_config

    config = run_config(args.source)
    dataset = data.load(config.dataset, **config.data_options)
    size = min(args.calibrate, dataset.train_size)
    # Only whole batches are to be had.
    batch = next(n for n in range(min(size, 256), 0, -1) if size % n == 0)
    batches = dataset.train(0, config.seed, batch).take(size // batch)
    samples: npt.NDArray[np.float32] = np.concatenate([images for images, _ in batches])
    return samples


def _inputs(
    source: str, model: keras.Model, count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64] | None, str]:
    """Test images of the run's dataset and labels; random ones for a lone model file."""
    import numpy as np

    from keras_sparsebnn import data
    from keras_sparsebnn.training.run.folder import run_config

    if Path(source).is_dir():
        config = run_config(source)
        dataset = data.load(config.dataset, **config.data_options)
        batches = dataset.test(min(count, 256)).take(-(-count // 256))
        images, labels = (np.concatenate(parts)[:count] for parts in zip(*batches, strict=True))
        return images, labels, f"test images of {config.dataset}"
    shape = model.inputs[0].shape[1:]
    if len(model.inputs) != 1 or None in tuple(shape):
        raise SparseBNNError(
            f"Expected a model with one input of known size, got "
            f"{model.input_shape} ({source})."
            " Use --verify 0, and converters.verify in Python with inputs of your own."
        )
    rng = np.random.default_rng(0)
    inputs = rng.uniform(-1, 1, (count, *shape)).astype(np.float32)
    return inputs, None, "random inputs (a run folder would give its test images)"
