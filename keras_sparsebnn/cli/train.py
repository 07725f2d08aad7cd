"""`sparsebnn train`: trains a network; goes on where an interrupted run stopped."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import Any

from keras_sparsebnn.cli.outputs import check_output
from keras_sparsebnn.data.options import AUGMENTATIONS
from keras_sparsebnn.quantizers.methods import METHODS, OPTIONS
from keras_sparsebnn.training.settings.choices import (
    OPTIMIZERS,
    PRECISIONS,
    SCHEDULES,
    STRATEGIES,
)
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["add_arguments", "add_settings", "configuration", "given_settings", "run"]

DESCRIPTION = """\
Trains a network whose binary 3x3 layers select their own kernels.

Everything goes into one folder: the settings (run.json), the history (metrics.json), the model
(model.keras), checkpoints and a TensorBoard log. Run the same command again to go on after an
interruption: the outcome is the same, bit for bit.
"""

EPILOG = """\
examples:
  # real images that come with scikit-learn, no network needed
  sparsebnn train --out run/

  # the same network with plain 1-bit kernels, and with 32 random ones, to compare
  sparsebnn train --method one_bit --out run-1bit/
  sparsebnn train --method random --codewords 32 --out run-random/

  # any TFDS image-classification dataset that lies prepared in a folder
  sparsebnn train --dataset fashion_mnist --data-dir ~/tensorflow_datasets \\
      --batch-size 128 --epochs 20 --checkpoint-every 200 --out run-fashion/

  # ReActNet's two steps with a float teacher, shortened
  sparsebnn train --recipe reactnet-two-step --epochs 12 --out run-two-step/

  # noise that fades, and a selection that stands still after 40 % of training
  sparsebnn train --set noise_scale=0.3 --set noise_scale_end=0 --set freeze_after=0.4 \\
      --out run-noisy/

  # the same settings as another run, with another seed
  sparsebnn train --recipe run/run.json --seed 1 --out run-seed1/

next:
  sparsebnn convert run/ -o model.tflite      tensorboard --logdir run/logs
"""


class _ListRecipes(argparse.Action):
    """Prints the recipes and ends, as --help does."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from keras_sparsebnn.training.settings.recipes import RECIPES

        for recipe in RECIPES.values():
            print(f"{recipe.name}: {recipe.summary}")
            for key, value in recipe.settings.items():
                print(f"    {key}={value if isinstance(value, str) else json.dumps(value)}")
        parser.exit()


_DEFAULTS = {field.name: field.default for field in dataclasses.fields(RunConfig)}


def _add(group: argparse._ArgumentGroup, name: str, help: str, **kwargs: Any) -> None:
    """A flag that only counts when it is given: otherwise the recipe decides."""
    field = name.removeprefix("--").replace("-", "_")
    text = help if "(default" in help else f"{help} (default: {_DEFAULTS[field]})"
    group.add_argument(name, default=argparse.SUPPRESS, help=text, **kwargs)


def _options_with_defaults(method: str) -> str:
    return ", ".join(
        name if option.default is None else f"{name}={json.dumps(option.default)}"
        for name, option in sorted(OPTIONS[method].items())
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `sparsebnn train`."""
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter

    group = parser.add_argument_group("where")
    group.add_argument("--out", required=True, metavar="DIR", help="the folder of this run")
    add_settings(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print metrics.json at the end")
    group.add_argument("--quiet", action="store_true", help="no progress, no summary")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Declares the options that say what a run is; see `configuration`."""
    group = parser.add_argument_group("recipe")
    group.add_argument(
        "--recipe",
        metavar="NAME",
        help="settings to start from: a name (see --list-recipes), or a .json file such as "
        "another run's run.json (default: quick)",
    )
    group.add_argument(
        "--list-recipes",
        action=_ListRecipes,
        default=argparse.SUPPRESS,
        help="print all recipes and their settings",
    )
    options = "; ".join(f"{m}: {_options_with_defaults(m)}" for m in METHODS)
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="any setting of run.json (docs/training.md), an option of the method, or "
        "activation_bits, weight_bits, activation_range and groups of the network; may be "
        "repeated. "
        f"Options, with their defaults: {options}",
    )

    group = parser.add_argument_group("data")
    _add(
        group,
        "--dataset",
        "digits (bundled, offline), synthetic, or a TFDS name, name[/config][:version]",
        metavar="NAME",
    )
    _add(
        group,
        "--data-dir",
        "where TFDS datasets lie prepared, or CIFAR-10's binary files (default: TFDS's own)",
        metavar="DIR",
    )
    group.add_argument(
        "--download",
        action="store_true",
        help="let TFDS fetch the dataset if it is not there; nothing is fetched otherwise",
    )
    _add(
        group,
        "--image-size",
        "resize images to this height and width; needed where sizes vary (default: as they "
        "are)",
        type=int,
        metavar="PIXELS",
    )
    _add(
        group,
        "--holdout",
        "test on this fraction of the training split, taken out of it; needed where a dataset "
        "has no other split (default: the dataset's test or validation split)",
        type=float,
        metavar="FRACTION",
    )
    _add(
        group,
        "--augmentation",
        "of training images",
        choices=AUGMENTATIONS,
    )

    group = parser.add_argument_group("network and kernels")
    _add(group, "--model", "a network of docs/networks.md", metavar="NAME")
    _add(group, "--method", "how kernels are chosen, see docs/methods.md", choices=METHODS)
    _add(
        group,
        "--codewords",
        "kernels a layer may use, a power of two in [2, 512]: log2(N)/9 bits a weight "
        "(default: 32, so 0.56 bit)",
        type=int,
        metavar="N",
    )

    group = parser.add_argument_group("training")
    _add(group, "--epochs", "passes over the training images", type=int, metavar="N")
    _add(group, "--batch-size", "of all devices together", type=int, metavar="N")
    _add(group, "--optimizer", "of the weights", choices=OPTIMIZERS)
    _add(
        group,
        "--learning-rate",
        "at its highest",
        type=float,
        metavar="RATE",
    )
    _add(group, "--schedule", "of the learning rate", choices=SCHEDULES)
    _add(
        group,
        "--warmup-epochs",
        "of linear warm-up; may be a fraction",
        type=float,
        metavar="N",
    )
    _add(
        group,
        "--teacher",
        "learn from a float network: auto trains one first; or a .keras or .h5 file, or the "
        "folder of a run (default: none)",
        metavar="MODEL",
    )
    _add(
        group,
        "--batch-norm-batches",
        "average batch norm's statistics anew over N batches at the end; 0: keep the moving "
        "averages",
        type=int,
        metavar="N",
    )
    _add(group, "--label-smoothing", "in [0, 1)", type=float, metavar="X")
    _add(group, "--seed", "of everything random", type=int, metavar="N")
    _add(
        group,
        "--mixed-precision",
        "bfloat16 is faster on CPUs with AMX and on TPUs",
        choices=PRECISIONS,
    )
    _add(
        group,
        "--strategy",
        "mirrored: the devices of this machine; multi_worker: the machines in TF_CONFIG",
        choices=STRATEGIES,
    )
    _add(
        group,
        "--devices",
        "how many of this machine to use (default: all)",
        type=int,
        metavar="N",
    )
    group.add_argument(
        "--nondeterministic",
        action="store_false",
        dest="deterministic",
        default=argparse.SUPPRESS,
        help="allow TensorFlow's non-deterministic kernels; only matters on GPUs",
    )
    _add(
        group,
        "--checkpoint-every",
        "checkpoints within an epoch, too (default: only after each epoch)",
        type=int,
        metavar="STEPS",
    )


def _parse_settings(texts: list[str]) -> dict[str, Any]:
    """`KEY=VALUE`s; a value is JSON (0.3, true, null) or else a text (partial)."""
    from keras_sparsebnn.errors import SparseBNNError

    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise SparseBNNError(f"Expected --set KEY=VALUE, got {text!r:.80}.")
        if key in settings:
            raise SparseBNNError(f"Expected --set {key} once, got it twice.")
        try:
            settings[key] = json.loads(value)
        except (ValueError, RecursionError):
            settings[key] = value
    return settings


_SETTINGS = {field.name for field in dataclasses.fields(RunConfig)} - {"recipe"}


def given_settings(args: argparse.Namespace) -> list[str]:
    """The options of `add_settings` that are on the command line."""
    flags = [f"--{k.replace('_', '-')}" for k in vars(args) if k in _SETTINGS]
    recipe = [] if args.recipe is None else ["--recipe"]
    return [*recipe, *flags, *(["--set"] if args.settings else [])]


def configuration(args: argparse.Namespace) -> RunConfig:
    """The recipe, changed by flags, changed by --set.

    Raises:
        SparseBNNError: settings that are no run's.
    """
    from keras_sparsebnn.errors import SparseBNNError
    from keras_sparsebnn.training.settings.recipes import configured

    flags = {k: v for k, v in vars(args).items() if k in _SETTINGS}
    settings = _parse_settings(args.settings)
    twice = sorted(set(flags) & set(settings))
    if twice:
        flag = twice[0].replace("_", "-")
        raise SparseBNNError(f"Expected --{flag} or --set {twice[0]}, got both.")
    return configured(args.recipe, {**flags, **settings})


def run(args: argparse.Namespace) -> int:
    """Trains. Status 0, or 130 after Ctrl-C and 143 after SIGTERM.

    Raises:
        SparseBNNError: anything that the user can act on.
    """
    # Before TensorFlow is imported: a wrong option is answered at once.
    config = configuration(args)
    check_output(args.out, [config.teacher or ""], "run")

    from keras_sparsebnn.cli.process import import_keras

    import_keras()
    from keras_sparsebnn.training.run.interruption import TrainingInterruptedError
    from keras_sparsebnn.training.run.train import train

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


def _summary(config: RunConfig, metrics: dict[str, Any], out: str) -> str:
    final = metrics["final"]
    folder = out.rstrip("/") or "/"
    if config.float_network:
        kernels = "float"
    elif isinstance(config.codewords, int):
        bits = f"{config.bits_per_kernel / 9:.2f} bit"
        kernels = f"{config.method}, {config.codewords} a layer, {bits} per 3x3 weight"
    else:
        each = ", ".join(f"{k}: {n}" for k, n in config.codewords.items())
        kernels = f"{config.method}, {each}"
    return (
        f"test accuracy  {final['test_accuracy']:.2%} of {final['test_size']} images\n"
        f"kernels        {kernels}\n"
        f"trained        {config.epochs} epochs, {final['steps']} steps, "
        f"{final['seconds']:.1f} s\n"
        f"model          {folder}/model.keras\n"
        f"history        {folder}/metrics.json\n"
        f"TensorBoard    tensorboard --logdir {folder}/logs\n"
        f"next           sparsebnn convert {folder}/ -o model.tflite"
    )
