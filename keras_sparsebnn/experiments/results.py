"""One record for each finished run: its setting, environment and outcome.

The records of a data set are the lines of one file, `<dataset>.jsonl` (see `records`). Folders
of earlier versions, with one JSON file for each run, are read as well.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import read_json
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments import records
from keras_sparsebnn.experiments.matrix import Run, file_name, run_name

__all__ = ["Result", "make_record", "read_results", "records_path", "result_path", "store"]

VERSION = 1

_RUN_TYPES = {
    "variant": str,
    "method": str,
    "codewords": int,
    "network": str,
    "dataset": str,
    "seed": int,
}


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished run, as far as tables and figures need it.

    Attributes:
        variant: the matrix's name for the setting.
        method: as in `RunConfig`; likewise `codewords`, `network` (`model` there), `dataset`
            and `seed`.
        test_accuracy: of the final model, selection frozen; in [0, 1].
        epochs: test accuracy after each epoch.
        cpu_seconds: of all processes that trained it.
        config: the whole `RunConfig`, as a dict.
        environment: date, commit, machine, versions.
        where: the file that holds it, and the line.
    """

    variant: str
    method: str
    codewords: int
    network: str
    dataset: str
    seed: int
    test_accuracy: float
    epochs: tuple[float, ...]
    cpu_seconds: float
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    where: str = dataclasses.field(default="", compare=False)

    @property
    def name(self) -> str:
        """The name of its `Run`."""
        return run_name(self.dataset, self.network, self.variant, self.codewords, self.seed)

    @property
    def bits_per_weight(self) -> float:
        """`log2(n) / 9`."""
        return math.log2(self.codewords) / 9

    @classmethod
    def load(cls, path: Path) -> Result:
        """Reads a file of an earlier version, which holds one record.

        Raises:
            SparseBNNError: it is not a valid result; names the file.
            OSError: it cannot be read.
        """
        return cls.from_dict(read_json(path), str(path))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str) -> Result:
        """From a record of `make_record`, which is checked.

        Raises:
            SparseBNNError: it is not a valid record; says `where`.
        """
        run, final, epochs = data.get("run"), data.get("final"), data.get("epochs")
        accuracy = final.get("test_accuracy") if isinstance(final, dict) else None
        curve = epochs.get("test_accuracy") if isinstance(epochs, dict) else None
        cpu = data.get("cpu_seconds")
        if not (
            data.get("version") == VERSION
            and isinstance(run, dict)
            and set(run) == set(_RUN_TYPES)
            and all(type(run[key]) is kind for key, kind in _RUN_TYPES.items())
            and all(map(_is_plain, run.values()))
            and 2 <= run["codewords"] <= 512
            and _is_share(accuracy)
            and isinstance(curve, list)
            and all(map(_is_share, curve))
            and isinstance(cpu, float)
            and 0 <= cpu < math.inf
            and isinstance(data.get("config"), dict)
            and isinstance(data.get("environment"), dict)
        ):
            raise SparseBNNError(
                f"Expected the result of a run, version {VERSION}, got something else "
                f"({where}). Remove it: the run is made again."
            )
        return cls(
            **run,
            test_accuracy=float(accuracy),  # type: ignore[arg-type]  # checked above
            epochs=tuple(curve),
            cpu_seconds=cpu,
            config=data["config"],
            environment=data["environment"],
            where=where,
        )


def _is_plain(value: object) -> bool:
    """Whether a terminal takes it for text, and a table has room for it."""
    return not isinstance(value, str) or (value.isprintable() and 0 < len(value) <= 200)


def _is_share(value: object) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def result_path(folder: Path, run: Run) -> Path:
    """The file of this run's result in versions that wrote one for each run."""
    return folder / f"{run.name}.json"


def records_path(folder: Path, dataset: str) -> Path:
    """The file with the results of a data set."""
    return folder / f"{file_name(dataset)}.jsonl"


def store(folder: Path, record: Mapping[str, Any]) -> None:
    """Adds a record that `make_record` made; it is on the disk when this returns.

    Raises:
        SparseBNNError: the file of its data set holds something else.
        OSError: no room, read-only folder, ...
    """
    records.append(records_path(folder, record["run"]["dataset"]), record)


def make_record(
    run: Run, metrics: Mapping[str, Any], environment: Mapping[str, Any], cpu_seconds: float
) -> dict[str, Any]:
    """The record of a run, from `train`'s metrics.

    `codewords_changed` counts, for each epoch after the first and all layers together, the
    codewords that were not selected an epoch earlier. A layer without a selection at that time
    counts 0.
    """
    config, history = run.config, metrics["history"]
    kept = ("accuracy", "loss", "val_accuracy", "val_loss")
    epochs = {
        key.replace("val_", "test_"): [record[key] for record in history]
        for key in kept
        if all(key in record for record in history)
    }
    selections = [record["selection"] for record in history]
    changed = [
        sum(len(set(after[layer]) - set(before.get(layer, after[layer]))) for layer in after)
        for before, after in itertools.pairwise(selections)
    ]
    recorded = config.to_dict()
    recorded["data_dir"] = None  # the folder of the images concerns this machine only
    return {
        "version": VERSION,
        "run": {
            "variant": run.variant,
            "method": config.method,
            "codewords": config.codewords,
            "network": config.model,
            "dataset": config.dataset,
            "seed": config.seed,
        },
        "config": recorded,
        "environment": dict(environment),
        "final": dict(metrics["final"]),
        "epochs": epochs,
        "codewords_changed": changed,
        "cpu_seconds": round(cpu_seconds, 1),
    }


def _lines(path: Path) -> Iterator[Result | str]:
    """The results in a file of records; for a damaged line, the reason."""
    for number, record in records.read(path):
        where = f"{path}, line {number}"
        if record is None:
            yield f"Expected a JSON object a line, got something else ({where}). Remove it."
            continue
        try:
            yield Result.from_dict(record, where)
        except SparseBNNError as error:
            yield str(error)


def read_results(folder: Path) -> tuple[list[Result], list[str]]:
    """All results in a folder, in the order of their names, and why others were skipped.

    The last record counts if there are several of one run with the same setting.

    Raises:
        SparseBNNError: there is no such folder.
    """
    if not folder.is_dir():
        raise SparseBNNError(f"Expected a folder of results, found none ({folder}).")
    found: dict[str, list[Result]] = {}
    skipped = []
    for path in [*sorted(folder.glob("*.seed*.json")), *sorted(folder.glob("*.jsonl"))]:
        try:
            each = [Result.load(path)] if path.suffix == ".json" else _lines(path)
            for result in each:
                if isinstance(result, str):
                    skipped.append(result)
                    continue
                same = found.setdefault(result.name, [])
                same[:] = [old for old in same if old.config != result.config] + [result]
        except (SparseBNNError, OSError) as error:
            skipped.append(str(error))
    return [result for name in sorted(found) for result in found[name]], skipped
