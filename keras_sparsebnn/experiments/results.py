"""One small JSON a finished run: what it was, where it ran, what came out."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import read_json
from keras_sparsebnn.errors import SparseBNNError
from keras_sparsebnn.experiments.matrix import Run

__all__ = ["Result", "make_record", "read_results", "result_path"]

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
    """What a table needs of a finished run.

    Attributes:
        variant: the matrix's name for the setting.
        method: see `RunConfig`; so are `codewords`, `network` (its `model`), `dataset`, `seed`.
        test_accuracy: of the final model, selection frozen; in [0, 1].
        epochs: test accuracy after each epoch.
        cpu_seconds: of all processes that trained it.
        config: the whole `RunConfig`, as a dict.
        environment: date, commit, machine, versions.
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

    @property
    def bits_per_weight(self) -> float:
        """`log2(n) / 9`."""
        return math.log2(self.codewords) / 9

    @classmethod
    def load(cls, path: Path) -> Result:
        """Reads what `make_record` made, or something that claims to be that.

        Raises:
            SparseBNNError: it is none; names the file.
            OSError: it cannot be read.
        """
        data = read_json(path)
        run, final, epochs = data.get("run"), data.get("final"), data.get("epochs")
        accuracy = final.get("test_accuracy") if isinstance(final, dict) else None
        curve = epochs.get("test_accuracy") if isinstance(epochs, dict) else None
        cpu = data.get("cpu_seconds")
        if not (
            data.get("version") == VERSION
            and isinstance(run, dict)
            and set(run) == set(_RUN_TYPES)
            and all(type(run[key]) is kind for key, kind in _RUN_TYPES.items())
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
                f"Expected the result of a run, version {VERSION}, got another file ({path}). "
                "Remove it: the run is made again."
            )
        return cls(
            **run,
            test_accuracy=float(accuracy),  # type: ignore[arg-type]  # checked above
            epochs=tuple(curve),
            cpu_seconds=cpu,
            config=data["config"],
            environment=data["environment"],
        )


def _is_share(value: Any) -> bool:
    return isinstance(value, float) and 0 <= value <= 1


def result_path(folder: Path, run: Run) -> Path:
    """Where the result of a run lies."""
    return folder / f"{run.name}.json"


def make_record(
    run: Run, metrics: Mapping[str, Any], environment: Mapping[str, Any], cpu_seconds: float
) -> dict[str, Any]:
    """The result file's content, from `train`'s metrics.

    `codewords_changed` counts, for each epoch after the first and all layers together, the
    codewords that were not selected an epoch earlier; layers that had none yet have none new.
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
    recorded["data_dir"] = None  # where pictures lie is this machine's affair
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


def read_results(folder: Path) -> tuple[list[Result], list[str]]:
    """All results in a folder, in the order of their names, and why others were left out.

    Raises:
        SparseBNNError: there is no such folder.
    """
    if not folder.is_dir():
        raise SparseBNNError(f"Expected a folder of results, found none ({folder}).")
    results, left_out = [], []
    for path in sorted(folder.glob("*.seed*.json")):
        try:
            results.append(Result.load(path))
        except (SparseBNNError, OSError) as error:
            left_out.append(str(error))
    return results, left_out
