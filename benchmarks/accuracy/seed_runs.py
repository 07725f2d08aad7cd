"""The command of a benchmark whose runs go seed by seed: it goes on where it was stopped."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import result_files
from benchmarks.environment import environment
from benchmarks.errors import one_line_errors
from keras_sparsebnn._keras import keras
from keras_sparsebnn.data import Dataset, load

__all__ = ["known_runs", "main"]

Runs = list[dict[str, Any]]


def known_runs(path: Path) -> Runs:
    """Those that a file of results has; none if there is no file."""
    if not path.exists():
        return []
    runs: Runs = json.loads(path.read_text("utf-8"))["runs"]
    return runs


@one_line_errors()
def main(
    about: str | None,
    output: Path,
    setting: Mapping[str, Any],
    runs_of: Callable[[Dataset, int], Runs],
    *,
    seeds: int,
) -> None:
    """Makes the runs of the seeds that are not in the file, and writes it after each.

    Args:
        about: the module's docstring.
        output: the file, unless the command names another.
        setting: what all runs share; `dataset` and, if there is one, `augmentation` say what
            to load.
        runs_of: a data set and a seed -> its runs, each with the seed.
        seeds: how many, unless the command says so.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, help=f"where {setting['dataset']} lies")
    parser.add_argument("--seeds", type=int, default=seeds)
    parser.add_argument("-o", "--output", type=Path, default=output)
    args = parser.parse_args()
    header, runs = environment(), known_runs(args.output)
    keras.mixed_precision.set_global_policy(setting["policy"])
    augmentation = setting.get("augmentation", "none")
    dataset = load(setting["dataset"], data_dir=args.data_dir, augmentation=augmentation)
    for seed in sorted(set(range(args.seeds)) - {run["seed"] for run in runs}):
        runs += runs_of(dataset, seed)
        result = {"environment": header, "setting": setting, "runs": runs}
        result_files.write(output.stem, result, args.output)
