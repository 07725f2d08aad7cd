"""`sparsebnn search`: evolution search in a supernet, resumable."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_sparsebnn._rules import CANDIDATES
from keras_sparsebnn.cli.executors import add_executor, chosen_executor, progress_bar
from keras_sparsebnn.cli.outputs import check_output
from keras_sparsebnn.cli.train import add_settings, configuration, given_settings
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.search.settings import OVER, SearchConfig
from keras_sparsebnn.training.run.folder import run_config

if TYPE_CHECKING:
    from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Searches for the number of groups, or of codewords, of each layer, under a budget.

Trains a supernet, whose weights all candidates share; lets candidates evolve, each measured on
held-out training images after its batch norm was measured anew; writes the best as a recipe to
train from scratch. Stop it any way you like and run the same command again: it goes on.
"""

EPILOG = """\
examples:
  # the groups of a MobileNet, within 2 million binary operations
  sparsebnn search --model mobile_grouped --method one_bit --epochs 5 --budget bops=2e6 \\
      --out search/

  # in a supernet that is there already: sparsebnn train --set groups=search --holdout 0.1 ...
  sparsebnn search --supernet run/ --budget latency_ms=1.5 --out search-fast/

  # n of each layer of ResNet-20, within 20 kB
  sparsebnn search --over codewords --model resnet20 --epochs 5 --budget bytes=20000 \\
      --out search-n/

next:
  sparsebnn train --recipe search/winner.json --out run-found/
  sparsebnn convert search/winner.keras -o found.tflite
  sparsebnn plot search/ --kind search -o search.png
"""

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(SearchConfig)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `sparsebnn search`."""
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    group = parser.add_argument_group("search")
    group.add_argument("--out", required=True, metavar="DIR", help="the folder of this search")
    group.add_argument(
        "--budget",
        required=True,
        metavar="KIND=LIMIT",
        help="of each candidate: bops (binary operations an image), bytes, or latency_ms, "
        "measured: one thread of this machine, in the delegate",
    )
    group.add_argument("--over", choices=OVER, default="groups", help="(default: groups)")
    group.add_argument(
        "--supernet",
        metavar="RUN/",
        help="search in the network of this finished run (default: train one first, as the "
        "settings of a run say)",
    )
    group.add_argument(
        "--choices",
        type=int,
        nargs="+",
        default=list(CANDIDATES),
        metavar="N",
        help="codewords of a layer, with --over codewords (default: 8 16 ... 512)",
    )
    for name, kind, help in (
        ("population", int, "candidates in a generation"),
        ("generations", int, "of candidates"),
        ("parents", int, "how many of the best have offspring"),
        ("mutation", float, "the chance of a gene to change"),
        ("batches", int, "of training images, for a candidate's batch norm"),
    ):
        text = f"{help} (default: {_DEFAULTS[name]})"
        metavar = "N" if kind is int else "X"
        default = _DEFAULTS[name]
        group.add_argument(f"--{name}", type=kind, metavar=metavar, default=default, help=text)
    group.add_argument(
        "--search-seed", type=int, metavar="N", default=0, help="of evolution (default: 0)"
    )
    add_executor(parser.add_argument_group("running"))
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="print result.json at the end")
    group.add_argument("--quiet", action="store_true", help="no progress")
    add_settings(parser)


def _network(args: argparse.Namespace) -> RunConfig:
    """The run that would train what is found."""
    if args.supernet is None:
        return configuration(args)
    given = given_settings(args)
    if given:
        raise SparseBNNError(
            f"Expected no settings of a run with --supernet, which has its own, got {given[0]}."
        )
    base = run_config(args.supernet)
    if args.over == "codewords":
        learned: dict[str, Any] = {"method": "learned", "codewords": 32, "options": {}}
        return dataclasses.replace(base, holdout=None, **learned)
    options = {k: v for k, v in base.model_options.items() if k != "groups"}
    return dataclasses.replace(base, holdout=None, model_options=options)


def run(args: argparse.Namespace) -> int:
    """Searches. Status 0, or 130 after Ctrl-C and 143 after SIGTERM.

    Raises:
        SparseBNNError: anything that the user can act on.
    """
    # Before TensorFlow is imported: a wrong option is answered at once.
    from keras_sparsebnn.search.budget import Budget

    config = SearchConfig(
        network=_network(args),
        over=args.over,
        budget=Budget.parse(args.budget),
        supernet=args.supernet,
        choices=tuple(args.choices),
        population=args.population,
        generations=args.generations,
        parents=args.parents,
        mutation=args.mutation,
        seed=args.search_seed,
        batches=args.batches,
    )
    chosen_executor(args)
    if config.budget.kind == "latency_ms" and (args.executor != "local" or args.jobs):
        raise SparseBNNError(
            "Expected one local worker with latency_ms, which others would disturb, got "
            f"--executor {args.executor} --jobs {args.jobs}. Leave them out."
        )
    config.of_supernet()
    inputs = [] if args.supernet is None else [args.supernet]
    check_output(args.out, inputs, "folder")
    return _searched(args, config)


def _searched(args: argparse.Namespace, config: SearchConfig) -> int:
    from keras_sparsebnn.cli.process import import_keras

    import_keras()
    from keras_sparsebnn.search.run import search
    from keras_sparsebnn.training.run.interruption import TrainingInterruptedError

    total = config.population * config.generations
    try:
        with progress_bar(args, total=total, unit="candidate") as (report, progress):
            result = search(
                config,
                args.out,
                executor=lambda: chosen_executor(args),
                download=args.download,
                report=report,
                progress=progress,
            )
    except TrainingInterruptedError as interruption:
        print(interruption, file=sys.stderr)
        return 128 + interruption.signal
    if args.json:
        print(json.dumps(result))
    elif not args.quiet:
        print(_summary(config, result, args.out))
    return 0


def _summary(config: SearchConfig, result: dict[str, Any], out: str) -> str:
    best, folder = result["best"], Path(out)
    each = "\n".join(f"  {layer:<24} {n:>4}" for layer, n in best["choices"].items())
    return (
        f"{config.over} of each layer\n{each}\n"
        f"candidates     {result['evaluated']}, {len(result['front'])} on the Pareto front\n"
        f"best           {best['score']:.2%} of held-out images with shared weights, "
        f"{best['cost']:.6g} {config.budget.kind}\n"
        f"next           sparsebnn train --recipe {folder / 'winner.json'} --out DIR\n"
        f"               sparsebnn plot {folder} --kind search -o search.png"
    )
