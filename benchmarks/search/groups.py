"""A search over groups on Fashion-MNIST, and what it found against networks of equal budget.

    python -m benchmarks.search.groups --data-dir ~/tensorflow_datasets --out /tmp/search
    # writes results/search_groups-<date>.json; the same command goes on

A small `mobile_grouped`: 576 possible networks. The budget is what two groups cost wherever
they are possible. Compared, with the weights of the supernet: what the search found, two groups
everywhere, four everywhere, and random groups of 95 to 100 % of the budget. With
--scratch-epochs, also trained from scratch, with the same settings and seeds.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import result_files
from benchmarks.environment import environment
from benchmarks.errors import one_line_errors

NETWORK: dict[str, Any] = {
    "dataset": "fashion_mnist",
    "model": "mobile_grouped",
    "model_options": {"width": 32, "depths": [1, 1, 2], "strides": [2, 2, 2, 2]},
    "method": "one_bit",
    "codewords": 512,
    "batch_size": 128,
    "batch_norm_batches": 20,
}
SUPERNET_EPOCHS, SEEDS = 3, (0,)
SEARCH = {"population": 24, "generations": 4, "parents": 6}


def uniform(space: Mapping[str, tuple[int, ...]], groups: int) -> tuple[int, ...]:
    """That many groups in each layer, or as many as it can have."""
    return tuple(max(g for g in choices if g <= groups) for choices in space.values())


@one_line_errors()
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.search.groups", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data-dir", required=True, help="where fashion_mnist lies prepared")
    parser.add_argument("--out", required=True, type=Path, help="the folder to work in")
    parser.add_argument("--scratch-epochs", type=int, default=0, help="none if 0 (default)")
    args = parser.parse_args()
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # larq needs Keras 2
    os.nice(10)
    from keras_sparsebnn import data
    from keras_sparsebnn.experiments import Matrix, Run, read_results, run_matrix
    from keras_sparsebnn.saved_models import load_model
    from keras_sparsebnn.search import Budget, Evaluator, SearchConfig, Supernet, search
    from keras_sparsebnn.search.folder import SearchFolder
    from keras_sparsebnn.search.orders import known_candidates
    from keras_sparsebnn.training import RunConfig
    from keras_sparsebnn.training.run.network import named_network

    network = RunConfig(**NETWORK, epochs=SUPERNET_EPOCHS, data_dir=args.data_dir)
    config = SearchConfig(network=network, budget=Budget("bops", 1e12), **SEARCH)
    base = dataclasses.replace(config.of_supernet(), holdout=0.05)
    dataset = data.load(base.dataset, **base.data_options)
    supernet = Supernet(named_network(base, dataset), "groups")

    def cost(genes: tuple[int, ...], kind: str = "bops") -> float:
        return supernet.costs(genes, kind)

    limit = cost(uniform(supernet.space, 2))
    config = dataclasses.replace(
        config,
        network=dataclasses.replace(network, holdout=0.05),
        budget=Budget("bops", limit),
    )
    found = search(config, args.out / "search", report=print)

    rng, random = np.random.default_rng(0), tuple[int, ...]()
    while not random or not 0.95 * limit <= cost(random) <= limit:
        random = tuple(int(rng.choice(choices)) for choices in supernet.space.values())
    networks = {
        "found": tuple(found["best"]["genes"]),
        "uniform2": uniform(supernet.space, 2),
        "uniform4": uniform(supernet.space, 4),
        "random": random,
    }
    folder = args.out / "search" / "supernet"
    (model,) = folder.glob("runs/*/model.keras")
    evaluate = Evaluator(
        Supernet(load_model(model), "groups"),
        dataset,
        Budget("bops", 1e12),
        batch_size=base.batch_size,
        batches=config.batches,
        seed=base.seed,
    )
    candidates = known_candidates(SearchFolder(args.out / "search").candidates)
    shared = {
        name: getattr(candidates.get(genes), "score", None) or evaluate(genes).score
        for name, genes in networks.items()
    }
    results = []
    if args.scratch_epochs:
        scratch = dataclasses.replace(network, epochs=args.scratch_epochs)
        runs = [
            Run(
                name,
                dataclasses.replace(
                    scratch,
                    seed=seed,
                    model_options={**scratch.model_options, "groups": list(genes)},
                ),
            )
            for seed in SEEDS
            for name, genes in networks.items()
        ]
        outcome = run_matrix(
            Matrix(tuple(runs)),
            args.out / "scratch",
            runs_dir=args.out / "scratch" / "runs",
            data_dir=args.data_dir,
            report=print,
        )
        if outcome.left or outcome.failed:
            print("Not all networks are trained. Run the same command again.")
            return 1
        results = read_results(args.out / "scratch")[0]
    (trained,) = read_results(folder)[0]
    record = {
        "environment": environment(),
        "settings": {
            "network": NETWORK,
            "supernet_epochs": SUPERNET_EPOCHS,
            "scratch_epochs": args.scratch_epochs,
            "holdout": 0.05,
            "search": SEARCH,
            "budget_bops": limit,
        },
        "space": {name: list(choices) for name, choices in supernet.space.items()},
        "supernet_cpu_seconds": trained.cpu_seconds,
        "candidates": [dataclasses.asdict(candidate) for candidate in candidates.values()],
        "networks": [
            {
                "name": name,
                "genes": list(genes),
                "bops": cost(genes),
                "bytes": cost(genes, "bytes"),
                "shared_accuracy": shared[name],
                "test_accuracy": {
                    str(r.seed): r.test_accuracy for r in results if r.variant == name
                },
                "cpu_seconds": sum(r.cpu_seconds for r in results if r.variant == name),
            }
            for name, genes in networks.items()
        ],
    }
    result_files.write("search_groups", record)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
