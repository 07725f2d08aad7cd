"""The recorded search over groups: its table and its figure in docs/search.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.result_files import newest
from docs.generate.pages import Tables, commit, markdown

NAMES = {
    "found": "found by the search",
    "uniform2": "2 groups wherever possible",
    "uniform4": "4 groups wherever possible",
    "random": "random, 95 to 100 % of the budget",
}


def search_groups() -> str:
    result = newest("search_groups")
    scratch = result["settings"]["scratch_epochs"]
    header = ["network", "groups", "million BOPs", "kB", "shared weights [%]"]
    header += ["from scratch [%]"] if scratch else []
    rows = [_row(network) for network in result["networks"]]
    settings, environment = result["settings"], result["environment"]
    search, minutes = settings["search"], result["supernet_cpu_seconds"] / 60
    trained = (
        f"From scratch: {scratch} epochs, one seed, test split."
        if scratch
        else "None was trained from scratch."
    )
    return (
        f"{markdown(header, rows)}\n\n"
        f"Fashion-MNIST, `mobile_grouped` of {len(result['space'])} binary layers, 1 bit, "
        f"budget {settings['budget_bops'] / 1e6:.2f} million BOPs. Supernet: "
        f"{settings['supernet_epochs']} epochs ({minutes:.1f} minutes of CPU). "
        f"{len(result['candidates'])} candidates: {search['generations']} generations of "
        f"{search['population']}, {search['parents']} parents. Shared weights: on the "
        f"{settings['holdout']:.0%} of the training images that were held out. {trained} "
        "`python -m benchmarks.search.groups`, "
        f"{environment['date']}, {environment['machine']['cpu']}, "
        f"{commit(environment['commit'])}."
    )


def _row(network: dict[str, Any]) -> list[str]:
    return [
        NAMES[network["name"]],
        ", ".join(map(str, network["genes"])),
        f"{network['bops'] / 1e6:.2f}",
        f"{network['bytes'] / 1e3:.1f}",
        f"{100 * network['shared_accuracy']:.2f}",
        *(f"{100 * accuracy:.2f}" for accuracy in network["test_accuracy"].values()),
    ]


def draw(path: Path) -> None:
    """All candidates, and the front."""
    from keras_sparsebnn.search import Budget, Candidate
    from keras_sparsebnn.search.figure import candidates_figure

    result = newest("search_groups")
    found = [Candidate(tuple(c["genes"]), c["cost"], c["score"]) for c in result["candidates"]]
    candidates_figure(found, Budget("bops", result["settings"]["budget_bops"]), path)


TABLES: Tables = {"search_groups": search_groups}
