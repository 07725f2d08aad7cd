"""`sparsebnn train`: trains a network; goes on where an interrupted run stopped."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from keras_sparsebnn.training.method_options import METHODS, OPTIONS

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Trains a network whose binary 3x3 layers select their own kernels.

Everything goes into one folder: the settings (run.json), the history (metrics.json), the model
(model.keras), checkpoints and a TensorBoard log. Run the same command again to go on after an
interruption: the outcome is the same, bit for bit.
"""

EPILOG = """\
examples:
  # real pictures that come with scikit-learn, no network needed
  sparsebnn train --out run/

  # the same network with plain 1-bit kernels, and with 32 random ones, to compare
  sparsebnn train --method one_bit --out run-1bit/
  sparsebnn train --method random --codewords 32 --out run-random/

  # any TFDS image-classification dataset that lies prepared in a folder
  sparsebnn train --dataset fashion_mnist --data-dir ~/tensorflow_datasets \\
      --batch-size 128 --epochs 20 --checkpoint-every 200 --out run-fashion/

  # noise that fades, and a selection that stands still after 40 % of training
  sparsebnn train --set noise_scale=0.3 --set noise_scale_end=0 --set freeze_after=0.4 \\
      --out run-noisy/

next:
  sparsebnn convert run/ -o model.tflite      tensorboard --logdir run/logs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `sparsebnn train`."""
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter

    group = parser.add_argument_group("where")
    group.add_argument("--out", required=True, metavar="DIR", help="the folder of this run")
    group.add_argument(
        "--checkpoint-every",
        type=int,
        default=0,
        metavar="STEPS",
        help="checkpoints within an epoch, too (default: only after each epoch)",
    )

    group = parser.add_argument_group("data")
    group.add_argument(
        "--dataset",
        default="digits",
        metavar="NAME",
        help='"digits" (bundled, offline) or a TFDS name, name[/config][:version] '
        "(default: %(default)s)",
    )
    group.add_argument(
        "--data-dir",
        metavar="DIR",
        help="where TFDS datasets lie prepared (default: TFDS's own)",
    )
    group.add_argument(
        "--download",
        action="store_true",
        help="let TFDS fetch the dataset if it is not there; nothing is fetched otherwise",
    )
    group.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="resize pictures to this height and width; needed where sizes vary",
    )
    group.add_argument(
        "--augmentation",
        default="none",
        choices=("none", "shift", "flip_shift"),
        help="of training pictures (default: %(default)s)",
    )

    options = {name for rules in OPTIONS.values() for name in rules}
    group = parser.add_argument_group("network and kernels")
    group.add_argument(
        "--model", default="small", metavar="NAME", help="which network (default: %(default)s)"
    )
    group.add_argument(
        "--method",
        default="learned",
        choices=METHODS,
        help="how a layer comes by its kernels: learned selection, all 512 (one_bit), a fixed "
        "random subset, or a rival, see docs/methods.md (default: %(default)s)",
    )
    group.add_argument(
        "--codewords",
        type=int,
        metavar="N",
        help="kernels a layer may use, a power of two in [2, 512]: log2(N)/9 bits a weight "
        "(default: 32, so 0.56 bit)",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="options",
        help=f"an option of the method, may be repeated: {', '.join(sorted(options))}",
    )

    group = parser.add_argument_group("training")
    group.add_argument(
        "--epochs", type=int, default=10, metavar="N", help="default: %(default)s"
    )
    group.add_argument(
        "--batch-size", type=int, default=32, metavar="N", help="default: %(default)s"
    )
    group.add_argument(
        "--learning-rate",
        type=float,
        default=3e-3,
        metavar="RATE",
        help="Adam's, at its highest (default: %(default)s)",
    )
    group.add_argument(
        "--schedule",
        default="cosine",
        choices=("cosine", "constant"),
        help="of the learning rate (default: %(default)s)",
    )
    group.add_argument(
        "--warmup-epochs",
        type=float,
        default=0.0,
        metavar="N",
        help="of linear warm-up; may be a fraction (default: 0)",
    )
    group.add_argument(
        "--batch-norm-batches",
        type=int,
        default=100,
        metavar="N",
        help="average batch norm's statistics anew over N batches at the end; 0: keep the "
        "moving averages (default: %(default)s)",
    )
    group.add_argument(
        "--label-smoothing", type=float, default=0.0, metavar="X", help="in [0, 1) (default: 0)"
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    group.add_argument(
        "--mixed-precision",
        default="none",
        choices=("none", "bfloat16"),
        help="bfloat16 is faster on CPUs with AMX and on TPUs (default: %(default)s)",
    )
    group.add_argument(
        "--strategy",
        default="none",
        choices=("none", "mirrored"),
        help="mirrored: all devices of this machine (default: %(default)s)",
    )
    group.add_argument(
        "--nondeterministic",
        action="store_true",
        help="allow TensorFlow's non-deterministic kernels; only matters on GPUs",
    )

    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print metrics.json at the end")
    group.add_argument("--quiet", action="store_true", help="no progress, no summary")


def _parse_options(texts: list[str]) -> dict[str, Any]:
    """`KEY=VALUE`s; a value is JSON (0.3, true, null) or else a text (partial)."""
    from keras_sparsebnn.errors import SparseBNNError

    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise SparseBNNError(f"Expected --set KEY=VALUE, got {text!r:.80}.")
        if key in options:
            raise SparseBNNError(f"Expected --set {key} once, got it twice.")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def run(args: argparse.Namespace) -> int:
    """Trains. Status 0, or 130 after Ctrl-C and 143 after SIGTERM.

    Raises:
        SparseBNNError: anything that the user can act on.
    """
    from keras_sparsebnn.training.config import RunConfig

    codewords = args.codewords
    if codewords is None:
        codewords = 512 if args.method == "one_bit" else 32
    # Before TensorFlow is imported: a wrong option is answered at once.
    config = RunConfig(
        dataset=args.dataset,
        data_dir=args.data_dir,
        image_size=args.image_size,
        augmentation=args.augmentation,
        model=args.model,
        method=args.method,
        codewords=codewords,
        options=_parse_options(args.options),
        epochs=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        schedule=args.schedule,
        warmup_epochs=args.warmup_epochs,
        batch_norm_batches=args.batch_norm_batches,
        label_smoothing=args.label_smoothing,
        seed=args.seed,
        mixed_precision=args.mixed_precision,
        strategy=args.strategy,
        deterministic=not args.nondeterministic,
        checkpoint_every=args.checkpoint_every,
    )

    import logging

    from keras_sparsebnn.commands.environment import import_keras

    import_keras()
    from keras_sparsebnn.training.run import TrainingInterruptedError, train

    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS's notes about itself

    def report(line: str) -> None:
        if not args.quiet:
            print(line, file=sys.stderr, flush=True)

    try:
        metrics = train(
            config,
            args.out,
            download=args.download,
            progress=not args.quiet,
            report=report,
        )
    except TrainingInterruptedError as interruption:
        print(interruption, file=sys.stderr)
        return 128 + interruption.signal
    if args.json:
        print(json.dumps(metrics))
    elif not args.quiet:
        print(_summary(config, metrics, args.out))
    return 0


def _summary(config: Any, metrics: dict[str, Any], out: str) -> str:
    final = metrics["final"]
    folder = out.rstrip("/") or "/"
    bits = f"{config.bits_per_kernel / 9:.2f} bit"
    return (
        f"test accuracy  {final['test_accuracy']:.2%} of {final['test_size']} pictures\n"
        f"kernels        {config.method}, {config.codewords} a layer, {bits} per 3x3 weight\n"
        f"trained        {config.epochs} epochs, {final['steps']} steps, "
        f"{final['seconds']:.1f} s\n"
        f"model          {folder}/model.keras\n"
        f"history        {folder}/metrics.json\n"
        f"TensorBoard    tensorboard --logdir {folder}/logs\n"
        f"next           sparsebnn convert {folder}/ -o model.tflite"
    )
