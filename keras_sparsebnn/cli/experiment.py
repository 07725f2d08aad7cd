"""`sparsebnn experiment`: a matrix of runs, resumable; tables and plots of what is there."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keras_sparsebnn.experiments import Matrix, Result
    from keras_sparsebnn.experiments.executor import Executor

from keras_sparsebnn.cli.executors import add_executor, chosen_executor, progress_bar
from keras_sparsebnn.cli.outputs import check_output

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Makes all runs of a matrix (methods, codewords, networks, datasets, seeds), or compares those
that are finished.

Each finished run adds a line to DATASET.jsonl in the folder. Stop it any way you like and start
it again: finished runs are not made again, unfinished ones go on from their checkpoints. Runs
of one seed come before those of the next, so what is there can always be compared.
"""

EPILOG = """\
examples:
  sparsebnn experiment matrix.json --out results/ --dry-run    # what there is to do
  sparsebnn experiment matrix.json --out results/ --jobs 2 --data-dir ~/tensorflow_datasets
  sparsebnn experiment matrix.json --out results/ --only '*.random.n16.*'
  sparsebnn experiment matrix.json --out /shared/results/ --executor ray   # docs/cluster.md
  sparsebnn experiment --table results/                        # now, or while it runs
  sparsebnn experiment --plot results/ -o results.png

a matrix:
  {"version": 1,
   "datasets": ["digits"], "networks": ["small"], "seeds": [0, 1, 2],
   "settings": {"epochs": 5},
   "variants": [{"name": "one_bit", "method": "one_bit"},
                {"name": "random", "method": "random", "codewords": [16, 32]},
                {"name": "frozen", "method": "learned", "codewords": [16, 32],
                 "options": {"freeze_after": 0.4}}]}

"settings" are those of run.json; a variant may have its own, too, and "networks" of its own.
"""

FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `sparsebnn experiment`."""
    parser.description = DESCRIPTION
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "matrix", nargs="?", metavar="MATRIX.json", help="the runs to make; see below"
    )
    group = parser.add_argument_group("running")
    group.add_argument("--out", metavar="DIR", help="gets a record of each finished run")
    group.add_argument(
        "--runs-dir",
        metavar="DIR",
        help="gets a folder for each run, with its model (default: runs/ in --out)",
    )
    add_executor(group)
    group.add_argument(
        "--only",
        action="append",
        metavar="PATTERN",
        help="make only these runs, e.g. '*.random.n16.*'; may be repeated",
    )
    group.add_argument("--data-dir", metavar="DIR", help="where prepared datasets lie")
    group.add_argument(
        "--dry-run", action="store_true", help="say what there is to do, and do nothing"
    )
    group.add_argument("--quiet", action="store_true", help="no progress")
    group = parser.add_argument_group("comparing")
    group.add_argument("--table", metavar="DIR", help="compare the results in a folder")
    group.add_argument("--plot", metavar="DIR", help="draw the results of a folder in --output")
    group.add_argument("-o", "--output", metavar="FILE", help="the figure: .png, .svg, .pdf")
    group.add_argument(
        "--baseline",
        action="append",
        metavar="VARIANT",
        help="compare with this one, seed by seed; may be repeated (default: random and "
        "one_bit, if they are there)",
    )
    group.add_argument(
        "--curves", action="store_true", help="with --plot: test accuracy epoch by epoch"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs or compares. Status 0; 1 if runs failed; 130 or 143 if a signal stopped them.

    Raises:
        SparseBNNError: anything that the user can act on.
    """
    from keras_sparsebnn.errors import SparseBNNError

    chosen = [args.matrix, args.table, args.plot]
    if sum(value is not None for value in chosen) != 1:
        raise SparseBNNError("Expected a matrix, --table DIR or --plot DIR: one of them.")
    if args.table is not None:
        return _table(args)
    if args.plot is not None:
        return _plot(args)
    if args.out is None:
        raise SparseBNNError("Expected --out DIR, the folder of the results.")
    executor = chosen_executor(args)
    from keras_sparsebnn.experiments.matrix import Matrix

    for folder in (args.out, args.runs_dir):
        if folder is not None:
            check_output(folder, [args.matrix], "folder")
    matrix = Matrix.load(Path(args.matrix))
    if args.only:
        matrix = matrix.only(args.only)
    out = Path(args.out)
    runs_dir = Path(args.runs_dir) if args.runs_dir else out / "runs"
    return (
        _dry_run(args, matrix, out, runs_dir)
        if args.dry_run
        else _run(args, matrix, out, runs_dir, executor)
    )


def _dry_run(args: argparse.Namespace, matrix: Matrix, out: Path, runs_dir: Path) -> int:
    from keras_sparsebnn.experiments.runner import states

    found = states(matrix, out, runs_dir)
    if args.json:
        print(json.dumps({"runs": found}))
        return 0
    for name, state in found.items():
        print(f"{name}  {state}")
    done = sum(state == "finished" for state in found.values())
    print(f"{done} of {len(found)} runs are finished{_cost(matrix, found, out)}.")
    return 0


def _cost(matrix: Matrix, found: dict[str, str], out: Path) -> str:
    """What the rest may take, judged by the runs that are there."""
    from keras_sparsebnn.experiments.results import read_results

    results = read_results(out)[0] if out.is_dir() else []
    if not results:
        return ""
    rest = [run.config for run in matrix.runs if found[run.name] in ("started", "to do")]
    epochs = sum(len(result.epochs) for result in results)
    per_epoch = sum(result.cpu_seconds for result in results) / max(1, epochs)
    hours = per_epoch * sum(config.epochs for config in rest) / 3600
    return f"; the others may take about {hours:.1f} CPU hours"


def _run(
    args: argparse.Namespace, matrix: Matrix, out: Path, runs_dir: Path, executor: Executor
) -> int:
    from keras_sparsebnn.experiments.runner import run_matrix, states

    found = states(matrix, out, runs_dir)
    with progress_bar(
        args,
        total=len(found),
        initial=sum(state == "finished" for state in found.values()),
        unit="run",
        smoothing=0,  # the mean pace: runs of one matrix differ little
        bar_format="{percentage:3.0f}%|{bar}| {n:.1f}/{total} runs, {remaining} left",
    ) as (report, progress):
        outcome = run_matrix(
            matrix,
            out,
            runs_dir=runs_dir,
            data_dir=args.data_dir,
            executor=executor,
            report=report,
            progress=progress,
        )
    if args.json:
        print(
            json.dumps(
                {"finished": outcome.finished, "failed": outcome.failed, "left": outcome.left}
            )
        )
    else:
        print(
            f"{len(outcome.finished)} of {len(matrix.runs)} runs are finished, "
            f"{len(outcome.failed)} failed, {len(outcome.left)} are left."
        )
        for name, reason in outcome.failed.items():
            print(f"failed  {name}: {reason}")
    if outcome.signal is not None:
        return 128 + outcome.signal
    return FAILED if outcome.failed else 0


def _read(folder: str) -> list[Result]:
    from keras_sparsebnn.errors import SparseBNNError
    from keras_sparsebnn.experiments.results import read_results

    results, left_out = read_results(Path(folder))
    for reason in left_out:
        print(f"sparsebnn experiment: skipped: {reason}", file=sys.stderr)
    if not results:
        raise SparseBNNError(f"Expected results of finished runs, found none ({folder}).")
    return results


def _table(args: argparse.Namespace) -> int:
    from keras_sparsebnn.experiments.comparison import compare
    from keras_sparsebnn.experiments.tables import as_text

    comparisons = compare(_read(args.table), baselines=args.baseline)
    if args.json:
        print(json.dumps([comparison.to_dict() for comparison in comparisons]))
    else:
        print("\n\n".join(as_text(comparison) for comparison in comparisons))
    return 0


def _plot(args: argparse.Namespace) -> int:
    from keras_sparsebnn.errors import SparseBNNError
    from keras_sparsebnn.experiments import figures
    from keras_sparsebnn.experiments.comparison import compare

    if args.output is None:
        raise SparseBNNError("Expected --output FILE, the figure to write.")
    output = check_output(args.output, [args.plot])
    results = _read(args.plot)
    if args.curves:
        figures.learning_curves(results, output)
    else:
        figures.comparison(compare(results, baselines=args.baseline), output)
    print(f"Wrote {args.output}")
    return 0
