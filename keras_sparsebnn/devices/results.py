"""The file of results: what every device reported, whole at any time.

    {"format": 1, "settings": {...}, "devices": {"ssh:pi@board": {"facts": {...}, "models":
      {SHA-256: {"file_bytes": .., "machine": .., "platform": .., "timings": [..], "layers":
       {..}, "temperature_c": [before, after]}}}}}

Each model's entry is a report of `sparsebnn benchmark --json`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_sparsebnn._files import read_json, write_json
from keras_sparsebnn._rules import is_int
from keras_sparsebnn.devices import reports
from keras_sparsebnn.errors import SparseBNNError

__all__ = ["Measurement", "Results", "read"]

FORMAT = 1
MAX_DEVICES, MAX_MODELS = 100, 1000


@dataclass(frozen=True)
class Measurement:
    """A model on a device.

    Attributes:
        device: what the user called it.
        name: what it is; "" if it did not say.
        file_bytes: the model's size.
        report: as `reports.checked`.
    """

    device: str
    name: str
    file_bytes: int
    report: dict[str, Any]


class Results:
    """Results so far; threads may share them.

    Args:
        settings: what is measured.
        path: where to keep them; what is there already is taken over. Nowhere if None.

    Raises:
        SparseBNNError: the file does not hold results, or those of other settings.
        OSError: it cannot be read.
    """

    def __init__(self, settings: dict[str, Any], path: Path | None = None) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._data: dict[str, Any] = {"format": FORMAT, "settings": settings, "devices": {}}
        if path is not None and path.exists():
            data = read_json(path)
            _checked(data, path)
            if data["settings"] != settings:
                raise SparseBNNError(
                    f"Expected results of the same settings, got others ({path}). Choose "
                    "another file, or the settings that it has."
                )
            try:
                list(_measurements(data))
            except SparseBNNError as error:  # now, not once everything is measured
                raise SparseBNNError(f"{str(error).removesuffix('.')} ({path}).") from error
            self._data = data

    def has(self, device: str, digest: str) -> bool:
        """Whether a model was measured on a device."""
        with self._lock:
            return digest in self._data["devices"].get(device, {}).get("models", {})

    def add(
        self,
        device: str,
        facts: dict[str, Any],
        digest: str,
        entry: dict[str, Any],
    ) -> None:
        """Keeps a model's entry, which is written at once.

        Raises:
            OSError: the file cannot be written.
        """
        with self._lock:
            known = self._data["devices"].setdefault(device, {"facts": facts, "models": {}})
            known["models"][digest] = entry
            if self._path is not None:
                write_json(self._path, self._data)

    def to_dict(self) -> dict[str, Any]:
        """The file's content."""
        return self._data

    def measurements(self) -> list[Measurement]:
        """All of them, device by device."""
        return list(_measurements(self._data))


def _checked(data: dict[str, Any], path: Path) -> None:
    """Raises unless all that the file has besides reports is right."""
    devices = data.get("devices")
    good = (
        data.get("format") == FORMAT
        and isinstance(data.get("settings"), dict)
        and isinstance(devices, dict)
        and len(devices) <= MAX_DEVICES
        and all(map(_is_device, devices.values()))
    )
    if not good:
        raise SparseBNNError(
            f"Expected results of `sparsebnn benchmark --device`, got something else ({path})."
        )


def _is_device(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("facts"), dict):
        return False
    models = value.get("models")
    return (
        isinstance(models, dict)
        and len(models) <= MAX_MODELS
        and all(isinstance(m, dict) and is_int(m.get("file_bytes")) for m in models.values())
    )


def _measurements(data: dict[str, Any]) -> Iterator[Measurement]:
    for spec, device in data["devices"].items():
        name = device["facts"].get("name", "")
        for entry in device["models"].values():
            timings = entry.get("timings")
            first = timings[0] if isinstance(timings, list) and timings else None
            model = first.get("model") if isinstance(first, dict) else None
            report = reports.checked(entry, str(model)[: reports.MAX_TEXT], spec)
            yield Measurement(spec, str(name)[:100], entry["file_bytes"], report)


def read(path: Path) -> list[Measurement]:
    """What a file of results has.

    Raises:
        SparseBNNError: it has something else.
        OSError: it cannot be read.
    """
    data = read_json(path)
    _checked(data, path)
    return list(_measurements(data))
