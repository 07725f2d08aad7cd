"""One run as its parts know it: what is trained, where it is kept, on which machines."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras_sparsebnn._files import write_json
from keras_sparsebnn.training.run.console import Console
from keras_sparsebnn.training.run.folder import RunFolder
from keras_sparsebnn.training.run.machine import machine
from keras_sparsebnn.training.run.strategies import Cluster
from keras_sparsebnn.training.settings.config import RunConfig

__all__ = ["Job"]


@dataclasses.dataclass(frozen=True)
class Job:
    """What stays the same from a run's first step to its last.

    Attributes:
        config: its settings.
        folder: its files, which only the cluster's first worker writes.
        cluster: the devices that train it.
        console: who hears how it goes.
    """

    config: RunConfig
    folder: RunFolder
    cluster: Cluster
    console: Console

    def of_teacher(self) -> Job:
        """The run that trains the "auto" teacher first."""
        folder = self.folder.teacher
        if self.cluster.is_chief:
            folder.path.mkdir(exist_ok=True)
        return dataclasses.replace(
            self,
            config=self.config.of_teacher(),
            folder=folder,
            console=self.console.prefixed("teacher: "),
        )

    def write_metrics(
        self, history: list[dict[str, Any]], final: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Writes `metrics.json` and returns what it holds; `final` are the run's results."""
        metrics = {
            "version": 1,
            "config": self.config.to_dict(),
            "environment": machine(),
            "history": history,
            **({} if final is None else {"final": final}),
        }
        if self.cluster.is_chief:
            write_json(self.folder.metrics, metrics)
        return metrics
