"""Where `sparsebnn experiment` and `search` have their work done, and how it is shown."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from keras_sparsebnn.errors import SparseBNNError

if TYPE_CHECKING:
    from keras_sparsebnn.experiments.executor import Executor

__all__ = ["EXECUTORS", "add_executor", "chosen_executor", "progress_bar"]

EXECUTORS = ("local", "ray")


def add_executor(group: argparse._ArgumentGroup) -> None:
    """Declares the options."""
    group.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="workers at a time (default: 1; with Ray as many as the cluster has room for)",
    )
    group.add_argument(
        "--executor",
        choices=EXECUTORS,
        default="local",
        help="local: processes of this machine (default); ray: tasks of a Ray cluster, whose "
        "machines share the folders",
    )
    group.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help="of the cluster (default: RAY_ADDRESS, or the one that this machine is part of)",
    )
    group.add_argument(
        "--cpus-per-run",
        type=int,
        default=1,
        metavar="N",
        help="threads of a worker (default: 1)",
    )
    group.add_argument(
        "--gpus-per-run",
        type=float,
        default=0,
        metavar="X",
        help="with Ray: GPUs of a worker, which may be a fraction (default: 0)",
    )


def chosen_executor(args: argparse.Namespace) -> Executor:
    """As the options say; nothing is started yet.

    Raises:
        SparseBNNError: options that do not fit together.
    """
    from keras_sparsebnn.experiments.executor import Demand

    if args.jobs is not None and not 1 <= args.jobs <= 1024:
        raise SparseBNNError(f"Expected --jobs in [1, 1024], got {args.jobs}.")
    demand = Demand(args.cpus_per_run, args.gpus_per_run)
    if args.executor == "ray":
        from keras_sparsebnn.experiments.ray_executor import RayExecutor

        return RayExecutor(args.ray_address, args.jobs, demand)
    if args.ray_address is not None or args.gpus_per_run:
        option = "--ray-address" if args.ray_address is not None else "--gpus-per-run"
        raise SparseBNNError(
            f"Expected {option} with --executor ray, got local, where every run sees all GPUs."
        )
    from keras_sparsebnn.experiments.local_executor import LocalExecutor

    return LocalExecutor(args.jobs or 1, demand)


@contextlib.contextmanager
def progress_bar(
    args: argparse.Namespace, **options: object
) -> Iterator[tuple[Callable[[str], None], Callable[[float], None]]]:
    """What reports a line, unless --quiet, and what moves a bar, which only a terminal shows.

    Args:
        args: of the command, with `quiet` and `json`.
        **options: of the bar, as of tqdm's.
    """
    from tqdm import tqdm

    hidden = True if args.quiet or args.json else None  # None: unless on a terminal
    with tqdm(disable=hidden, **options) as bar:

        def report(line: str) -> None:
            if not args.quiet:
                bar.write(line, file=sys.stderr)

        # Ray prints the last words of lost machines to standard output.
        with contextlib.redirect_stdout(sys.stderr):
            yield report, bar.update
